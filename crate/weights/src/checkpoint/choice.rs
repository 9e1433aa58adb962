//! Which files of a folder or repository to use, by what their headers hold: names deceive, and beside a checkpoint there
//! are often embeddings, LoRAs and VAEs.

use super::opened::read_header;
use crate::error::{Error, Result};
use crate::format::holds::Holds;
use crate::source::file::{Listed, Source};
use crate::source::hub::{Choice, candidates};

/// How many headers are read at most, each by a request.
const MOST_LOOKS: usize = 6;

/// How many files a sentence names.
const NAMED: usize = 4;

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What to open.
    pub choice: Choice,
    /// Files that were not taken: those that were looked at before, then those that were not looked at.
    pub passed_over: Vec<PassedOver>,
}

/// A file that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its path.
    pub path: String,
    /// What it is instead of a whole model ("a LoRA"), or that nobody looked ("not looked at").
    pub reason: String,
}

/// Chooses among the files of `source`. Where there is but one thing to choose, nothing is read.
///
/// # Errors
/// One sentence where there is nothing that can be used.
pub async fn choose(source: &dyn Source, files: &[Listed]) -> Result<Chosen> {
    let is_in_layout = || {
        let starts = ["model_index.json", "unet/", "vae/", "scheduler/"];
        files.iter().any(|file| starts.iter().any(|start| file.path.starts_with(start)))
    };
    let candidates = match candidates(files) {
        Ok(candidates) => candidates,
        // A folder in the diffusers layout that lacks something: opening it says what.
        Err(_) if is_in_layout() => vec![Choice::Diffusers],
        Err(error) => return Err(error),
    };
    let mut passed_over = Vec::new();
    if let [choice] = &candidates[..]
        && !(matches!(choice, Choice::Single(_)) && is_in_layout())
    {
        return Ok(Chosen { choice: choice.clone(), passed_over });
    }
    let mut second = None;
    let mut candidates = candidates.into_iter();
    while let Some(choice) = candidates.next() {
        let Choice::Single(path) = choice else { return Ok(chosen(choice, passed_over, candidates)) };
        if passed_over.len() >= MOST_LOOKS {
            continue;
        }
        let reason = match look(source, &path).await {
            Ok(Holds::Whole) => return Ok(chosen(Choice::Single(path), passed_over, candidates)),
            Ok(holds) => {
                if matches!(holds, Holds::WithoutVae | Holds::Unet) {
                    second.get_or_insert_with(|| path.clone());
                }
                holds.name().to_owned()
            }
            Err(Error::Model(why)) => format!("a file that can't be read ({})", why.trim_end_matches('.')),
            Err(error) => return Err(error),
        };
        passed_over.push(PassedOver { path, reason });
    }
    if is_in_layout() {
        return Ok(Chosen { choice: Choice::Diffusers, passed_over });
    }
    // Opening it says what it lacks.
    if let Some(path) =
        second.or_else(|| passed_over.first().filter(|_| passed_over.len() == 1).map(|p| p.path.clone()))
    {
        passed_over.retain(|passed| passed.path != path);
        return Ok(Chosen { choice: Choice::Single(path), passed_over });
    }
    Err(Error::Model(format!(
        "{} has no file with a whole model of Stable Diffusion 1 or 2: {}. Use another model.",
        source.name(),
        listed(&passed_over, " is ", "")
    )))
}

/// What was chosen, with the files that were looked at before and those that come after.
fn chosen(choice: Choice, mut passed_over: Vec<PassedOver>, rest: impl Iterator<Item = Choice>) -> Chosen {
    passed_over.extend(rest.filter_map(|choice| match choice {
        Choice::Single(path) => Some(PassedOver { path, reason: "not looked at".into() }),
        _ => None,
    }));
    Chosen { choice, passed_over }
}

/// What a file holds.
async fn look(source: &dyn Source, path: &str) -> Result<Holds> {
    let gone = || Error::Model("it is not there any more".into());
    let file = source.open(path).await?.ok_or_else(gone)?;
    Ok(Holds::of(&read_header(&*file).await?))
}

/// A few of the files with their reasons, and how many others there are.
fn listed(passed_over: &[PassedOver], before: &str, after: &str) -> String {
    let some = passed_over.iter().take(NAMED).map(|passed| format!("{}{before}{}{after}", passed.path, passed.reason));
    let mut list = some.collect::<Vec<_>>().join(", ");
    if passed_over.len() > NAMED {
        list.push_str(&format!(" and {} others", passed_over.len() - NAMED));
    }
    list
}

/// A notice that says what was chosen where other files were passed over.
pub fn notice(name: &str, passed_over: &[PassedOver]) -> Option<String> {
    let list = listed(passed_over, " (", ")");
    (!passed_over.is_empty()).then(|| format!("{name} is used; passed over: {list}."))
}

#[cfg(test)]
mod tests;
