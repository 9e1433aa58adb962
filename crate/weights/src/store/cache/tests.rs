mod damage;
mod disk;
mod failures;

use std::collections::BTreeMap;
use std::rc::Rc;

use pollster::block_on;
use serde_json::{Value, json};

use super::manifest::FILES;
use super::memory::{MemoryStorage, StorageCall};
use super::{Cache, KeptCopy, ModelKey};
use crate::format::Dtype;
use crate::format::compact::{Compact, WeightType};
use crate::store::storage::StorageError;

/// Small enough that several tensors share a chunk and one tensor needs its own.
const CHUNK: usize = 100;

fn key() -> ModelKey {
    ModelKey { origin: "org/A model".into(), revision: "1a2b".into(), file: String::new(), weights: WeightType::Q8 }
}

fn cache(storage: &Rc<MemoryStorage>) -> Cache {
    Cache { chunk_bytes: CHUNK, ..Cache::new(storage.clone()) }
}

/// Seven tensors of all types that give six chunks: 40+34, 68, 150, 100, 18+0+12+60, 20.
fn tensors() -> Vec<Compact> {
    let list: [(&str, Dtype, &[usize], usize); 9] = [
        ("unet.a", Dtype::F32, &[2, 5], 40),
        ("unet.b", Dtype::Q8_0, &[1, 32], 34),
        ("unet.c", Dtype::Q8_0, &[2, 32], 68),
        ("unet.large", Dtype::F16, &[75], 150),
        ("unet.exact", Dtype::F16, &[2, 25], 100),
        ("vae.d", Dtype::Q4_0, &[32], 18),
        ("vae.nothing", Dtype::F32, &[0, 4], 0),
        ("vae.e", Dtype::F32, &[3, 1, 1, 1], 12),
        ("f", Dtype::F32, &[5, 3], 60),
    ];
    let mut state = 1u32;
    let mut tensors: Vec<Compact> = list
        .iter()
        .map(|&(name, dtype, shape, bytes)| {
            let mut byte = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            };
            Compact { name: name.into(), dtype, shape: shape.to_vec(), bytes: (0..bytes).map(|_| byte()).collect() }
        })
        .collect();
    tensors.push(Compact { name: "g".into(), dtype: Dtype::F32, shape: vec![5], bytes: vec![7; 20] });
    tensors
}

/// What is kept under `key`.
fn find(cache: &Cache, key: &ModelKey) -> Option<KeptCopy> {
    block_on(cache.find(key)).expect("it can be read")
}

/// Caches all tensors and finishes.
fn keep(cache: &Cache, resume: Option<KeptCopy>) -> Result<(), StorageError> {
    block_on(async {
        let mut writer = cache.begin(&key(), json!({"known": "so far"}), resume).await;
        for tensor in tensors() {
            writer.put(&tensor).await;
        }
        writer.finish(json!({"known": "all"})).await
    })
}

/// All readable tensors, each compared with the original. Unreadable chunks are skipped.
fn readable(kept: &mut KeptCopy) -> Vec<String> {
    let original: BTreeMap<String, Compact> = tensors().into_iter().map(|t| (t.name.clone(), t)).collect();
    let mut names = Vec::new();
    for index in 0..kept.chunks().len() {
        for tensor in block_on(kept.read_chunk(index)).unwrap_or_default() {
            assert_eq!(Some(&tensor), original.get(&tensor.name));
            names.push(tensor.name);
        }
    }
    names
}

fn names() -> Vec<String> {
    tensors().into_iter().map(|tensor| tensor.name).collect()
}

/// Bitwise CRC-32, from its definition (reflected 0x04C11DB7).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// The manifest in a file, parsed without the code under test.
fn manifest(bytes: &[u8]) -> Value {
    let whole: Value = serde_json::from_slice(bytes).expect("a manifest is JSON");
    whole["manifest"].clone()
}

#[test]
fn what_was_put_comes_back_in_order() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of CRC-32");
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    assert!(find(&cache, &key()).is_none());
    keep(&cache, None).expect("nothing fails");
    let mut kept = find(&cache, &key()).expect("it was kept");
    assert!(kept.complete());
    assert_eq!(kept.model(), &json!({"known": "all"}));
    let sizes: Vec<u64> = kept.chunks().iter().map(|chunk| chunk.bytes).collect();
    assert_eq!(sizes, [74, 68, 150, 100, 90, 20]);
    assert_eq!(kept.bytes(), 502);
    assert_eq!(kept.tensors().map(|tensor| tensor.name.clone()).collect::<Vec<_>>(), names());
    assert_eq!(readable(&mut kept), names());
    assert!(block_on(kept.read_chunk(6)).is_err());
    for chunk in kept.chunks() {
        let bytes = storage.files.borrow()[&(key().folder(), chunk.file.clone())].clone();
        assert_eq!((bytes.len() as u64, crc32(&bytes)), (chunk.bytes, chunk.crc32));
    }
    // Other keys find nothing.
    for other in [
        ModelKey { origin: "org/b".into(), ..key() },
        ModelKey { revision: String::new(), ..key() },
        ModelKey { file: "x".into(), ..key() },
        ModelKey { weights: WeightType::Q4, ..key() },
    ] {
        assert!(find(&cache, &other).is_none(), "{other:?}");
    }
    assert!(cache.notes().is_empty());
}

