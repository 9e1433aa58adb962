//! Which files of a folder or repository to use, judged by their headers. Names can mislead, and there are often
//! embeddings, LoRAs and VAEs next to a checkpoint.

use super::opened::read_header;
use crate::error::{Error, Result};
use crate::format::holds::Holds;
use crate::source::file::{Listed, Source};
use crate::source::hub::{Choice, candidates, is_part_of_layout, is_weights};

/// Most headers that are read; each costs a request.
const MOST_LOOKS: usize = 6;

/// Most further headers that are read, of files named like the part that is missing.
const MORE_LOOKS: usize = 4;

/// The reason for passing over a file whose header was not read.
const NOT_LOOKED_AT: &str = "not looked at";

/// Most files that a message names.
const NAMED: usize = 4;

/// The outcome of the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What to open.
    pub choice: Choice,
    /// Files that were not taken: first those whose headers were read, then the others.
    pub passed_over: Vec<PassedOver>,
}

/// A file that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its path.
    pub path: String,
    /// What it is instead of a whole model ("a LoRA"), or "not looked at".
    pub reason: String,
}

/// Chooses among the files of `source`. Reads nothing if there is only one candidate.
///
/// # Errors
/// One sentence if nothing can be used.
pub async fn choose(source: &dyn Source, files: &[Listed]) -> Result<Chosen> {
    let is_in_layout = || {
        let starts = ["model_index.json", "unet/", "vae/", "text_encoder/", "scheduler/"];
        files.iter().any(|file| starts.iter().any(|start| file.path.starts_with(start)))
    };
    let candidates = match candidates(files) {
        Ok(candidates) => candidates,
        // For an incomplete folder in the diffusers layout, opening it reports what is missing.
        Err(_) if is_in_layout() => vec![Choice::Diffusers],
        Err(error) => return Err(error),
    };
    if let [choice] = &candidates[..]
        && !(matches!(choice, Choice::Single(_)) && is_in_layout())
    {
        return Ok(Chosen { choice: choice.clone(), passed_over: Vec::new() });
    }
    let mut looks = Looks::default();
    let mut later = Vec::new();
    let mut candidates = candidates.into_iter();
    while let Some(choice) = candidates.next() {
        let Choice::Single(path) = choice else { return Ok(chosen(choice, looks.passed_over, candidates)) };
        if looks.passed_over.len() >= MOST_LOOKS {
            later.push(path);
        } else if looks.at(source, &path).await? == Some(Holds::Whole) {
            return Ok(chosen(Choice::Single(path), looks.passed_over, candidates));
        }
    }
    let has_part = |folder: &str| files.iter().any(|file| is_part_of_layout(&file.path, folder));
    if !has_part("unet/")
        && let Some(unet) = looks.unet.clone()
    {
        let is_loose = |folder: &str| {
            let config = format!("{folder}config.json");
            has_part(folder) && files.iter().any(|file| file.path == config)
        };
        let [has_vae, has_text] = ["vae/", "text_encoder/"].map(is_loose);
        // Without a config, files in such a folder count like any other.
        let inside = |file: &&Listed| {
            let lies = |folder: &str, has: bool| !has && file.path.starts_with(folder) && is_weights(&file.path);
            lies("vae/", has_vae) || lies("text_encoder/", has_text)
        };
        later.extend(files.iter().filter(inside).map(|file| file.path.clone()));
        let (lacks_vae, lacks_text) = (!has_vae, !looks.has_text && !has_text);
        looks.more(source, later, lacks_vae, lacks_text).await?;
        let mut together = vec![unet];
        together.extend(looks.vae.take().filter(|_| lacks_vae));
        together.extend(looks.text.take().filter(|_| lacks_text));
        if together.len() > 1 || has_vae || has_text {
            looks.passed_over.retain(|passed| !together.contains(&passed.path));
            return Ok(Chosen { choice: Choice::Together(together), passed_over: looks.passed_over });
        }
    }
    let Looks { mut passed_over, unet, .. } = looks;
    if is_in_layout() && (unet.is_none() || has_part("unet/")) {
        return Ok(Chosen { choice: Choice::Diffusers, passed_over });
    }
    // Opening it reports what is missing.
    let only = || passed_over.first().filter(|_| passed_over.len() == 1).map(|passed| passed.path.clone());
    if let Some(path) = unet.or_else(only) {
        passed_over.retain(|passed| passed.path != path);
        return Ok(Chosen { choice: Choice::Single(path), passed_over });
    }
    Err(Error::Model(format!(
        "{} has no file with a whole model of Stable Diffusion 1 or 2: {}. Use another model.",
        source.name(),
        listed(&passed_over, " is ", "")
    )))
}

