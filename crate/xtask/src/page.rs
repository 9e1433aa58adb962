//! The page: the program compiled to wasm and optimised, and the list of files that its service worker keeps.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use crate::found;
use crate::prepare::Machine;
use crate::tool::{Result, command, run, say};

const WASM: &str = "dist/styleid_bg.wasm";

/// Most bytes of the wasm when it is gzipped. All that a visitor loads before the first picture is this and a few small files.
const ROOM: u64 = 3_200_000;

/// Builds dist/, with the models that lie in packed/ if `packed`. Tests are of the page as it is in the repository.
pub fn build(machine: &Machine, packed: bool) -> Result {
    // At its own level trunk warns of a page without a Rust program, which ours is.
    run(machine.for_wasm("trunk").arg("build").env("RUST_LOG", "error"))?;
    optimise(&machine.target)?;
    if packed {
        run(&mut command("node .ci/packed.mjs packed dist"))?;
    }
    run(&mut command("node .ci/shrink.mjs dist"))?;
    list_files()
}

/// The smallest wasm is worth minutes for a page that many load and none while developing, so only build and test do this.
fn optimise(target: &Path) -> Result {
    let folder = target.join("wasm-opt");
    let kept = folder.join(format!("{}.wasm", &sum(Path::new(WASM))?[..32]));
    if !kept.is_file() {
        say(&format!("optimising the wasm ({} kB)", size(WASM)? / 1000));
        // There may be none; what is left of it is in the way of nothing but disk space.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(told(&folder))?;
        let part = kept.with_extension("part");
        let mut optimise = command("wasm-opt -Oz --strip-debug --strip-producers --enable-bulk-memory");
        optimise.args(["--enable-mutable-globals", "--enable-multivalue", "--enable-nontrapping-float-to-int"]);
        optimise.args(["--enable-reference-types", "--enable-sign-ext", WASM, "-o"]).arg(&part);
        run(&mut optimise)?;
        fs::rename(&part, &kept).map_err(told(&kept))?;
    }
    fs::copy(&kept, WASM).map_err(told(&kept))?;
    say(&format!("wasm: {} kB, {} kB gzipped", size(WASM)? / 1000, gzipped()? / 1000));
    Ok(())
}

/// Fails where the wasm has outgrown its room.
pub fn check_size() -> Result {
    let bytes = gzipped()?;
    if bytes <= ROOM { Ok(()) } else { Err(format!("the wasm has {bytes} bytes gzipped, more than {ROOM}.")) }
}

fn gzipped() -> Result<u64> {
    let zipped = command("gzip -c").arg(WASM).stderr(Stdio::inherit()).output();
    let zipped = zipped.ok().filter(|output| output.status.success());
    Ok(zipped.ok_or("gzip could not read the wasm.")?.stdout.len() as u64)
}

fn size(path: &str) -> Result<u64> {
    Ok(fs::metadata(path).map_err(told(Path::new(path)))?.len())
}

/// Writes dist/files.js: what the service worker keeps, and by what it knows a new version, which is every file of the page but
/// itself, with its sum. What measures results is kept when it is first asked for; models are kept by the program.
fn list_files() -> Result {
    let root = Path::new("dist");
    let mut now = Vec::new();
    let mut later = Vec::new();
    for path in found("dist/**/*").into_iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        let own = name.starts_with("models")
            || ["sw.js", "files.js", "files.js.part"].iter().any(|own| name == Path::new(own));
        if name.starts_with("metrics") && name.extension() == Some(OsStr::new("safetensors")) {
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
