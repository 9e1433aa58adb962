//! What a machine needs. Each function is quick where its thing is already there, and says in one sentence why it cannot be had.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::found;
use crate::tests::SPELLING;
use crate::tool::{Result, command, printed, run, say, succeeds, which};

/// The last version that Rust 1.95 compiles.
const TRUNK: &str = "0.21.14";
const CARGO_DENY: &str = "0.20.2";
/// Settings of cargo for a short build of a tool.
const QUICK_BUILD: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
];
/// What the page's program is compiled for.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// What Debian's compiler for the web is called once it is linked into rustup.
const DEBIAN: &str = "debian";

/// This machine, and what was found out about it.
pub struct Machine {
    /// Where cargo builds.
    pub target: PathBuf,
    /// What is compiled for building the page; it outlives `cargo clean`.
    pub tools: PathBuf,
    /// The toolchain for what is compiled to wasm, where it is not the usual one.
    wasm_toolchain: Option<&'static str>,
    apt_updated: bool,
}

impl Machine {
    /// This machine, with the tools' programs before others.
    pub fn here() -> Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).ok_or("HOME is not set.")?;
        let folder = |name: &str, default: &str| {
            std::env::var_os(name).map_or_else(|| home.join(".cache").join(default), PathBuf::from)
        };
        let target = folder("CARGO_TARGET_DIR", "styleid-target");
        let tools = folder("STYLEID_TOOLS", "styleid-tools");
        Ok(Self { target, tools, wasm_toolchain: None, apt_updated: false })
    }

    /// All that the tests take. What is mostly waiting for the network runs beside the compilers.
    pub fn prepare(&mut self) -> Result {
        self.wasm_target()?; // may need apt, which takes one caller at a time
        let tools = Self { target: self.target.clone(), tools: self.tools.clone(), ..*self };
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                self.npm()?;
                self.chrome()?;
                self.firefox()?;
                self.webkit()?;
                self.vulkan()?;
                self.older_processors();
                self.python("spelling", Path::new(SPELLING)).map(|_| ())
            });
            tools.page_programs()?;
            tools.cargo_tool("cargo-deny", CARGO_DENY, "cargo-deny", 0)?;
            others.join().map_err(|_| "preparing the machine failed.".to_string())?
        })
    }

    /// What building the page takes.
    pub fn page_tools(&mut self) -> Result {
        self.wasm_target()?;
        self.page_programs()
    }

    fn page_programs(&self) -> Result {
        self.cargo_tool("wasm-bindgen-cli", &locked_version("wasm-bindgen")?, "wasm-bindgen", 1)?;
        self.cargo_tool("trunk", TRUNK, "trunk", 0) // it copies files and starts others
    }

    /// `program`, with the toolchain for what is compiled to wasm.
    pub fn for_wasm(&self, program: &str) -> Command {
        let mut command = command(program);
        command.envs(self.wasm_toolchain.map(|toolchain| ("RUSTUP_TOOLCHAIN", toolchain)));
        command
    }

    /// Whether apt could install these packages.
    fn apt(&mut self, packages: &[&str]) -> bool {
        let is_root = printed(&mut command("id -u")).is_some_and(|id| id == "0");
        let as_root = if is_root { "" } else { "sudo -n " };
        if which("apt-get").is_none() || !(is_root || succeeds(&mut command("sudo -n true"))) {
            return false;
        }
        say(&format!("installing {} with apt", packages.join(" ")));
        if !self.apt_updated && run(&mut command(&format!("{as_root}apt-get update -qq"))).is_err() {
            return false;
        }
        self.apt_updated = true;
        let install =
            format!("{as_root}env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends");
        run(command(&install).args(packages).stdout(Stdio::null())).is_ok()
    }

    fn wasm_target(&mut self) -> Result {
        if has_wasm_target(None) {
            return Ok(());
        }
        if !has_wasm_target(Some(DEBIAN)) {
            say(&format!("adding the Rust target {WASM_TARGET}"));
            if succeeds(command("rustup target add").arg(WASM_TARGET)) {
                return Ok(());
            }
            say("rustup could not fetch it; making it from Debian's rust-web-src instead");
            let is_there = which("rustup").is_some()
                && self.apt(&["rustc-web", "cargo-web", "rust-web-src"])
                && run(command(".ci/debian-wasm-target.sh").args([WASM_TARGET, DEBIAN])).is_ok();
            if !is_there {
                return Err(format!(
                    "the Rust target {WASM_TARGET} could not be had: run 'rustup target add {WASM_TARGET}' where the \
                     network allows it."
                ));
            }
        }
        self.wasm_toolchain = Some(DEBIAN);
        Ok(())
    }

    /// A program that cargo compiles, optimised so far.
    pub fn cargo_tool(&self, package: &str, version: &str, binary: &str, optimisation: u8) -> Result {
        let there = printed(command(binary).arg("--version"));
        if there.is_some_and(|said| said.split_whitespace().nth(1) == Some(version)) {
            return Ok(());
        }
        say(&format!("compiling {package} {version} (once, some minutes)"));
        fs::create_dir_all(&self.tools)
            .map_err(|error| format!("{} cannot be made ({error}).", self.tools.display()))?;
        let log = self.tools.join(format!("{package}.log"));
        // A tool's own lock file may name a version that a registry mirror does not carry; then let cargo choose.
        let is_installed = ["--locked", "--quiet"].iter().any(|how| {
            // Built for a short build, not for speed, and without TLS: these tools are given everything and download nothing.
            let mut install = command("cargo install --quiet --no-default-features --root");
            install.arg(&self.tools).args(["--bin", binary, &format!("{package}@{version}")]);
            install.args(Some(how).filter(|how| **how != "--quiet"));
            install.env("CARGO_TARGET_DIR", self.tools.join("build")).envs(QUICK_BUILD);
            install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", optimisation.to_string());
            let output = install.output();
            let text = output.as_ref().map(|output| output.stderr.clone()).unwrap_or_default();
            // The log is for people who look for a reason.
            let _ = fs::write(&log, text);
            output.is_ok_and(|output| output.status.success())
        });
        // Only disk space.
        let _ = fs::remove_dir_all(self.tools.join("build"));
        if is_installed {
            Ok(())
        } else {
            Err(format!("{package} {version} did not compile: its output is in {}.", log.display()))
        }
    }

    /// The packages of tests/package.json.
    pub fn npm(&self) -> Result {
        npm_packages("tests", "the npm packages of tests/package.json")
    }

    /// What ours is measured against and with: 200 MB, so only for that.
    pub fn peers(&self) -> Result {
        npm_packages("tests/bench", "onnxruntime-web and Lighthouse")
    }

    /// Chromium's path.
    pub fn chrome(&mut self) -> Result<PathBuf> {
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
        self.browser("CHROME", &names, "chromium").ok_or_else(|| {
            "Chromium is missing: install it (or set CHROME to a Chrome or Chromium), then run this again.".into()
        })
    }

    /// Firefox's path.
    pub fn firefox(&mut self) -> Result<PathBuf> {
        self.browser("FIREFOX", &["firefox-esr", "firefox"], "firefox-esr").ok_or_else(|| {
            "Firefox is missing: install Firefox 153 or newer (or set FIREFOX to one), then run this again.".into()
        })
    }

    /// WebKitGTK's browser, with its driver and a screen in memory: whether there are any, which is on Linux only.
    pub fn webkit(&mut self) -> Result<bool> {
        if !cfg!(target_os = "linux") {
            return Ok(false);
        }
        let programs = ["WebKitWebDriver", "Xvfb"];
        let is_there = || programs.iter().all(|name| which(name).is_some());
        if is_there() || self.apt(&["webkit2gtk-driver", "xvfb"]) && is_there() {
            return Ok(true);
        }
        Err("WebKitGTK's driver is missing: install webkit2gtk-driver and xvfb, then run this again.".into())
    }

    fn browser(&mut self, variable: &str, names: &[&str], package: &str) -> Option<PathBuf> {
        let chosen = std::env::var(variable).ok();
        let there = || chosen.iter().map(String::as_str).chain(names.iter().copied()).find_map(which);
        if let Some(path) = there() {
            return Some(path);
        }
        self.apt(&[package]);
        there()
    }

    /// The GPU tests run on Mesa's software Vulkan: the same everywhere, and where there is no GPU.
    fn vulkan(&mut self) -> Result {
        if lavapipe().is_some() || self.apt(&["mesa-vulkan-drivers", "libvulkan1"]) {
            return Ok(());
        }
        Err("Mesa's software Vulkan is missing: install mesa-vulkan-drivers and libvulkan1, then run this again."
            .into())
    }

    /// QEMU's user mode poses as processors with fewer vector instructions. Without it one test passes by.
    fn older_processors(&mut self) {
        if cfg!(target_arch = "x86_64") && which("qemu-x86_64").is_none() && !self.apt(&["qemu-user"]) {
            say("qemu-user is missing: nothing will be tested as on older processors.");
        }
    }

    /// Python with the packages of a file, which can be gigabytes, so only for those who train or measure.
    pub fn python(&mut self, name: &str, requirements: &Path) -> Result<PathBuf> {
        let venv = self.tools.join(name);
        let (python, done) = (venv.join("bin/python"), venv.join("requirements.txt"));
        let wanted = fs::read(requirements).map_err(|error| format!("{} ({error})", requirements.display()))?;
        if fs::read(&done).is_ok_and(|installed| installed == wanted) {
            return Ok(python);
        }
        let is_usable = || {
            let check = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))";
            succeeds(command("python3 -c").arg(check))
        };
        if !(is_usable() || self.apt(&["python3", "python3-venv"]) && is_usable()) {
            return Err(
                "Python 3.11 or newer with venv is missing: install python3 and python3-venv, then run this again."
                    .into(),
            );
        }
        say(&format!("installing the packages of {} (once)", requirements.display()));
        // What an earlier, stopped attempt left.
        let _ = fs::remove_dir_all(&venv);
        run(command("python3 -m venv").arg(&venv))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(&python).args(install).arg(requirements)).map_err(|_| {
            format!(
                "the Python packages of {} could not be installed: check the network, then run this again.",
                requirements.display()
            )
        })?;
        fs::write(&done, wanted).map_err(|error| format!("{} cannot be written ({error}).", done.display()))?;
        Ok(python)
    }
}