/// What the files read so far contain. None is a whole model.
#[derive(Default)]
struct Looks {
    passed_over: Vec<PassedOver>,
    /// The first file with a UNet, and whether it also has a text encoder.
    unet: Option<String>,
    has_text: bool,
    /// The first file with only a VAE, and the first with only a text encoder.
    vae: Option<String>,
    text: Option<String>,
}

impl Looks {
    /// Reads one more header. Returns what the file contains, if it can be read.
    async fn at(&mut self, source: &dyn Source, path: &str) -> Result<Option<Holds>> {
        let (holds, reason) = match look(source, path).await {
            Ok(Holds::Whole) => return Ok(Some(Holds::Whole)),
            Ok(holds) => (Some(holds), holds.name().to_owned()),
            Err(Error::Model(why)) => (None, format!("a file that can't be read ({})", why.trim_end_matches('.'))),
            Err(error) => return Err(error),
        };
        let is_first = self.unet.is_none();
        match holds {
            Some(Holds::Unet | Holds::WithoutVae) if is_first => {
                self.unet = Some(path.to_owned());
                self.has_text = holds == Some(Holds::WithoutVae);
            }
            // The shapes may match while the latents are those of another family.
            Some(Holds::Vae | Holds::Text) if is_of_another_family(path) => {}
            Some(Holds::Vae) => drop(self.vae.get_or_insert_with(|| path.to_owned())),
            Some(Holds::Text) => drop(self.text.get_or_insert_with(|| path.to_owned())),
            _ => {}
        }
        self.passed_over.push(PassedOver { path: path.to_owned(), reason });
        Ok(holds)
    }

    /// Reads those of `later` that are named like a part that is still missing.
    async fn more(&mut self, source: &dyn Source, later: Vec<String>, lacks_vae: bool, lacks_text: bool) -> Result<()> {
        let mut looks = 0;
        for path in later {
            let lower = path.to_ascii_lowercase();
            let is_called = |words: &[&str]| words.iter().any(|word| lower.contains(word));
            let may_be = (lacks_vae && self.vae.is_none() && is_called(&["vae", "kl-f8", "ae."]))
                || (lacks_text && self.text.is_none() && is_called(&["clip", "text", "encoder"]));
            if may_be && looks < MORE_LOOKS {
                looks += 1;
                self.at(source, &path).await?;
            } else {
                self.passed_over.push(PassedOver { path, reason: NOT_LOOKED_AT.into() });
            }
        }
        Ok(())
    }
}

/// Whether a file's name marks it as a part of a newer model.
fn is_of_another_family(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| ["xl", "sdxl", "sd3", "flux", "pony", "t5", "t5xxl", "bigg"].contains(&word))
        || lower.contains("clip_g")
}

/// The outcome, with the files that were read before and the candidates that were not reached.
fn chosen(choice: Choice, mut passed_over: Vec<PassedOver>, rest: impl Iterator<Item = Choice>) -> Chosen {
    passed_over.extend(rest.filter_map(|choice| match choice {
        Choice::Single(path) => Some(PassedOver { path, reason: NOT_LOOKED_AT.into() }),
        _ => None,
    }));
    Chosen { choice, passed_over }
}

/// What a file contains, according to its header.
async fn look(source: &dyn Source, path: &str) -> Result<Holds> {
    let gone = || Error::Model("it is not there any more".into());
    let file = source.open(path).await?.ok_or_else(gone)?;
    Ok(Holds::of(&read_header(&*file).await?))
}

/// Some of the files with their reasons, and the number of the others.
fn listed(passed_over: &[PassedOver], before: &str, after: &str) -> String {
    let some = passed_over.iter().take(NAMED).map(|passed| format!("{}{before}{}{after}", passed.path, passed.reason));
    let mut list = some.collect::<Vec<_>>().join(", ");
    if passed_over.len() > NAMED {
        list.push_str(&format!(" and {} others", passed_over.len() - NAMED));
    }
    list
}

/// A notice that says what was chosen, if other files were passed over.
pub fn notice(name: &str, passed_over: &[PassedOver]) -> Option<String> {
    let list = listed(passed_over, " (", ")");
    (!passed_over.is_empty()).then(|| format!("{name} is used; passed over: {list}."))
}

#[cfg(test)]
mod tests;
