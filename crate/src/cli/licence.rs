//! The licence that goes with weights: found where the model comes from, or given by whoever packs it.

use std::path::{Path, PathBuf};

use styleid::weights;
use styleid::weights::source::licence::{Stated, stated, text_of, title};
use styleid::{Error, Result};

use super::engine::read_file;
use super::model::{ModelArgs, known, published, web};

/// A licence to hand on.
#[derive(Debug)]
pub struct Licence {
    /// What it is called.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// Between two texts in one file.
const LINE: &str = "\n\n----------------------------------------\n\n";

/// The licence of all that `model` names, its VAE too: the texts in `files`, or else what its sources have.
///
/// # Errors
/// Asks for a file if no text is found.
pub async fn licence_of(model: &ModelArgs, files: &[PathBuf]) -> Result<Licence> {
    let mut found: Vec<(String, Licence)> = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&read_file(file)?).into_owned();
        let nothing = || Error::File(format!("{} has no text of a licence in it.", file.display()));
        let title = title(&text).ok_or_else(nothing)?;
        let name = if files.len() == 1 { listed(model.named())?.unwrap_or(title) } else { title };
        found.push((file.display().to_string(), Licence { name, text }));
    }
    if files.is_empty() {
        for named in [Some(model.named()), model.vae.as_deref(), model.rest.as_deref()].into_iter().flatten() {
            let licence = find(model, named).await?;
            if found.iter().all(|(_, other)| other.text != licence.text) {
                found.push((published(named), licence));
            }
        }
    }
    let names: Vec<_> = found.iter().map(|(_, licence)| licence.name.clone()).collect();
    let texts: Vec<_> = found
        .iter()
        .map(|(of, licence)| match files.is_empty() && found.len() > 1 {
            true => format!("Of the weights from {of}:\n\n{}", licence.text),
            false => licence.text.clone(),
        })
        .collect();
    Ok(Licence { name: names.join(" and "), text: texts.join(LINE) })
}

/// The catalogue's entry on a model's licence.
fn listed(named: &str) -> Result<Option<String>> {
    Ok(if Path::new(named).exists() { None } else { known(named)?.map(|known| known.licence) })
}

async fn find(model: &ModelArgs, named: &str) -> Result<Licence> {
    let Stated { name, text } = match model.source_of(named)? {
        Some(source) => stated(&*source).await?,
        None => Stated::default(),
    };
    let name = listed(named)?.or(name);
    let text = match (text, &name) {
        (None, Some(name)) => match text_of(name, &web(), &model.endpoint()).await {
            // A mirror may lack it.
            Err(weights::Error::Model(_)) => None,
            text => text?,
        },
        (text, _) => text,
    };
    match text {
        Some(text) => Ok(Licence { name: name.unwrap_or_else(|| "its own licence".into()), text }),
        None => Err(Error::Settings(format!(
            "The text of the licence{} is not found with {}, and whoever gets the weights must get it: name its file with \
             --licence FILE.",
            name.map(|name| format!(" ({name})")).unwrap_or_default(),
            published(named)
        ))),
    }
}