/// Mesa's software Vulkan driver.
pub fn lavapipe() -> Option<PathBuf> {
    found("/usr/share/vulkan/icd.d/lvp_icd*.json").into_iter().next()
}

/// Runs `command` with that driver alone. Vulkan's loader complains where there is no `XDG_RUNTIME_DIR`, as on most build
/// machines.
pub fn on_lavapipe(command: &mut Command) -> &mut Command {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command.envs(lavapipe().map(|driver| ("VK_DRIVER_FILES", driver)))
}

fn has_wasm_target(toolchain: Option<&str>) -> bool {
    let mut rustc = command("rustc");
    rustc.args(toolchain.map(|name| format!("+{name}"))).args(["--print", "sysroot"]);
    let library = |root: String| format!("{root}/lib/rustlib/{WASM_TARGET}/lib/libstd-*.rlib");
    printed(&mut rustc).is_some_and(|root| !found(&library(root)).is_empty())
}

/// The version of a crate in Cargo.lock.
fn locked_version(package: &str) -> Result<String> {
    let lock = fs::read_to_string("Cargo.lock").map_err(|error| format!("Cargo.lock cannot be read ({error})."))?;
    let version =
        lock.split_once(&format!("name = \"{package}\"\nversion = \"")).and_then(|(_, rest)| rest.split_once('"'));
    version.map(|(version, _)| version.to_string()).ok_or_else(|| format!("Cargo.lock has no {package}."))
}

/// Installs what `folder`/package-lock.json names, if that has changed.
fn npm_packages(folder: &str, what: &str) -> Result {
    let changed = |path: String| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let done = format!("{folder}/node_modules/.package-lock.json");
    if changed(done.clone()) > changed(format!("{folder}/package-lock.json")) {
        return Ok(());
    }
    if which("npm").is_none() {
        return Err("npm is missing: install Node.js 20 or later (https://nodejs.org), then run this again.".into());
    }
    say(&format!("installing {what}"));
    let options: [OsString; 6] =
        ["ci", "--ignore-scripts", "--silent", "--no-fund", "--no-audit", "--prefix"].map(Into::into);
    run(command("npm").args(options).arg(folder))
        .map_err(|_| format!("{what} could not be installed: check the network, then run this again."))?;
    run(command("touch").arg(done))
}
