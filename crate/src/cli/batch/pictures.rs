//! Which pictures files, folders and patterns name.

use std::path::{Path, PathBuf};

use styleid::{Error, Result};

/// What systems leave in folders.
const LEFT: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// Whether `named` is one file, whether or not it is there, and nothing that stands for others.
pub fn is_file(named: &Path) -> bool {
    named.exists() && !named.is_dir() || !named.exists() && !is_pattern(named)
}

fn is_pattern(named: &Path) -> bool {
    named.to_string_lossy().contains(['*', '?', '['])
}

/// The pattern that `named` is, if it can be one.
pub fn pattern(named: &Path) -> Option<glob::Pattern> {
    glob::Pattern::new(&named.to_string_lossy()).ok().filter(|_| is_pattern(named) && !named.exists())
}

/// The files that `named` names, in their order: those of a folder, without folders in it, and those that a pattern fits, by name.
/// Nothing is read yet.
///
/// # Errors
/// Says what names nothing.
pub fn expand(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for named in named {
        let found = if named.is_dir() {
            in_folder(named)?
        } else if is_file(named) {
            vec![named.clone()]
        } else {
            fitting(named)?
        };
        if found.is_empty() {
            return Err(Error::File(format!("There is no file at {}; name pictures that are there.", named.display())));
        }
        // A file that is named twice is one picture.
        files.extend(found.into_iter().filter(|file| !files.contains(file)).collect::<Vec<_>>());
    }
    Ok(files)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| Error::File(format!("The folder {} cannot be read: {error}.", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if !path.is_dir() && !name.starts_with('.') && !LEFT.contains(&name.as_str()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn fitting(pattern: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::Settings(format!("The pattern {} cannot be used: {error}.", pattern.display()))
    };
    let paths = glob::glob(&pattern.to_string_lossy()).map_err(|error| wrong(&error))?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| wrong(&error))?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_name_their_files_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("inner")).expect("a folder");
        for name in ["b.jpg", "a.png", "c[1].jpg", "notes.txt", ".hidden", "Thumbs.db", "inner/d.jpg"] {
            std::fs::write(path(name), "").expect("a file");
        }
        let named = |named: &[&str]| {
            let named: Vec<PathBuf> = named.iter().map(|name| path(name)).collect();
            let files = expand(&named)?;
            let name = |file: &PathBuf| file.strip_prefix(folder.path()).expect("inside").display().to_string();
            Ok::<Vec<String>, Error>(files.iter().map(name).collect())
        };
        assert_eq!(named(&[""]).expect("files"), ["a.png", "b.jpg", "c[1].jpg", "notes.txt"]);
        assert_eq!(named(&["*.jpg", "a.png"]).expect("files"), ["b.jpg", "c[1].jpg", "a.png"]);
        assert_eq!(named(&["**/*.jpg"]).expect("files"), ["b.jpg", "c[1].jpg", "inner/d.jpg"]);
        // A file whose name looks like a pattern is that file, and what is named twice is there once.
        assert_eq!(named(&["c[1].jpg", "c*.jpg"]).expect("files"), ["c[1].jpg"]);
        // What is missing is told of when it is read.
        assert_eq!(named(&["gone.jpg"]).expect("files"), ["gone.jpg"]);
        for (wrong, part) in [("*.gif", "There is no file at"), ("***", "The pattern")] {
            let said = named(&[wrong]).expect_err("nothing is named").to_string();
            assert!(said.contains(part), "{wrong}: {said}");
        }
    }
}
