//! Tests of storages that are full or fail.

use std::rc::Rc;

use pollster::block_on;
use serde_json::Value;

use super::super::memory::MemoryStorage;
use super::{cache, find, keep, keep_half, key, names, readable, tensors};
use crate::store::storage::StorageError;

#[test]
fn a_full_storage_keeps_nothing_and_is_left_empty() {
    let whole = Rc::new(MemoryStorage::default());
    keep(&cache(&whole), None).expect("nothing fails");
    let needed = whole.bytes();
    let mut kept = 0;
    for room in (0..needed + 40).step_by(7) {
        let storage = Rc::new(MemoryStorage::default());
        storage.room.set(Some(room));
        let cache = cache(&storage);
        let outcome = keep(&cache, None);
        let found = find(&cache, &key());
        if outcome.is_ok() {
            assert!(room >= needed);
            assert_eq!(readable(&mut found.expect("it was kept")), names());
            kept += 1;
        } else {
            assert_eq!(outcome, Err(StorageError::Full));
            assert!(found.is_none() && storage.files.borrow().is_empty(), "{room}");
        }
    }
    assert!(kept > 0);
}

#[test]
fn a_writer_says_that_it_is_full_and_writes_no_more() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    let kept = keep_half(&cache);
    storage.room.set(Some(storage.bytes() + 50));
    block_on(async {
        let mut writer = cache.begin(&key(), Value::Null, Some(kept)).await;
        let mut full = Vec::new();
        for tensor in tensors() {
            writer.put(&tensor).await;
            full.push(writer.is_full());
        }
        // Detected when the chunk before "g" is written.
        assert_eq!(full, [false, false, false, false, false, false, false, false, false, true]);
        assert_eq!(writer.stopped(), Some(&StorageError::Full));
        let writes = storage.writes();
        storage.room.set(None);
        assert_eq!(writer.finish(Value::Null).await, Err(StorageError::Full));
        assert_eq!(storage.writes(), writes);
        assert!(storage.files.borrow().is_empty(), "the part of the earlier visit has gone too");
    });
}

#[test]
fn another_failure_leaves_what_a_manifest_names() {
    let reason = "another tab has it open";
    for files in ["", "manifest"] {
        let storage = Rc::new(MemoryStorage::default());
        let cache = cache(&storage);
        storage.refusing.replace(Some((files, reason)));
        assert_eq!(keep(&cache, None), Err(StorageError::Other(reason.into())));
        assert!(storage.files.borrow().is_empty(), "chunks that nothing names are of no use");
        storage.refusing.replace(None);
        let kept = keep_half(&cache);
        storage.refusing.replace(Some((files, reason)));
        assert_eq!(keep(&cache, Some(kept)), Err(StorageError::Other(reason.into())));
        let mut kept = find(&cache, &key()).expect("it is still there");
        assert_eq!(readable(&mut kept), names()[..5]);
    }
}

#[test]
fn an_unreadable_copy_is_an_error_and_stays() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    keep(&cache, None).expect("nothing fails");
    let files = storage.files.borrow().len();
    storage.unreadable.replace(Some("manifest".into()));
    let error = block_on(cache.find(&key())).expect_err("it is in use").to_string();
    assert!(error.contains("cannot be read (the file is in use); try again"), "{error}");
    assert!(cache.notes().is_empty(), "the error says it");
    storage.unreadable.replace(Some("chunk".into()));
    let mut kept = find(&cache, &key()).expect("the manifest can be read");
    let error = block_on(kept.read_chunk(0)).expect_err("it is in use").to_string();
    assert!(error.contains("cannot be read (the file is in use); try again"), "{error}");
    assert!(kept.whole(), "nothing is lost by it");
    storage.unreadable.replace(None);
    assert_eq!(storage.files.borrow().len(), files);
    assert_eq!(readable(&mut kept), names());
}

#[test]
fn a_storage_that_cannot_be_listed_is_not_an_empty_one() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    keep(&cache, None).expect("nothing fails");
    storage.dead.set(true);
    let error = block_on(cache.list()).expect_err("nobody can say").to_string();
    assert_eq!(error, "Nobody can say which models are kept (the process is dead).");
    // A model is loaded nevertheless, without a copy of it.
    assert!(block_on(cache.find(&key())).expect("nothing to wait for").is_none());
    let notes = cache.notes();
    assert!(notes.len() == 1 && notes[0].contains("the process is dead"), "{notes:?}");
    assert!(cache.notes().is_empty(), "they were taken");
}