#[test]
fn data_is_on_the_disk_before_a_manifest_names_it() {
    let storage = Rc::new(MemoryStorage::default());
    keep(&cache(&storage), None).expect("nothing fails");
    let mut there = BTreeMap::new();
    let mut complete = Vec::new();
    let log = storage.log.borrow();
    for call in log.iter() {
        let StorageCall::Write(file, bytes) = call else { continue };
        if !FILES.contains(&&file[..]) {
            assert_eq!(there.insert(file.clone(), bytes.clone()), None, "{file} is written once");
            continue;
        }
        let manifest = manifest(bytes);
        let chunks = manifest["chunks"].as_array().expect("a list");
        assert_eq!(chunks.len(), there.len(), "each manifest names all chunks so far");
        for chunk in chunks {
            let bytes = there.get(chunk["file"].as_str().expect("a name")).expect("written before");
            assert_eq!(chunk["bytes"], bytes.len());
            assert_eq!(chunk["crc32"], crc32(bytes));
        }
        complete.push(manifest["complete"].as_bool().expect("a truth value"));
    }
    assert_eq!(complete, [false, false, false, false, false, false, true]);
    assert!(matches!(log.last(), Some(StorageCall::Write(file, _)) if FILES.contains(&&file[..])));
}

#[test]
fn a_visit_that_is_cut_anywhere_leaves_whole_tensors_that_the_next_one_goes_on_from() {
    let whole = Rc::new(MemoryStorage::default());
    keep(&cache(&whole), None).expect("nothing fails");
    let writes: Vec<(String, usize)> = whole
        .log
        .borrow()
        .iter()
        .filter_map(|call| match call {
            StorageCall::Write(file, bytes) => Some((file.clone(), bytes.len())),
            StorageCall::Remove(_) => None,
        })
        .collect();
    let chunk_tensors = [2, 1, 1, 1, 4, 1];
    for (number, (file, bytes)) in writes.iter().enumerate() {
        // Every third byte of a chunk, every 29th of a manifest, and the ends.
        let step = if FILES.contains(&&file[..]) { 29 } else { 3 };
        for at in (0..*bytes).step_by(step).chain([bytes - 1, *bytes]) {
            for in_place in [false, true] {
                let storage = Rc::new(MemoryStorage::default());
                storage.in_place.set(in_place);
                storage.cut.set(Some((number, at)));
                keep(&cache(&storage), None).expect_err("the process died");
                storage.revive();

                let cache = cache(&storage);
                let found = find(&cache, &key());
                // Two writes per chunk: data, then manifest. Chunks in an earlier manifest are never lost.
                let manifests = number / 2;
                let least: usize = chunk_tensors[..manifests.min(6)].iter().sum();
                let mut found = match found {
                    Some(found) => found,
                    None => {
                        assert_eq!(least, 0, "write {number} cut at {at}");
                        keep(&cache, None).expect("nothing fails any more");
                        find(&cache, &key()).expect("it was kept")
                    }
                };
                if !found.complete() {
                    let had = readable(&mut found);
                    assert!(had.len() >= least && had == names()[..had.len()], "write {number} cut at {at}: {had:?}");
                    assert_eq!(found.tensors().count(), had.len());
                    assert_eq!(found.model(), &json!({"known": "so far"}));
                    let before = storage.writes();
                    keep(&cache, Some(found)).expect("nothing fails any more");
                    let chunks = chunk_tensors.iter().scan(0, |sum, n| {
                        *sum += n;
                        Some(*sum)
                    });
                    let missing = chunks.filter(|&end| end > had.len()).count();
                    assert_eq!(storage.writes() - before, 2 * missing + 1, "only what is missing is written");
                    found = find(&cache, &key()).expect("it was kept");
                }
                assert!(found.complete());
                assert_eq!(readable(&mut found), names());
                assert_eq!(found.chunks().len(), 6);
                // No files are left over: six chunks and two manifests.
                assert_eq!(storage.files.borrow().len(), 8);
            }
        }
    }
}

