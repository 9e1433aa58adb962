//! The tiles of a GPU's kernels, kept on disk from one run to the next.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use styleid::Result;
use styleid::selftest::trial::{SECONDS, Tiles, choose_tiles};
use styleid::weights::store::cache::disk::Disk;

/// Tiles by the name of the GPU.
type Kept = BTreeMap<String, Tiles>;

/// Gives the kernels of `device` the tiles that are kept for the GPU of this name, tries what is missing, and keeps that.
///
/// # Errors
/// The device failed.
pub async fn choose(device: &Device, name: &str) -> Result<()> {
    let file = file();
    let mut all = file.as_deref().map(read).unwrap_or_default();
    let kept = all.remove(name).unwrap_or_default();
    let tiles = choose_tiles(device, &kept, SECONDS).await?;
    if let Some(file) = file.filter(|_| tiles != kept) {
        all.insert(name.to_owned(), tiles);
        write(&file, &all);
    }
    Ok(())
}

/// Beside the kept models.
fn file() -> Option<PathBuf> {
    Disk::of_this_user().map(|disk| disk.root().join("tiles.json"))
}

/// What is kept; nothing where it cannot be read, and is tried again.
fn read(file: &Path) -> Kept {
    fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Keeps `all`. On a disk that cannot be written, the next run tries again.
fn write(file: &Path, all: &Kept) {
    let _ = file.parent().map(fs::create_dir_all);
    if let Ok(text) = serde_json::to_string_pretty(all) {
        let _ = fs::write(file, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_kept_by_the_name_of_the_gpu() {
        let root = std::env::temp_dir().join(format!("styleid-tiles-{}", std::process::id()));
        let file = root.join("deep/tiles.json");
        assert_eq!(read(&file), Kept::new());
        let tiles = Tiles::from([("linear".to_owned(), "64 × 128".to_owned())]);
        let all = Kept::from([("a GPU".to_owned(), tiles)]);
        write(&file, &all);
        assert_eq!(read(&file), all);
        fs::write(&file, "[]").expect("written");
        assert_eq!(read(&file), Kept::new());
        // A folder that is a file.
        write(&file.join("below.json"), &all);
        fs::remove_dir_all(root).expect("removed");
    }
}
