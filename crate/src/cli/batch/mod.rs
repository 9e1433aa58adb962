//! Many results in one run: one model, every picture inverted once as far as there is room, and a repeated run makes what is
//! missing.

pub mod film;
mod job;
pub mod names;
pub mod pictures;
mod report;
mod run;
pub mod share;

use std::path::PathBuf;

use styleid::memory::parse_bytes;
use styleid::styleid::Shelf;
use styleid::styleid::kept::folder::InversionFolder;
use styleid::{Error, Result};

use self::share::Shard;

pub use job::{Job, sha};
pub use run::Batch;

/// Arguments of a run that makes many results.
#[derive(Debug, Clone, clap::Args)]
pub struct BatchArgs {
    /// Make only this share of the results, such as 2/8: the second of eight. Each share inverts few pictures that others invert, too.
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Keep inversions in this folder, for other runs and other machines that see it.
    #[arg(long, value_name = "DIR")]
    keep_inversions: Option<PathBuf>,
    /// Bytes of the folder of inversions; the oldest go.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "20GiB")]
    keep_limit: u64,
    /// Bytes of inversions in main memory beside those of the result in hand.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "2GiB")]
    keep_memory: u64,
}

impl BatchArgs {
    /// Where inversions are kept.
    ///
    /// # Errors
    /// Their folder cannot be made.
    pub fn shelf(&self) -> Result<Shelf> {
        let open = |path: &PathBuf| InversionFolder::open(path, self.keep_limit);
        Ok(Shelf::new(self.keep_memory).with_folder(self.keep_inversions.as_ref().map(open).transpose()?))
    }

    /// Whether inversions are kept for other runs, which tell by the weights' hash whether they are theirs.
    pub fn has_folder(&self) -> bool {
        self.keep_inversions.is_some()
    }

    /// How many contents can be kept that take so many `bytes` each. A folder takes all.
    fn contents(&self, bytes: u64) -> usize {
        if self.has_folder() {
            return usize::MAX;
        }
        // One more is in hand.
        usize::try_from(self.keep_memory / bytes.max(1)).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// Makes sure that nothing here is asked of a run that makes one result.
    ///
    /// # Errors
    /// Names what makes no sense there.
    pub fn refuse(&self) -> Result<()> {
        if self.shard.is_some() {
            let sentence = "There is one result and nothing to share; leave out --shard, or name folders of pictures.";
            return Err(Error::Settings(sentence.into()));
        }
        Ok(())
    }
}
