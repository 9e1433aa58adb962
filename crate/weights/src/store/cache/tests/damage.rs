//! Tests of data that was damaged on disk or never valid.

use std::rc::Rc;

use pollster::block_on;
use serde_json::{Value, json};

use super::super::manifest::FILES;
use super::super::memory::MemoryStorage;
use super::{cache, crc32, find, keep, key, manifest};

#[test]
fn every_flipped_bit_of_a_chunk_is_seen() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    keep(&cache, None).expect("nothing fails");
    let sound = storage.files.borrow().clone();
    let mut flips = 0;
    for ((_, file), bytes) in sound.iter().filter(|((_, file), _)| !FILES.contains(&&file[..])) {
        for bit in 0..bytes.len() * 8 {
            let mut files = sound.clone();
            files.get_mut(&(key().folder(), file.clone())).expect("it is there")[bit / 8] ^= 1 << (bit % 8);
            storage.files.replace(files);
            let mut kept = find(&cache, &key()).expect("the manifest is sound");
            let position = kept.chunks().iter().position(|chunk| chunk.file == *file).expect("it is named");
            assert_eq!(
                block_on(kept.read_chunk(position)).expect("the storage can be read"),
                [],
                "none of its tensors"
            );
            assert!(!kept.whole() && kept.tensors().all(|tensor| tensor.chunk != position));
            let notes = cache.notes();
            assert!(notes.len() == 1 && notes[0].contains("of org/A model is damaged"), "{notes:?}");
            assert_eq!(storage.files.borrow().len(), sound.len(), "the rest of it stays");
            flips += 1;
        }
    }
    assert_eq!(flips, 502 * 8);
}

#[test]
fn every_flipped_bit_of_a_manifest_is_seen() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    keep(&cache, None).expect("nothing fails");
    let sound = storage.files.borrow().clone();
    let (newest, older): (Vec<_>, Vec<_>) = (sound.keys())
        .filter(|(_, file)| FILES.contains(&&file[..]))
        .partition(|at| manifest(&sound[*at])["complete"] == true);
    for bit in 0..sound[newest[0]].len() * 8 {
        let mut files = sound.clone();
        files.get_mut(newest[0]).expect("it is there")[bit / 8] ^= 1 << (bit % 8);
        storage.files.replace(files.clone());
        // The previous manifest lists what was there then, a subset of what is there now.
        let found = find(&cache, &key()).expect("the other one is sound");
        assert!(!found.complete(), "bit {bit}");
        assert!(cache.notes().is_empty());

        files.remove(older[0]);
        storage.files.replace(files);
        assert!(find(&cache, &key()).is_none(), "bit {bit}");
        assert!(storage.files.borrow().is_empty(), "what is of no use is removed");
        assert_eq!(cache.notes().len(), 1);
    }
    for bit in 0..sound[older[0]].len() * 8 {
        let mut files = sound.clone();
        files.get_mut(older[0]).expect("it is there")[bit / 8] ^= 1 << (bit % 8);
        storage.files.replace(files);
        assert!(find(&cache, &key()).expect("the newest is sound").complete());
    }
}

/// A manifest file as the format describes it, built without the code under test.
fn sealed(manifest: &str) -> Vec<u8> {
    format!("{{\"crc32\":\"{:08x}\",\n\"manifest\":{manifest}}}\n", crc32(manifest.as_bytes())).into_bytes()
}