#[test]
fn a_part_that_is_damaged_or_missing_is_fetched_again_alone() {
    // Chunks of 40+34, 68, 150, 100, 90 and 20 bytes.
    for damage in 0..2 {
        let storage = Rc::new(MemoryStorage::default());
        let cache = cache(&storage);
        keep(&cache, None).expect("nothing fails");
        let mut kept = find(&cache, &key()).expect("it was kept");
        let at = (key().folder(), kept.chunks()[1].file.clone());
        match damage {
            0 => storage.files.borrow_mut().get_mut(&at).expect("it is there")[3] ^= 4,
            _ => drop(storage.files.borrow_mut().remove(&at)),
        }
        let had: Vec<String> = names().into_iter().filter(|name| name != "unet.c").collect();
        assert!(kept.whole());
        assert_eq!(readable(&mut kept), had);
        assert_eq!((kept.complete(), kept.whole()), (true, false));
        assert_eq!(readable(&mut kept), had, "and again");
        assert_eq!(cache.notes().len(), 1, "said once");

        block_on(cache.give_up_lost(&key(), kept)).expect("nothing fails");
        let mut kept = find(&cache, &key()).expect("the rest is there");
        assert!(!kept.complete(), "the next visit knows");
        assert_eq!((readable(&mut kept), kept.model()), (had, &json!({"known": "all"})));
        let before = storage.writes();
        keep(&cache, Some(kept)).expect("nothing fails");
        assert_eq!(storage.writes() - before, 3, "a chunk, and a manifest before and after it is complete");
        let mut kept = find(&cache, &key()).expect("it was kept");
        assert!(kept.complete());
        let (mut all, mut expected) = (readable(&mut kept), names());
        all.sort();
        expected.sort();
        assert_eq!(all, expected);
    }
    for damage in 0..3 {
        let storage = Rc::new(MemoryStorage::default());
        let cache = cache(&storage);
        let kept = keep_half(&cache);
        assert_eq!(kept.chunks().len(), 4);
        let at = (key().folder(), kept.chunks()[1].file.clone());
        match damage {
            0 => storage.files.borrow_mut().get_mut(&at).expect("it is there")[3] ^= 4,
            1 => drop(storage.files.borrow_mut().remove(&at)),
            _ => drop(storage.unreadable.replace(Some(at.1))),
        }
        let mut kept = find(&cache, &key()).expect("the rest is there");
        let had = ["unet.a", "unet.b", "unet.large", "unet.exact"];
        assert_eq!(readable(&mut kept), had);
        assert_eq!(kept.tensors().map(|tensor| &tensor.name[..]).collect::<Vec<_>>(), had);
        assert_eq!(cache.notes().len(), 1);
        storage.unreadable.replace(None);
        keep(&cache, Some(kept)).expect("nothing fails any more");
        let mut kept = find(&cache, &key()).expect("it was kept");
        assert!(kept.complete());
        let mut all = readable(&mut kept);
        all.sort();
        let mut expected = names();
        expected.sort();
        assert_eq!(all, expected);
        // The chunks of 40+34, 150 and 100 bytes stayed. Those of 68+18+0+12 and 60+20 are new, and the first of them
        // replaces the damaged file.
        let mut chunks: Vec<_> = kept.chunks().iter().map(|chunk| (&chunk.file[..], chunk.bytes)).collect();
        chunks.sort();
        let files = ["chunk-0000.bin", "chunk-0001.bin", "chunk-0002.bin", "chunk-0003.bin", "chunk-0004.bin"];
        assert_eq!(chunks, files.into_iter().zip([74, 98, 150, 100, 80]).collect::<Vec<_>>());
        assert_eq!(storage.files.borrow().len(), 7, "nothing else but the two manifests");
    }
}

/// A visit that ends after six tensors, when four chunks have been written.
fn keep_half(cache: &Cache) -> KeptCopy {
    block_on(async {
        let mut writer = cache.begin(&key(), json!({"known": "so far"}), None).await;
        for tensor in &tensors()[..6] {
            writer.put(tensor).await;
        }
    });
    find(cache, &key()).expect("four chunks are there")
}

#[test]
fn a_complete_model_that_is_gone_on_with_is_not_complete_until_it_is_finished() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    keep(&cache, None).expect("nothing fails");
    let kept = find(&cache, &key());
    let more = |name: &str| Compact { name: name.into(), dtype: Dtype::F32, shape: vec![20], bytes: vec![3; 80] };
    block_on(async {
        let mut writer = cache.begin(&key(), Value::Null, kept).await;
        for name in ["h", "h", "g", "i", "j"] {
            writer.put(&more(name)).await;
        }
    });
    let kept = find(&cache, &key()).expect("two more chunks were written");
    assert!(!kept.complete());
    let all: Vec<String> = kept.tensors().map(|tensor| tensor.name.clone()).collect();
    assert_eq!(all, [names(), vec!["h".into(), "i".into()]].concat(), "each name once");
}

