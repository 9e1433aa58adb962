//! `styleid pack-site`: a model for a page of one's own. It lies in a folder of its own, with its parts, its licence and
//! `entry.json`, which `.ci/packed.mjs` puts into the page's list of models.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use styleid::memory::parse_bytes;
use styleid::model::packing::{Packing, Room, write};
use styleid::model::{LevelInfo, ModelInfo};
use styleid::platform::Here;
use styleid::weights::checkpoint::stream::hex;
use styleid::weights::config::Prediction;
use styleid::weights::source::http::address::shown;
use styleid::weights::source::hub::{Reference, is_weights};
use styleid::weights::{Origin, WeightType};
use styleid::{Control, Error, Result};

use super::bars::Bars;
use super::engine::write_file;
use super::licence::{Licence, licence_of};
use super::model::{DEFAULT_MODEL, ModelArgs, WeightChoice, known, reference};
use super::pack::size;

/// What the page takes of a site beside the models that are packed for it, rounded up.
const PAGE_BYTES: u64 = 40_000_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// What the UNet's and the VAE's weights become.
    #[arg(long, value_enum, default_value_t = WeightChoice::Q4)]
    weights: WeightChoice,
    /// Folder of the models that are packed for the page; each gets a folder in it.
    #[arg(long, value_name = "DIR", default_value = "packed")]
    site: PathBuf,
    /// What the page calls the model.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// File with the licence's text, where the model's source has none; may be given several times.
    #[arg(long, value_name = "FILE")]
    licence: Vec<PathBuf>,
    /// Let a visit begin with this model, in place of the demonstration model.
    #[arg(long)]
    start: bool,
    /// Largest size of a part: GitHub takes no file above 100 MB.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "90MB")]
    shard: u64,
    /// What the whole site may take: GitHub Pages serves 1 GB.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "1GB")]
    limit: u64,
}

/// A model in the page's list, as `www/engine/models.js` reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    id: String,
    name: String,
    note: String,
    licence: &'a str,
    /// Address of the licence's text.
    licence_text: String,
    bytes: u64,
    parameters: u64,
    prediction: Prediction,
    /// The pack's own.
    weights: &'static str,
    native_size: usize,
    decoder: &'a [LevelInfo],
    #[serde(skip_serializing_if = "Option::is_none")]
    injection_layers: Option<&'a [usize]>,
    url: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    start: bool,
}

/// # Errors
/// What is wrong with the model, which licence is missing, or that there is no room.
pub async fn run(args: &Args) -> Result<()> {
    if args.model.named() == DEFAULT_MODEL {
        return Err(Error::Settings(
            "The demonstration model comes with every page: name another with --model, a folder called demo as ./demo."
                .into(),
        ));
    }
    let labels = Labels::of(args)?;
    let licence = licence_of(&args.model, &args.licence).await?;
    let folder = args.site.join(&labels.stem);
    let unfinished = args.site.join(format!("{}.unfinished", labels.stem));
    remove(&unfinished)?;
    let written = fill(args, &labels, &licence, &unfinished).await;
    let placed = written.and_then(|files| {
        remove(&folder)?;
        fs::rename(&unfinished, &folder).map_err(|error| cannot(&folder, &error))?;
        Ok(files)
    });
    if placed.is_err() {
        // What went wrong is said; what cannot be removed either is named .unfinished, and no page takes it.
        let _ = fs::remove_dir_all(&unfinished);
    }
    for (name, bytes) in placed? {
        println!("{} ({})", folder.join(name).display(), HumanBytes(bytes));
    }
    println!("{} is ready for the page: {} under {}.", labels.name, folder.display(), licence.name);
    Ok(())
}

/// Writes all that belongs to the model, and gives the names of its parts with their sizes.
async fn fill(args: &Args, labels: &Labels, licence: &Licence, folder: &Path) -> Result<Vec<(String, u64)>> {
    let bars = Bars::new();
    let on_progress = |progress| bars.show(progress);
    let on_notice = |notice: &str| bars.say(notice);
    let control = Control::new(&Here, &on_progress, &|| false).with_notices(&on_notice);
    let room = args.limit.saturating_sub(PAGE_BYTES + taken(&args.site, &labels.stem)?);
    let packing = Packing {
        source: args.model.published_name(),
        weights: args.weights.into(),
        part_bytes: Some(args.shard),
        room: Some(Room {
            bytes: room,
            of: format!("the site's {} MB (--limit, if it is not for GitHub Pages)", args.limit / 1_000_000),
        }),
        odd_rows: false,
        licence: Some(licence.name.clone()),
        prediction: args.model.prediction(),
    };
    let origin = args.model.origin(packing.weights, false)?;
    let parts = write(&origin, &packing, &folder.join(&labels.stem), &control).await?;
    // What the page is told is what whoever opens the pack finds in it.
    let info = opened(&parts[0].0).await?;
    let files: Vec<_> = parts
        .iter()
        .map(|(path, bytes)| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), *bytes))
        .collect();
    write_file(&folder.join("LICENSE.txt"), licence.text.as_bytes())?;
    // A pack of the same name with other weights has another address, or those who kept the old one would get no other.
    let paths = parts.iter().map(|(path, _)| path.as_path());
    let url = format!("models/{}/{}?revision={}", labels.stem, files[0].0, digest(paths)?);
    let entry = labels.entry(&info, licence, files.iter().map(|(_, bytes)| bytes).sum(), url, args.start);
    let json = serde_json::to_string_pretty(&entry)
        .map_err(|error| Error::File(format!("The page's entry cannot be written: {error}.")))?;
    write_file(&folder.join("entry.json"), format!("{json}\n").as_bytes())?;
    Ok(files)
}

