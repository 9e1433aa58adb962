//! The settings that `styleid eval` compares.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use styleid::styleid::look::Look;
use styleid::{Error, Params, Result};

use crate::cli::engine::read_file;

/// One way to make results.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the comparison.
    pub name: Option<String>,
    /// `None` if the results are made elsewhere.
    pub params: Option<Params>,
    /// Where its results are.
    pub folder: PathBuf,
}

/// An entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    settings: Option<Map<String, Value>>,
}

/// The settings in the file, those that they leave out as in `base`; the results of each in a folder of its name.
///
/// # Errors
/// One sentence says what is wrong in the file.
pub fn read(path: &Path, base: &Params, results: &Path) -> Result<Vec<Setting>> {
    let wrong = |what: String| Error::Settings(format!("{} cannot be used: {what}.", path.display()));
    let entries: Vec<Entry> = serde_json::from_slice(&read_file(path)?).map_err(|error| wrong(error.to_string()))?;
    if entries.is_empty() {
        return Err(wrong("it has no settings".into()));
    }
    let mut settings: Vec<Setting> = Vec::new();
    for Entry { name, settings: own } in entries {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':']) {
            return Err(wrong(format!("{name:?} cannot be a folder; name settings without /, \\, : and leading dots")));
        }
        if settings.iter().any(|other| other.name.as_ref() == Some(&name)) {
            return Err(wrong(format!("two settings are called {name}")));
        }
        let params = own.map(|own| merged(base, own).map_err(|error| wrong(format!("{name}: {error}")))).transpose()?;
        if let Some(params) = &params {
            params.check()?;
        }
        let folder = results.join(&name);
        settings.push(Setting { name: Some(name), params, folder });
    }
    Ok(settings)
}

/// `base` with a `look`, if one is named, and then with the rest.
fn merged(base: &Params, mut own: Map<String, Value>) -> serde_json::Result<Params> {
    let look: Option<Look> = own.remove("look").map(serde_json::from_value).transpose()?;
    let base = look.map_or_else(|| base.clone(), |look| look.of(base.clone()));
    let mut value = serde_json::to_value(base)?;
    if let Value::Object(fields) = &mut value {
        fields.extend(own);
    }
    serde_json::from_value(value)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use styleid::Params;
    use styleid::styleid::look::Look;

    use super::merged;

    #[test]
    fn a_look_comes_before_what_is_said_beside_it() {
        let base = Params { gamma: 0.5, ..Params::default() };
        let own = [("look".to_owned(), "bold".into()), ("redraw".to_owned(), 0.125.into())];
        let params = merged(&base, Map::from_iter(own)).expect("settings");
        assert_eq!(params, Params { redraw: 0.125, ..Look::Bold.of(base) });
    }
}
