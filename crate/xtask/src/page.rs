//! The page: its programs compiled to wasm and optimised, and the list of files that its service worker keeps.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::found;
use crate::prepare::{Machine, WASM_TARGET};
use crate::tool::{Result, command, run, say};

/// A program of the page.
struct Program {
    wasm: &'static str,
    /// Most bytes of it when it is gzipped. All that a visitor loads before the first picture is one program and a few small
    /// files.
    room: u64,
}

const PROGRAMS: [Program; 2] = [
    Program { wasm: "dist/styleid_bg.wasm", room: 3_200_000 },
    Program { wasm: "dist/processor_bg.wasm", room: 1_600_000 },
];
/// What wasm-opt does to them. Functions that are called once stay: inlined, they take a twelfth more of the gzipped size, and
/// the kernel of matrix products gets no registers for its sums.
const OPTIMISE: &str = "-Oz --one-caller-inline-max-function-size=20";
/// What the compiler uses of WebAssembly.
const FEATURES: &str = "--strip-debug --strip-producers --enable-bulk-memory --enable-mutable-globals --enable-multivalue \
                        --enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext --enable-simd";
/// Where trunk says to put a file of the page that is being built.
const STAGE: &str = "TRUNK_STAGING_DIR";

/// Builds dist/, with the models that lie in packed/ if `packed`. Tests are of the page as it is in the repository.
pub fn build(machine: &Machine, packed: bool) -> Result {
    // At its own level trunk warns of a page without a Rust program, which ours is.
    run(trunk(machine)?.arg("build").env("RUST_LOG", "error"))?;
    for Program { wasm, .. } in PROGRAMS {
        optimise(&machine.target, wasm)?;
    }
    if packed {
        run(&mut command("node .ci/packed.mjs packed dist"))?;
    }
    run(&mut command("node .ci/shrink.mjs dist"))?;
    list_files()
}

/// Trunk, which calls this program back for the processor's part of the page (Trunk.toml).
pub fn trunk(machine: &Machine) -> Result<Command> {
    let own = std::env::current_exe().map_err(|error| format!("this program's path is not known ({error})."))?;
    let paths = own.parent().map(Path::to_path_buf).into_iter();
    let all = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::join_paths(paths.chain(std::env::split_paths(&all)));
    let mut trunk = machine.for_wasm("trunk");
    trunk.env("PATH", paths.map_err(|error| format!("{} cannot be in PATH ({error}).", own.display()))?);
    Ok(trunk)
}

/// Builds the program for the processor into the page that trunk is making.
pub fn processor(machine: &Machine) -> Result {
    let stage = std::env::var_os(STAGE).ok_or("only trunk calls this.")?;
    let mut cargo = machine.for_wasm("cargo");
    cargo.args([
        "build",
        "--locked",
        "--package",
        "styleid",
        "--lib",
        "--target",
        WASM_TARGET,
        "--profile",
        "processor",
    ]);
    cargo.args(["--no-default-features", "--features", "processor"]).env("RUSTFLAGS", "-C target-feature=+simd128");
    run(&mut cargo)?;
    let wasm = machine.target.join(WASM_TARGET).join("processor/styleid.wasm");
    let mut bind = command("wasm-bindgen --target web --no-typescript --out-name processor --out-dir");
    run(bind.arg(stage).arg(wasm))
}

/// The smallest wasm is worth minutes for a page that many load and none while developing, so only build and test do this.
fn optimise(target: &Path, wasm: &str) -> Result {
    let name = Path::new(wasm).file_stem().unwrap_or_default();
    let folder = target.join("wasm-opt").join(name);
    let kept = folder.join(format!("{}.wasm", &sum(Path::new(wasm))?[..32]));
    if !kept.is_file() {
        say(&format!("optimising {wasm} ({} kB)", size(wasm)? / 1000));
        // There may be none; what is left of it is in the way of nothing but disk space.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(told(&folder))?;
        let part = kept.with_extension("part");
        run(command(&format!("wasm-opt {OPTIMISE} {FEATURES} {wasm} -o")).arg(&part))?;
        fs::rename(&part, &kept).map_err(told(&kept))?;
    }
    fs::copy(&kept, wasm).map_err(told(&kept))?;
    say(&format!("{wasm}: {} kB, {} kB gzipped", size(wasm)? / 1000, gzipped(wasm)? / 1000));
    Ok(())
}

/// Fails where a program has outgrown its room.
pub fn check_size() -> Result {
    for Program { wasm, room } in PROGRAMS {
        let bytes = gzipped(wasm)?;
        if bytes > room {
            return Err(format!("{wasm} has {bytes} bytes gzipped, more than {room}."));
        }
    }
    Ok(())
}

fn gzipped(wasm: &str) -> Result<u64> {
    let zipped = command("gzip -c").arg(wasm).stderr(Stdio::inherit()).output();
    let zipped = zipped.ok().filter(|output| output.status.success());
    Ok(zipped.ok_or("gzip could not read the wasm.")?.stdout.len() as u64)
}

fn size(path: &str) -> Result<u64> {
    Ok(fs::metadata(path).map_err(told(Path::new(path)))?.len())
}

/// Writes dist/files.js: what the service worker keeps, and by what it knows a new version, which is every file of the page but
/// itself, with its sum. What measures results and the processor's program are kept when they are first asked for; models are
/// kept by the programs.
fn list_files() -> Result {
    let root = Path::new("dist");
    let mut now = Vec::new();
    let mut later = Vec::new();
    for path in found("dist/**/*").into_iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        let own = name.starts_with("models")
            || ["sw.js", "files.js", "files.js.part"].iter().any(|own| name == Path::new(own));
        let measures = name.starts_with("metrics") && name.extension() == Some(OsStr::new("safetensors"));
        if measures || ["processor.js", "processor_bg.wasm"].iter().any(|own| name == Path::new(own)) {
            later.push(name);
        } else if !own {
            now.push(name);
        }
    }
    let mut text = String::new();
    for (list, mut names) in [("FILES", now), ("LATER", later)] {
        names.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "self.{list} = {{");
        for name in names {
            let _ = writeln!(text, "  \"{}\": \"{}\",", name.display(), sum(&root.join(&name))?);
        }
        let _ = writeln!(text, "}};");
    }
    let part = PathBuf::from("dist/files.js.part");
    fs::write(&part, text).map_err(told(&part))?;
    fs::rename(&part, "dist/files.js").map_err(told(&part))
}

/// A file's SHA-256 in hexadecimal digits.
fn sum(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(told(path))?;
    Ok(Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

fn told(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{} cannot be used ({error}).", path.display())
}
