//! Under which terms a model's weights are, as their source says: a licence's text beside them, or its name on the model's card.
//!
//! Whoever hands weights on has to hand on their licence, and CreativeML OpenRAIL-M asks for its text and its restrictions of use.

use super::file::Source;
use super::http::Web;
use super::hub::HubRepo;
use crate::error::{Error, Result};

/// Names that a licence's file has in a model's repository.
const NAMES: [&str; 4] = ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENSE-MODEL"];

/// The card of a model on the Hub.
const CARD: &str = "README.md";

/// A longer file is something else.
const LONGEST: u64 = 1 << 20;

/// What a source says of the terms of its weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stated {
    /// The licence's name.
    pub name: Option<String>,
    /// Its whole text.
    pub text: Option<String>,
}

/// A licence that models share without each having its text.
struct Known {
    /// What cards call it.
    word: &'static str,
    /// Its name for people.
    name: &'static str,
    /// Repository, revision and file of the Hub where its text is, if it is there.
    text: Option<(&'static str, &'static str, &'static str)>,
}

const KNOWN: [Known; 4] = [
    Known {
        word: "creativeml-openrail-m",
        name: "CreativeML OpenRAIL-M",
        // What the cards of Stable Diffusion 1.x link to.
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

/// The licence of a card's word or of a name for people.
fn known(name: &str) -> Option<&'static Known> {
    let is_it = |other: &str| other.eq_ignore_ascii_case(name.trim());
    KNOWN.iter().find(|known| is_it(known.word) || is_it(known.name))
}

/// What the files of a model's repository or folder say.
///
/// # Errors
/// One sentence where a file that says it cannot be read.
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

/// The text of a licence that is known by its name, from the Hub at `endpoint`.
///
/// # Errors
/// One sentence where the Hub does not answer.
pub async fn text_of(name: &str, web: &Web, endpoint: &str) -> Result<Option<String>> {
    let Some((repo, revision, file)) = known(name).and_then(|known| known.text) else { return Ok(None) };
    read(&HubRepo::new(web, endpoint, repo, revision, ""), file).await
}

/// What a licence's text begins with: its name.
pub fn title(text: &str) -> Option<String> {
    let line = text.lines().map(|line| line.trim().trim_start_matches('#').trim()).find(|line| !line.is_empty())?;
    Some(line.chars().take(80).collect())
}

/// The whole text of a file, or `None` where there is none or nothing in it.
async fn read(source: &dyn Source, name: &str) -> Result<Option<String>> {
    let Some(file) = source.open(name).await? else { return Ok(None) };
    if file.bytes() > LONGEST {
        return Err(Error::File(format!("{} is too long for a text of {name}.", file.name())));
    }
    let text = String::from_utf8_lossy(&file.read(0..file.bytes()).await?).into_owned();
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// What a card's header (YAML between two lines of dashes) gives as `license`. `other` leads to a `license_name`.
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
