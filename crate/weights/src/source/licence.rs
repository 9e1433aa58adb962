//! The licence of a model's weights, as stated by their source: a licence file next to them, or the licence named in the
//! model card.
//!
//! Whoever redistributes weights must pass on their licence. CreativeML OpenRAIL-M requires its full text and its use
//! restrictions.

use super::file::Source;
use super::http::Web;
use super::hub::HubRepo;
use crate::error::{Error, Result};

/// File names of licences in model repositories.
const NAMES: [&str; 4] = ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENSE-MODEL"];

/// The model card on the Hub.
const CARD: &str = "README.md";

/// Longest licence or card; a longer file is something else.
const LONGEST: u64 = 1 << 20;

/// What a source states about the licence of its weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// The licence's name.
    pub name: Option<String>,
    /// Its whole text.
    pub text: Option<String>,
}

/// A well-known licence, which repositories name without including its text.
struct Known {
    /// Its identifier in model cards.
    word: &'static str,
    /// Its display name.
    name: &'static str,
    /// Repository, revision and file on the Hub with its text, if there is one.
    text: Option<(&'static str, &'static str, &'static str)>,
}

const KNOWN: [Known; 4] = [
    Known {
        word: "creativeml-openrail-m",
        name: "CreativeML OpenRAIL-M",
        // The text that the cards of Stable Diffusion 1.x link to.
        text: Some((
            "spaces/CompVis/stable-diffusion-license",
            "14d42d09bffd871b1666a084fc954a50cff72ac0",
            "license.txt",
        )),
    },
    Known { word: "openrail++", name: "CreativeML OpenRAIL++-M", text: None },
    Known { word: "apache-2.0", name: "Apache-2.0", text: None },
    Known { word: "mit", name: "MIT", text: None },
];

/// The licence with this card identifier or display name.
fn known(name: &str) -> Option<&'static Known> {
    let is_it = |other: &str| other.eq_ignore_ascii_case(name.trim());
    KNOWN.iter().find(|known| is_it(known.word) || is_it(known.name))
}

/// Reads the licence from the files of a model's repository or folder.
///
/// # Errors
/// One sentence if one of these files cannot be read.
pub async fn stated(source: &dyn Source) -> Result<Stated> {
    let mut text = None;
    for name in NAMES {
        text = read(source, name).await?;
        if text.is_some() {
            break;
        }
    }
    let word = read(source, CARD).await?.and_then(|card| word_of(&card));
    let name = word.map(|word| known(&word).map_or(word, |known| known.name.to_owned()));
    Ok(Stated { name: name.or_else(|| text.as_deref().and_then(title)), text })
}

/// The text of a licence known by its name, from the Hub at `endpoint`.
///
/// # Errors
/// One sentence if the Hub does not respond.
pub async fn text_of(name: &str, web: &Web, endpoint: &str) -> Result<Option<String>> {
    let Some((repo, revision, file)) = known(name).and_then(|known| known.text) else { return Ok(None) };
    read(&HubRepo::new(web, endpoint, repo, revision, ""), file).await
}

/// The title of a licence's text: its first non-empty line.
pub fn title(text: &str) -> Option<String> {
    let line = text.lines().map(|line| line.trim().trim_start_matches('#').trim()).find(|line| !line.is_empty())?;
    Some(line.chars().take(80).collect())
}

/// The whole text of a file, or `None` if it is missing or blank.
async fn read(source: &dyn Source, name: &str) -> Result<Option<String>> {
    let Some(file) = source.open(name).await? else { return Ok(None) };
    if file.bytes() > LONGEST {
        return Err(Error::File(format!("{} is too long for a text of {name}.", file.name())));
    }
    let text = String::from_utf8_lossy(&file.read(0..file.bytes()).await?).into_owned();
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// The `license` of a card's YAML header, which is between two lines of dashes. If it is `other`, the `license_name`.
fn word_of(card: &str) -> Option<String> {
    let mut lines = card.trim_start_matches('\u{feff}').lines();
    lines.next().filter(|line| line.trim() == "---")?;
    let header: Vec<&str> = lines.take_while(|line| line.trim() != "---").collect();
    let value = |key: &str| {
        let found = header.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let plain = found.trim().trim_matches(['"', '\'']).trim();
        (!plain.is_empty()).then(|| plain.to_owned())
    };
    value("license").filter(|word| word != "other").or_else(|| value("license_name"))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::path::PathBuf;

    use pollster::block_on;

    use super::*;
    use crate::source::local::Folder;

    /// A folder with these files.
    struct Model(PathBuf);

    impl Model {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let path = std::env::temp_dir().join(format!("styleid-licence-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            for (name, text) in files {
                std::fs::write(path.join(name), text).expect("a file");
            }
            Self(path)
        }

        fn stated(&self) -> (Option<String>, Option<String>) {
            let Stated { name, text } = block_on(stated(&Folder::new(&self.0))).expect("what it says");
            (name, text)
        }
    }

    impl Drop for Model {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_text_beside_the_weights_is_taken_as_it_is() {
        let text = "\n# My Licence\n\nNot for harm.\n";
        let alone = Model::with("alone", &[("LICENSE.md", text)]);
        assert_eq!(alone.stated(), (Some("My Licence".into()), Some(text.into())));
        let card = "---\nlanguage: en\nlicense: creativeml-openrail-m\n---\nlicense: mit\n";
        let both = Model::with("both", &[("LICENSE", "The text"), ("LICENSE.md", text), (CARD, card)]);
        assert_eq!(both.stated(), (Some("CreativeML OpenRAIL-M".into()), Some("The text".into())));
    }

    #[test]
    fn a_card_gives_the_name_alone() {
        let named = |name: &str, card: &str| {
            let (licence, text) = Model::with(name, &[(CARD, card), ("LICENSE", " \n")]).stated();
            assert_eq!(text, None, "an empty file is no text");
            licence
        };
        assert_eq!(named("plain", "---\nlicense: \"openrail++\"\n---").as_deref(), Some("CreativeML OpenRAIL++-M"));
        assert_eq!(named("other", "---\nlicense: other\nlicense_name: my-terms\n---").as_deref(), Some("my-terms"));
        assert_eq!(named("unknown", "---\r\nlicense: bsd\r\n---\r\n").as_deref(), Some("bsd"));
        for none in
            ["", "# A model\nlicense: mit\n", "---\ntags: [license]\n---\nlicense: mit", "---\nlicense: other\n---"]
        {
            assert_eq!(named("none", none), None, "{none:?}");
        }
    }

    #[test]
    fn a_licence_is_known_by_its_word_and_by_its_name() {
        for name in ["creativeml-openrail-m", "CreativeML OpenRAIL-M"] {
            assert!(known(name).is_some_and(|known| known.text.is_some()), "{name}");
        }
        assert!(known("openrail").is_none(), "which of them?");
    }
}