/// What a model is called in different places.
struct Labels {
    /// Of its folder and files, and in addresses.
    stem: String,
    /// In the page's list.
    name: String,
    /// About it.
    packed: String,
}

impl Labels {
    fn of(args: &Args) -> Result<Self> {
        let weights: WeightType = args.weights.into();
        let named = args.model.named();
        let listed = if Path::new(named).exists() { None } else { known(named)? };
        let (short, name) = match &listed {
            // Without the bits of the entry that it is made from.
            Some(known) => {
                let name = known.name.split(", ").next().unwrap_or_default();
                (known.id.trim_end_matches("-q8").trim_end_matches("-q4").to_string(), name.to_string())
            }
            None => (short_name(named)?, short_name(named)?),
        };
        let kept = match weights {
            WeightType::Exact => "weights as in its files",
            WeightType::F32 => "32 bits",
            WeightType::F16 => "16 bits",
            WeightType::Q8 => "8 bits",
            WeightType::Q4 => "4 bits",
        };
        let model = if listed.is_some() { name.clone() } else { args.model.published_name() };
        let of = if weights == WeightType::Exact { "" } else { "weights of " };
        Ok(Self {
            stem: stem_of(args.name.as_ref().unwrap_or(&short), weights.name()),
            name: args.name.clone().unwrap_or_else(|| format!("{name}, {kept}")),
            packed: format!("{model} with {of}{kept}, packed with this page"),
        })
    }

    fn entry<'a>(&self, info: &'a ModelInfo, licence: &'a Licence, bytes: u64, url: String, start: bool) -> Entry<'a> {
        let networks = info.parts.iter().filter(|part| ["unet", "vae"].contains(&part.name.as_str()));
        Entry {
            // No id of the catalogue begins like this.
            id: format!("own-{}", self.stem),
            name: self.name.clone(),
            note: format!("{}, for {1} × {1} pixels.", self.packed, info.native_size),
            licence: &licence.name,
            licence_text: format!("models/{}/LICENSE.txt", self.stem),
            bytes,
            parameters: networks.map(|part| part.census.parameters).sum(),
            prediction: info.prediction,
            weights: WeightType::Exact.name(),
            native_size: info.native_size,
            decoder: &info.decoder,
            injection_layers: info.injection_layers.as_deref(),
            url,
            start,
        }
    }
}

/// The last part of what names a model that is not in the catalogue.
fn short_name(named: &str) -> Result<String> {
    let path = Path::new(named);
    let whole = if path.exists() {
        let there = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        there.file_name().unwrap_or_default().to_string_lossy().into_owned()
    } else {
        match reference(named)? {
            Reference::Hub { repo, path, .. } => path.unwrap_or(repo),
            Reference::File(url) | Reference::Folder(url) => shown(&url),
        }
    };
    let last = whole.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    Ok(match last.rsplit_once('.') {
        Some((stem, _)) if is_weights(last) => stem.to_string(),
        _ => last.to_string(),
    })
}

/// A name that is plain in paths and addresses, and ends with the weights' type.
fn stem_of(name: &str, weights: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<_> = plain.split('-').filter(|word| !word.is_empty() && *word != weights).collect();
    let mut stem = words.join("-");
    stem.truncate(60); // ASCII: every byte is a character
    if stem.is_empty() { format!("model-{weights}") } else { format!("{}-{weights}", stem.trim_end_matches('-')) }
}

/// Bytes of the models that are packed already, but for the one that is packed anew.
fn taken(site: &Path, but: &str) -> Result<u64> {
    let mut bytes = 0;
    let Ok(models) = fs::read_dir(site) else { return Ok(0) }; // there is none yet
    for model in models.flatten().filter(|model| model.file_name() != but && model.path().is_dir()) {
        let files = fs::read_dir(model.path()).map_err(|error| cannot(&model.path(), &error))?;
        bytes += files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>();
    }
    Ok(bytes)
}

async fn opened(part: &Path) -> Result<ModelInfo> {
    let origin = Origin::local(part, None)?;
    ModelInfo::of(&(origin.open)().await?, None)
}

/// What tells these files from others, short.
fn digest<'a>(files: impl Iterator<Item = &'a Path>) -> Result<String> {
    let mut sum = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut add = |path: &Path| {
        let mut file = fs::File::open(path)?;
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(()),
                bytes => sum.update(&piece[..bytes]),
            }
        }
    };
    for path in files {
        add(path)
            .map_err(|error: std::io::Error| Error::File(format!("{} cannot be read: {error}.", path.display())))?;
    }
    Ok(hex(&sum.finalize())[..12].to_string())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot(folder, &error)),
        _ => Ok(()),
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::File(format!("{} cannot be written: {error}.", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_in_addresses() {
        for (name, expected) in [
            ("sd15", "sd15-q4"),
            ("Größer & besser: V2.1", "gr-er-besser-v2-1-q4"),
            ("mine-Q4", "mine-q4"),
            ("../..", "model-q4"),
            ("", "model-q4"),
        ] {
            assert_eq!(stem_of(name, "q4"), expected);
        }
        assert_eq!(stem_of(&"long ".repeat(30), "q8").len(), 63 - 1);
    }

    #[test]
    fn a_model_is_called_by_the_last_part_of_its_name() {
        for (named, expected) in [
            ("o/bk-sdm@v1", "bk-sdm"),
            ("o/r/x-Q8_0.gguf", "x-Q8_0"),
            ("https://h/models/v1.5/?token=S", "v1.5"),
            ("https://h/m.safetensors?k=S", "m"),
        ] {
            assert_eq!(short_name(named).expect("a name"), expected);
        }
    }
}
