//! Many results in one run where something is wrong: unreadable pictures and folders, a run that is killed, a GPU that
//! cannot be used.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::cli::{failure, program, text};
use crate::cli_batch::{arguments, files, folders, made, run};
use crate::golden::fixture;
use crate::support::Scratch;

#[test]
fn pictures_that_cannot_be_used_are_named_and_the_others_are_made() {
    let scratch = folders();
    let bad = ["notes.txt", "cut.jpg", "empty.jpg"];
    for name in bad {
        std::fs::copy(fixture(&format!("pictures/{name}")), scratch.path("photos").join(name)).expect("a copy");
    }
    let locked = scratch.path("photos/locked.png");
    std::fs::copy(scratch.path("photos/photos0.png"), &locked).expect("a copy");
    #[cfg(unix)]
    std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("permissions");
    // A user who may read every file, such as root, can read this one, too.
    let is_locked = std::fs::read(&locked).is_err();
    if !is_locked {
        eprintln!("skipped: this user reads files without permission");
        std::fs::remove_file(&locked).expect("removed");
    }
    let output = run(&scratch, "out", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("failed: ")).collect();
    let named = bad.into_iter().chain(is_locked.then_some("locked.png"));
    let mut count = 0;
    for name in named {
        let line = failed.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} in {said}"));
        assert!(line.ends_with("(4 results)"), "{line}");
        count += 1;
    }
    assert_eq!(failed.len(), count, "{said}");
    assert!(said.ends_with(&format!(
        "error: {} of {} results could not be made, as said above.\n",
        4 * count,
        12 + 4 * count
    )));
    assert_eq!(files(&scratch.path("out")).len(), 12);
    // In a second run the same pictures fail again, and no result is made again.
    let output = run(&scratch, "out", &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 results made, 12 were there already"));
    assert_eq!(output.status.code(), Some(1));
}