#[test]
fn manifests_whose_numbers_disagree_are_not_believed() {
    let sound = json!({
        "version": 1, "round": 4, "complete": true, "bytes": 46, "model": {"any": [1, null]},
        "key": {"origin": "org/A model", "revision": "1a2b", "file": "", "weights": "q8"},
        "chunks": [{"file": "chunk-0000.bin", "bytes": 12, "crc32": 1}, {"file": "chunk-0007.bin", "bytes": 34, "crc32": 2}],
        "tensors": [
            {"name": "a", "dtype": "F32", "shape": [1, 2], "chunk": 0, "offset": 0, "bytes": 8},
            {"name": "b", "dtype": "F16", "shape": [2], "chunk": 0, "offset": 8, "bytes": 4},
            {"name": "c", "dtype": "Q8_0", "shape": [32], "chunk": 1, "offset": 0, "bytes": 34},
        ],
    });
    let found = |bytes: Vec<u8>| {
        let storage = Rc::new(MemoryStorage::default());
        storage.files.borrow_mut().insert((key().folder(), FILES[0].into()), bytes);
        let found = find(&cache(&storage), &key());
        assert_eq!(found.is_none(), storage.files.borrow().is_empty(), "what is not believed is removed");
        found
    };
    assert!(found(sealed(&sound.to_string())).is_some_and(|kept| kept.complete() && kept.tensors().count() == 3));
    let wrong: &[(&str, Value)] = &[
        ("/version", json!(2)),
        ("/round", json!(-1)),
        ("/bytes", json!(45)),
        ("/key/revision", json!("other")),
        ("/key/weights", json!("q5")),
        ("/chunks/0/bytes", json!(13)),
        ("/chunks/0/bytes", json!(u64::MAX)),
        ("/chunks/1/file", json!("chunk-0000.bin")),
        ("/chunks/1/file", json!("../chunk-0001.bin")),
        ("/chunks/1/file", json!("chunk-+001.bin")),
        ("/chunks/1/file", json!("manifest.json")),
        ("/chunks/1/crc32", json!(1u64 << 32)),
        ("/tensors/0/dtype", json!("F64")),
        ("/tensors/0/dtype", json!("Q9_9")),
        ("/tensors/0/shape", json!([1, 3])),
        ("/tensors/0/shape", json!([u64::MAX, u64::MAX])),
        ("/tensors/0/shape", json!([-1, -2])),
        ("/tensors/0/offset", json!(4)),
        ("/tensors/1/offset", json!(u64::MAX)),
        ("/tensors/1/bytes", json!(5)),
        ("/tensors/1/name", json!("a")),
        ("/tensors/1/chunk", json!(1)),
        ("/tensors/2/chunk", json!(2)),
        ("/tensors/2/chunk", json!(0)),
        ("/tensors/2/shape", json!([31])),
        ("/tensors/2/shape", json!([64])),
        ("/tensors/3", json!({"name": "d", "dtype": "F32", "shape": [0], "chunk": 2, "offset": 0, "bytes": 0})),
        ("/tensors/3", json!({"name": "d", "dtype": "F32", "shape": [0], "chunk": 0, "offset": 12, "bytes": 0})),
        ("/tensors", json!([])),
        ("/chunks", json!([])),
        ("/complete", json!("yes")),
    ];
    for (at, value) in wrong {
        let mut manifest = sound.clone();
        if *at == "/tensors/3" {
            manifest["tensors"].as_array_mut().expect("a list").push(value.clone());
        } else {
            *manifest.pointer_mut(at).expect("a place in the manifest") = value.clone();
        }
        assert!(found(sealed(&manifest.to_string())).is_none(), "{at} = {value}");
    }
    let sound = sealed(&sound.to_string());
    for end in 0..sound.len() {
        assert!(found(sound[..end].to_vec()).is_none(), "cut at {end}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for bytes in [Vec::new(), vec![0; 1000], vec![b'{'; 1000], sealed(&deep), sealed(""), [&sound[..], b"\n"].concat()]
    {
        assert!(found(bytes).is_none());
    }
}

#[test]
fn a_chunk_of_another_size_is_not_read_whatever_its_checksum() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    for bytes in [Vec::new(), vec![1; 7], vec![1; 9], vec![1; 1000]] {
        let manifest = json!({
            "version": 1, "round": 1, "complete": true, "bytes": 8, "model": null, "key": key(),
            "chunks": [{"file": "chunk-0000.bin", "bytes": 8, "crc32": crc32(&bytes)}],
            "tensors": [{"name": "a", "dtype": "F32", "shape": [2], "chunk": 0, "offset": 0, "bytes": 8}],
        });
        let files = [(FILES[1], sealed(&manifest.to_string())), ("chunk-0000.bin", bytes)];
        let files = files.map(|(file, bytes)| ((key().folder(), file.to_string()), bytes));
        storage.files.replace(files.into());
        let mut kept = find(&cache, &key()).expect("the manifest is sound");
        assert_eq!(block_on(kept.read_chunk(0)).expect("the storage can be read"), []);
        assert!(!kept.whole());
    }
}
