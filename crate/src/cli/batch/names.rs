//! What results are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sanitize_filename::{Options, sanitize_with_options};
use styleid::{Error, Result};

/// Bytes of a picture's name that go into a result's: two of them fit what file systems take.
const LONGEST: usize = 96;

/// How results are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Of `--out`: a folder, or a name in which `{content}`, `{style}` and `{look}` stand for their names.
    ///
    /// # Errors
    /// Names what in braces is none of them.
    pub fn new(out: &str) -> Result<Self> {
        let folder = Path::new(out);
        if !out.contains('{') {
            return Ok(Self(folder.join("{content}_in_{style}.png").to_string_lossy().into_owned()));
        }
        let rest = ["{content}", "{style}", "{look}"].iter().fold(out.to_string(), |rest, name| rest.replace(name, ""));
        if rest.contains(['{', '}']) {
            return Err(Error::Settings(format!(
                "The name {out} cannot be understood; in braces there can be {{content}}, {{style}} and {{look}}."
            )));
        }
        let is_png = folder.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        Ok(Self(if is_png { out.to_string() } else { format!("{out}.png") }))
    }

    /// The file of the result of these pictures with the settings `look`.
    pub fn file(&self, content: &str, style: &str, look: &str) -> PathBuf {
        let names = [("{content}", content), ("{style}", style), ("{look}", look)];
        // One after the other from the left, so that braces in a picture's name stay what they are.
        let (mut file, mut rest) = (String::new(), self.0.as_str());
        while let Some((at, (placeholder, name))) =
            names.iter().filter_map(|name| Some((rest.find(name.0)?, name))).min_by_key(|(at, _)| *at)
        {
            file.push_str(&rest[..at]);
            file.push_str(&safe(name));
            rest = &rest[at + placeholder.len()..];
        }
        file.push_str(rest);
        file.into()
    }
}

/// A name that every system takes, Windows too.
fn safe(name: &str) -> String {
    let end = (0..=name.len().min(LONGEST)).rev().find(|&end| name.is_char_boundary(end)).unwrap_or_default();
    let safe = sanitize_with_options(&name[..end], Options { windows: true, truncate: false, replacement: "_" });
    if safe.is_empty() { "_".into() } else { safe }
}

/// The name of a picture's file, without its ending.
pub fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Makes sure that no two of `files` are one, also where upper and lower case are the same.
///
/// # Errors
/// Names the two pairs of pictures.
pub fn check_distinct<'a>(files: impl Iterator<Item = (&'a Path, String)>) -> Result<()> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (file, pair) in files {
        if let Some(other) = seen.insert(file.to_string_lossy().to_lowercase(), pair.clone()) {
            return Err(Error::Settings(format!(
                "{other} and {pair} would both become {}; rename one, or name fewer with a pattern such as 'photos/*.jpg'.",
                file.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_safe_everywhere() {
        let file = |out: &str, content: &str, style: &str| {
            let template = Template::new(out).expect("a template");
            template.file(content, style, "bold").to_string_lossy().replace('\\', "/")
        };
        assert_eq!(file("out", "cat", "wave"), "out/cat_in_wave.png");
        assert_eq!(file("{look}/{style}/{content}", "cat", "wave"), "bold/wave/cat.png");
        assert_eq!(file("out/{content}.PNG", "v1.2", "wave"), "out/v1.2.PNG");
        assert_eq!(file("{content}-{style}.png", "{style}", "wave"), "{style}-wave.png");
        assert_eq!(file("{content}.png", "what? 1:2 <a|b>", ""), "what_ 1_2 _a_b_.png");
        assert_eq!(file("{content}/{style}.png", "..", "con"), "_/_.png");
        assert_eq!(file("{content}.png", &"ä".repeat(200), "").len(), LONGEST + ".png".len());
        let error = Template::new("out/{name}.png").expect_err("no such name").to_string();
        assert!(error.contains("{content}, {style} and {look}"), "{error}");
    }

    #[test]
    fn two_results_of_one_name_are_refused() {
        let files = |names: &[&'static str]| {
            let files: Vec<_> = names.iter().map(|name| (Path::new(*name), format!("pair {name}"))).collect();
            check_distinct(files.into_iter())
        };
        assert!(files(&["a.png", "b.png"]).is_ok());
        let error = files(&["a.png", "A.png"]).expect_err("one file on some systems").to_string();
        assert!(error.contains("pair a.png and pair A.png would both become A.png"), "{error}");
    }
}