/// Starts a run and waits until there are `results` results.
fn begun(scratch: &Scratch, out: &str, more: &[&str], results: usize) -> Child {
    let arguments = arguments(scratch, out, more);
    let mut program = program(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let began = Instant::now();
    let there = || std::fs::read_dir(scratch.path(out)).into_iter().flatten().flatten().filter(is_result).count();
    while there() < results {
        assert!(began.elapsed() < Duration::from_secs(60), "{} results", there());
        assert!(child.try_wait().expect("a child").is_none(), "it ended with {} results", there());
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn is_result(entry: &std::fs::DirEntry) -> bool {
    Path::new(&entry.file_name()).extension().is_some_and(|ending| ending == "png")
}

#[test]
fn a_run_that_is_killed_and_repeated_gives_the_same_bytes() {
    let scratch = folders();
    // Long enough to be killed in the middle.
    let more = ["--steps", "4"];
    made(&scratch, "whole", &more);
    let whole = files(&scratch.path("whole"));
    for results in [1, 4, 9] {
        let mut child = begun(&scratch, "out", &more, results);
        child.kill().expect("killed");
        child.wait().expect("ended");
        for (name, bytes) in files(&scratch.path("out")).iter().filter(|(name, _)| name.ends_with(".png")) {
            assert!(*bytes == whole[name], "{name} is whole");
        }
    }
    made(&scratch, "out", &more);
    let mut out = files(&scratch.path("out"));
    // A file that was being written when the run was killed has another name.
    out.retain(|name, _| !name.starts_with(".styleid-"));
    assert!(out == whole);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_between_two_steps() {
    let scratch = folders();
    let more = ["--steps", "4"];
    for signal in ["-INT", "-TERM"] {
        let mut child = begun(&scratch, signal, &more, 2);
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        assert_eq!(child.wait().expect("ended").code(), Some(130), "{signal}");
        let left = files(&scratch.path(signal));
        assert!((2..12).contains(&left.len()), "{:?}", left.keys());
        made(&scratch, signal, &more);
        let all = files(&scratch.path(signal));
        assert!(left.iter().all(|(name, bytes)| all[name] == *bytes) && all.len() == 12);
    }
}

#[test]
fn where_nothing_can_be_written_a_sentence_says_so() {
    let scratch = folders();
    std::fs::write(scratch.path("file"), "no folder").expect("a file");
    for out in ["file", "file/inside"] {
        let arguments = arguments(&scratch, out, &[]);
        let said = failure(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.starts_with("error: ") && said.contains("file"), "{said}");
    }
    let (model, full) = (fixture("models/micro15"), Path::new("/dev/full"));
    let [photo, painting] = ["photos/photos0.png", "paintings/paintings0.png"].map(|name| scratch.path(name));
    let base = ["stylize", "--model", text(&model), "--content", text(&photo), "--style", text(&painting)];
    let quick = ["--steps", "1", "--size", "64", "--out"];
    if full.exists() {
        let said = failure(&[&base[..], &quick, &[text(full)]].concat());
        assert!(said.contains("/dev/full cannot be written: No space left"), "{said}");
    }
    // A path that cannot be the folder of inversions is reported before anything is computed.
    let (out, file) = (scratch.path("out/"), scratch.path("file"));
    let said = failure(&[&base[..], &quick, &[text(&out), "--keep-inversions", text(&file)]].concat());
    assert!(said.starts_with("error: Inversions cannot be kept in ") && said.contains("file"), "{said}");
}

/// Environment variables that send Vulkan and EGL to drivers that do not exist.
const NOWHERE: &[(&str, &str)] =
    &[("VK_DRIVER_FILES", "/nonexistent.json"), ("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent.json")];

#[test]
fn the_device_is_chosen_and_named() {
    let scratch = folders();
    let model = fixture("models/micro15");
    let [photo, painting, out] =
        ["photos/photos0.png", "paintings/paintings0.png", "out.png"].map(|name| scratch.path(name));
    let base = ["stylize", "--model", text(&model), "--content", text(&photo), "--style", text(&painting)];
    let quick = ["--steps", "1", "--size", "64", "--layers", "7", "--out", text(&out), "--device"];
    let started = |device: &str, hook: Option<&str>, drivers: &[(&str, &str)]| {
        let mut program = program(&[&base[..], &quick, &[device]].concat());
        program.envs(hook.map(|hook| ("STYLEID_TEST_ADAPTER", hook))).envs(drivers.iter().copied());
        program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let said = |device: &str, hook: Option<&str>, drivers: &[(&str, &str)]| {
        let output = started(device, hook, drivers).wait_with_output().expect("it ends");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Vulkan and EGL find no driver, and on Linux there is no other way to a GPU.
    if cfg!(target_os = "linux") {
        let (made, words) = said("auto", None, NOWHERE);
        assert!(made && words.contains("Processor: there is no GPU here"), "{words}");
        let (made, words) = said("gpu", None, NOWHERE);
        assert!(!made && words.contains("error: No GPU can be used here"), "{words}");
    }
    if std::env::var_os("VK_DRIVER_FILES").is_none() {
        eprintln!("skipped: only ./dev test promises an adapter");
        return;
    }
    // The adapter that ./dev test provides is a software adapter.
    let (made, words) = said("auto", None, &[]);
    assert!(made && words.contains("Processor: the only GPU here is software ("), "{words}");
    let mut child = started("auto", Some("hardware"), &[]);
    let mut first = String::new();
    BufReader::new(child.stderr.take().expect("its errors")).read_line(&mut first).expect("a line");
    // On a software adapter the run itself would take a minute, so it is killed here.
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(first.starts_with("GPU: ") && first.contains("the best one here"), "{first}");
    let (made, words) = said("auto", Some("broken"), &[]);
    assert!(
        made && words.contains("No GPU can be used here") && words.contains("The processor computes instead"),
        "{words}"
    );
    let (made, words) = said("auto", Some("small"), &[]);
    assert!(made && words.contains("memory ran out") && words.contains("The processor computes instead"), "{words}");
}
