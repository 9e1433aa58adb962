//! `styleid cache`: the models that are kept on disk.

use clap::Subcommand;
use indicatif::HumanBytes;
use styleid::weights::store::cache::disk::Disk;
use styleid::{Error, Result};

use super::model::cache;

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Say which models are kept, and how large they are.
    List,
    /// Remove a model by the name that `list` gives it, or all of them.
    Purge {
        /// Name in the list; all models where it is left out.
        name: Option<String>,
    },
}

/// # Errors
/// Says that there is no place for the cache, or what cannot be removed.
pub async fn run(command: Command) -> Result<()> {
    let nowhere = || Error::File("There is no folder to keep models in; set STYLEID_CACHE to one.".into());
    let cache = cache().ok_or_else(nowhere)?;
    match command {
        Command::List => {
            if let Some(disk) = Disk::of_this_user() {
                println!("{}", disk.root().display());
            }
            for kept in cache.list().await? {
                let state = if kept.complete { "" } else { ", incomplete" };
                println!("{}  {}{state}", kept.folder, HumanBytes(kept.bytes));
            }
        }
        Command::Purge { name: Some(name) } => cache.purge(&name).await?,
        Command::Purge { name: None } => cache.purge_all().await?,
    }
    Ok(())
}