#[test]
fn beginning_anew_clears_what_was_there() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    drop(keep_half(&cache));
    block_on(async {
        let writer = cache.begin(&key(), Value::Null, None).await;
        assert!(storage.files.borrow().is_empty());
        writer.finish(json!(1)).await.expect("nothing fails");
    });
    let kept = find(&cache, &key()).expect("a model without tensors is one too");
    assert!(kept.complete() && kept.tensors().count() == 0);
}

#[test]
fn tensors_whose_bytes_are_not_those_of_their_shape_are_not_kept() {
    for (dtype, shape, bytes) in [
        (Dtype::F32, vec![3], 8),
        (Dtype::Q8_0, vec![33], 34),
        (Dtype::Q6_K, vec![256], 210),
        (Dtype::F32, vec![usize::MAX, usize::MAX], 0),
    ] {
        let storage = Rc::new(MemoryStorage::default());
        let outcome = block_on(async {
            let mut writer = cache(&storage).begin(&key(), Value::Null, None).await;
            writer.put(&Compact { name: "odd".into(), dtype, shape, bytes: vec![0; bytes] }).await;
            writer.finish(Value::Null).await
        });
        assert!(matches!(outcome, Err(StorageError::Other(reason)) if reason.contains("odd")), "{dtype:?}");
        assert!(storage.files.borrow().is_empty());
    }
}

#[test]
fn models_are_listed_and_purged() {
    let storage = Rc::new(MemoryStorage::default());
    let cache = cache(&storage);
    keep(&cache, None).expect("nothing fails");
    let other = ModelKey { origin: "https://example.org/m/".into(), ..key() };
    let broken = ModelKey { origin: "broken".into(), ..key() };
    block_on(async {
        let mut writer = cache.begin(&other, Value::Null, None).await;
        for tensor in &tensors()[..5] {
            writer.put(tensor).await;
        }
    });
    let full: usize =
        storage.files.borrow().iter().filter(|((at, _), _)| *at == key().folder()).map(|(_, b)| b.len()).sum();
    for (folder, file) in [(&broken.folder()[..], "chunk-0000.bin"), ("photos", "a.jpg")] {
        storage.files.borrow_mut().insert((folder.into(), file.into()), vec![0; 9]);
    }
    let list = block_on(cache.list()).expect("the storage can say");
    assert_eq!(list.len(), 3);
    let of = |folder: String| list.iter().find(|listing| listing.folder == folder).expect("it is listed");
    let first = of(key().folder());
    assert_eq!((first.key.as_ref(), first.complete, first.bytes), (Some(&key()), true, full as u64));
    let second = of(other.folder());
    assert_eq!((second.key.as_ref(), second.complete), (Some(&other), false));
    let third = of(broken.folder());
    assert_eq!((third.key.as_ref(), third.complete, third.bytes), (None, false, 9));

    block_on(cache.purge(&other.folder())).expect("it can be removed");
    block_on(cache.purge(&other.folder())).expect("it need not be there");
    for no in ["photos", "", ".", "..", "../x", "/"] {
        assert!(block_on(cache.purge(no)).is_err(), "{no}");
    }
    assert_eq!(block_on(cache.list()).expect("the storage can say").len(), 2);
    block_on(cache.purge_all()).expect("all can be removed");
    assert!(block_on(cache.list()).expect("the storage can say").is_empty());
    let left: Vec<(String, String)> = storage.files.borrow().keys().cloned().collect();
    assert_eq!(left, [("photos".to_string(), "a.jpg".to_string())]);
}

#[test]
fn folder_names_are_plain_stable_and_different() {
    // Hash: SHA-256 over each part, prefixed with its length as 8 little-endian bytes; computed with Python's hashlib.
    assert_eq!(key().folder(), "a-model-q8-3a48d56718b1d9329267");
    let of = |origin: &str| ModelKey { origin: origin.into(), ..key() }.folder();
    assert!(of("https://example.org/Modèle (1)/").starts_with("mod-le-1-q8-"));
    assert!(of("../..").starts_with("model-q8-"));
    assert!(of("").starts_with("model-q8-"));
    let long = of(&"Ab".repeat(1000));
    assert_eq!(long.len(), 40 + "-q8-".len() + 20);
    let keys = [
        key(),
        ModelKey { origin: "org/A model1".into(), revision: "a2b".into(), ..key() },
        ModelKey { origin: "org/a model".into(), ..key() },
        ModelKey { revision: String::new(), file: "1a2b".into(), ..key() },
        ModelKey { weights: WeightType::Exact, ..key() },
    ];
    let folders: std::collections::BTreeSet<String> = keys.iter().map(ModelKey::folder).collect();
    assert_eq!(folders.len(), keys.len());
    for folder in folders.iter().chain([&long]) {
        assert!(super::key::is_folder(folder), "{folder}");
    }
    for no in ["", "-", "photos", "a-0123456789012345678", "a-0123456789012345678G", "../a-01234567890123456789"] {
        assert!(!super::key::is_folder(no), "{no}");
    }
}
