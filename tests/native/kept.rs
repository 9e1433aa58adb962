//! A model kept on disk that is damaged or in use: damaged parts are fetched again with a notice, and a copy that
//! cannot be read is not thrown away.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use styleid::model::{LoadOptions, StableDiffusion};
use styleid::platform::Here;
use styleid::weights::source::local::Folder;
use styleid::weights::store::cache::disk::Disk;
use styleid::weights::store::{Cache, ModelKey};
use styleid::weights::{Origin, WeightType};
use styleid::{Control, Error, Progress, Result, device};

use crate::golden::fixture;
use crate::support::Scratch;

const REPO: &str = "someone/micro15";

/// A scratch folder with a cache that keeps the model, all of it in one chunk.
struct Kept {
    scratch: Scratch,
    key: ModelKey,
}

impl Kept {
    fn new() -> Self {
        let key =
            ModelKey { origin: REPO.into(), revision: "main".into(), file: String::new(), weights: WeightType::Exact };
        let kept = Self { scratch: Scratch::new(), key };
        assert_eq!(kept.load(None).expect("a whole model"), [""; 0], "nothing was kept");
        kept
    }

    fn cache(&self) -> Cache {
        Cache::new(Rc::new(Disk::at(self.scratch.path("cache"))))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path("cache").join(self.key.folder()).join(name)
    }

    fn chunk(&self) -> PathBuf {
        self.file("chunk-0000.bin")
    }

    fn flip_a_byte(&self) {
        let mut bytes = std::fs::read(self.chunk()).expect("the chunk");
        bytes[1000] ^= 1;
        std::fs::write(self.chunk(), bytes).expect("the chunk");
    }

    fn complete(&self) -> bool {
        let list = pollster::block_on(self.cache().list()).expect("the disk can say");
        assert_eq!(list.len(), 1);
        list[0].complete
    }

    /// Loads the model and returns the notices. At most `repair` bytes may be fetched to repair a damaged copy.
    fn load(&self, repair: Option<u64>) -> Result<Vec<String>> {
        self.load_until(repair, &|_| false)
    }

    /// Like [`Kept::load`], but cancelled after a progress report for which `is_enough` returns true.
    fn load_until(&self, repair: Option<u64>, is_enough: &dyn Fn(Progress) -> bool) -> Result<Vec<String>> {
        let source = Rc::new(Folder::new(fixture("models/micro15")));
        let origin = Origin::of_source(source, None, None, Some((self.cache(), self.key.clone())));
        let options = LoadOptions { repair, ..LoadOptions::default() };
        let (notices, cancelled) = (RefCell::new(Vec::new()), RefCell::new(false));
        {
            let on_progress = |progress| *cancelled.borrow_mut() |= is_enough(progress);
            let on_notice = |notice: &str| notices.borrow_mut().push(notice.to_string());
            let asked = || *cancelled.borrow();
            let control = Control::new(&Here, &on_progress, &asked).with_notices(&on_notice);
            pollster::block_on(StableDiffusion::load(&origin, device::cpu(), options, &control))?;
        }
        Ok(notices.into_inner())
    }
}

#[test]
fn a_damaged_part_is_fetched_again_with_a_word() {
    let kept = Kept::new();
    assert_eq!(kept.load(Some(0)).expect("all of it is kept"), [""; 0]);
    kept.flip_a_byte();
    let notices = kept.load(Some(u64::MAX)).expect("its files are there");
    assert!(notices.len() == 1 && notices[0].contains("of someone/micro15 is damaged"), "{notices:?}");
    assert_eq!(kept.load(Some(0)).expect("it is whole again"), [""; 0]);
}

#[test]
fn more_than_may_be_fetched_is_asked_for_first() {
    let kept = Kept::new();
    kept.flip_a_byte();
    let error = kept.load(Some(1000)).expect_err("all of it is damaged");
    assert_eq!(error.kind(), "file");
    let said = error.to_string();
    assert!(said.contains("MB of it are to be fetched; load the model again"), "{said}");
    assert!(!kept.complete(), "whoever asks before a download is to ask");
    kept.load(Some(1000)).expect("what is not complete is fetched");
    assert_eq!(kept.load(Some(0)).expect("it is whole again"), [""; 0]);
}

#[test]
fn a_copy_that_cannot_be_read_stays() {
    let kept = Kept::new();
    let aside = kept.scratch.path("aside");
    for file in ["chunk-0000.bin", "manifest.json", "manifest-2.json"].map(|file| kept.file(file)) {
        let was_there = std::fs::rename(&file, &aside).is_ok();
        std::fs::create_dir(&file).expect("a folder cannot be read like a file");
        let said = kept.load(None).expect_err("it is in use, say").to_string();
        assert!(said.starts_with("The kept copy of someone/micro15 cannot be read ("), "{said}");
        std::fs::remove_dir(&file).expect("the folder");
        if was_there {
            std::fs::rename(&aside, &file).expect("the file");
        }
        assert!(kept.complete());
    }
    assert_eq!(kept.load(Some(0)).expect("nothing was lost"), [""; 0]);
}

#[test]
fn reading_what_was_loaded_before_can_be_cancelled() {
    let kept = Kept::new();
    let copy = pollster::block_on(kept.cache().find(&kept.key)).expect("it can be read").expect("it is kept");
    let bytes = copy.bytes();
    pollster::block_on(kept.cache().give_up_lost(&kept.key, copy)).expect("the disk can be written to");
    assert!(!kept.complete());
    let at_the_end = |progress: Progress| (progress.step, progress.steps) == (bytes, bytes);
    let error = kept.load_until(None, &at_the_end).expect_err("it was cancelled before the rest was fetched");
    assert!(matches!(error, Error::Cancelled), "{error}");
    kept.load(None).expect("nothing was lost");
}
