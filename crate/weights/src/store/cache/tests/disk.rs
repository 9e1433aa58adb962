//! Tests of the cache on disk.

use std::path::PathBuf;
use std::rc::Rc;

use pollster::block_on;

use super::super::Cache;
use super::super::disk::{Disk, reason};
use super::{CHUNK, find, keep, key, names, readable};
use crate::store::storage::{Storage, StorageError};

/// A temporary folder, removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("styleid-cache-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_disk_keeps_models_among_other_things() {
    let scratch = Scratch::new("models");
    let cache = || Cache { chunk_bytes: CHUNK, ..Cache::new(Rc::new(Disk::at(scratch.0.join("deep/er")))) };
    assert!(block_on(cache().list()).expect("the disk can say").is_empty());
    assert!(find(&cache(), &key()).is_none());
    keep(&cache(), None).expect("a temporary folder can be written to");
    let mut kept = find(&cache(), &key()).expect("it was kept");
    assert!(kept.complete());
    assert_eq!(readable(&mut kept), names());

    let root = scratch.0.join("deep/er");
    let mut files: Vec<_> = std::fs::read_dir(root.join(key().folder()))
        .expect("the model's folder")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a plain name"))
        .collect();
    files.sort();
    let mut expected: Vec<String> = (0..6).map(|n| format!("chunk-{n:04}.bin")).collect();
    expected.extend(["manifest-2.json".into(), "manifest.json".into()]);
    assert_eq!(files, expected, "nothing half-written is left");

    std::fs::create_dir(root.join("photos")).expect("a folder");
    std::fs::write(root.join("photos/a.jpg"), "picture").expect("a file");
    std::fs::write(root.join("notes.txt"), "text").expect("a file");
    let list = block_on(cache().list()).expect("the disk can say");
    assert_eq!((list.len(), list[0].key.clone(), list[0].complete), (1, Some(key()), true));
    let bytes: u64 =
        expected.iter().map(|file| std::fs::metadata(root.join(key().folder()).join(file)).expect("it").len()).sum();
    assert_eq!(list[0].bytes, bytes);

    std::fs::write(root.join(key().folder()).join("chunk-0002.bin"), "short").expect("a file");
    assert_eq!(block_on(kept.read_chunk(2)).expect("it can be read"), []);
    keep(&cache(), Some(kept)).expect("a temporary folder can be written to");
    let mut kept = find(&cache(), &key()).expect("it was kept");
    assert!(kept.complete() && readable(&mut kept).len() == names().len());
    let chunk = root.join(key().folder()).join("chunk-0002.bin");
    std::fs::remove_file(&chunk).expect("it was mended");
    std::fs::create_dir(&chunk).expect("a folder cannot be read like a file");
    let mended = kept.chunks().iter().position(|each| each.file == "chunk-0002.bin").expect("it has its file again");
    assert!(block_on(kept.read_chunk(mended)).is_err());
    assert!(root.join(key().folder()).exists(), "the model stays");
    block_on(cache().purge_all()).expect("it can be removed");
    assert!(!root.join(key().folder()).exists());
    assert!(root.join("photos/a.jpg").exists() && root.join("notes.txt").exists());
}

#[test]
fn the_disk_replaces_files_whole_and_goes_nowhere_else() {
    let scratch = Scratch::new("files");
    let disk = Disk::at(scratch.0.clone());
    block_on(async {
        assert_eq!(disk.read("a", "b").await, Ok(None));
        disk.write("a", "b", b"a long first text").await.expect("a temporary folder can be written to");
        disk.write("a", "b", b"short").await.expect("a temporary folder can be written to");
        assert_eq!(disk.read("a", "b").await, Ok(Some(b"short".to_vec())));
        assert_eq!(disk.folders().await, Ok(vec![("a".into(), 5)]));
        // Left by a killed process: once long ago, once just now.
        let old = scratch.0.join("a/b.1-0.partial");
        let new = scratch.0.join("a/b.2-0.partial");
        std::fs::write(&new, "new").expect("a file");
        let file = std::fs::File::create(&old).expect("a file");
        let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
        file.set_modified(yesterday).expect("a file's time can be set");
        disk.write("a", "c", b"").await.expect("a temporary folder can be written to");
        assert!(!old.exists() && new.exists());

        for no in ["", ".", "..", "../b", "a/b", "/etc", "a\\b", "C:", ".hidden", "b\0"] {
            for outcome in [
                disk.write(no, "b", b"x").await.err(),
                disk.write("a", no, b"x").await.err(),
                disk.read(no, "b").await.err(),
                disk.read("a", no).await.err(),
                disk.remove(no).await.err(),
            ] {
                assert!(matches!(outcome, Some(StorageError::Other(_))), "{no:?}");
            }
        }
        assert!(scratch.0.join("a/b").exists());
        disk.remove("a").await.expect("it can be removed");
        disk.remove("a").await.expect("it need not be there");
        assert_eq!(disk.folders().await, Ok(Vec::new()));

        // There is a file in place of the folder.
        std::fs::write(scratch.0.join("a"), "").expect("a file");
        assert!(matches!(disk.write("a", "b", b"x").await, Err(StorageError::Other(_))));
    });
    use std::io::{Error, ErrorKind};
    for (kind, full) in [(ErrorKind::StorageFull, true), (ErrorKind::QuotaExceeded, true), (ErrorKind::Other, false)] {
        assert_eq!(reason(&Error::from(kind)) == StorageError::Full, full, "{kind}");
    }
    #[cfg(target_os = "linux")]
    assert_eq!(reason(&Error::from_raw_os_error(28)), StorageError::Full, "ENOSPC");
}

#[test]
fn the_folder_is_the_systems_unless_one_is_chosen() {
    let root = |os: &str, variables: &[(&str, &str)]| {
        Disk::default_root(os, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    };
    let chosen = [("STYLEID_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h"), ("LOCALAPPDATA", "/l")];
    for os in ["linux", "macos", "windows"] {
        assert_eq!(root(os, &chosen), Some("/c".into()));
        assert_eq!(root(os, &[]), None);
    }
    assert_eq!(root("linux", &chosen[1..]), Some("/x/styleid".into()));
    assert_eq!(root("linux", &chosen[2..]), Some("/h/.cache/styleid".into()));
    assert_eq!(root("macos", &chosen[1..]), Some("/h/Library/Caches/styleid".into()));
    assert_eq!(root("windows", &chosen[1..]), Some("/l/styleid".into()));
    let odd = [("STYLEID_CACHE", ""), ("XDG_CACHE_HOME", "relative"), ("HOME", "/h")];
    assert_eq!(root("freebsd", &odd), Some("/h/.cache/styleid".into()));
}
