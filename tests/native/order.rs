//! Checks that imports go one way: modules in the order that the `lib.rs` of each crate states, and files never in a
//! circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Sources by module path: `styleid::plan` is `["styleid", "plan"]`, and `[]` is `lib.rs`.
type Sources = BTreeMap<Vec<String>, String>;

/// The sources of a crate, without `main.rs` and without tests, which may import everything.
fn sources(folder: &Path) -> Sources {
    let mut sources = Sources::new();
    read(folder, &[], &mut sources);
    sources
}

fn read(folder: &Path, module: &[String], sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_string();
        if stem == "tests" || stem == "main" {
            continue;
        }
        let inner = [module, std::slice::from_ref(&stem)].concat();
        if path.is_dir() {
            read(&path, &inner, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let is_root = stem == "mod" || stem == "lib";
            sources.insert(if is_root { module.to_vec() } else { inner }, text);
        }
    }
}

/// The text without comments and without its unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let without = |line: &str| line.split("//").next().unwrap_or_default().to_string();
    text.lines().map(without).collect::<Vec<_>>().join("\n")
}

/// All paths in `code` that start with `crate`, `super` or `self`, with groups expanded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':') {
                tree(&code[at..], &[], &mut found);
            }
        }
    }
    found
}

/// Reads one use tree, such as `a::{b, c::d}`, adds its paths to `found`, and returns the text behind it.
fn tree<'a>(mut rest: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = prefix.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(mut group) = rest.strip_prefix('{') {
            while !group.trim_start().starts_with('}') && !group.trim_start().is_empty() {
                group = tree(group, &path, found).trim_start();
                group = group.strip_prefix(',').unwrap_or(group);
            }
            return group.trim_start().strip_prefix('}').unwrap_or_default();
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push(rest[..end].to_string());
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(next) if !next.starts_with('<') => rest = next,
            _ => break,
        }
    }
    found.push(path);
    // Skip an alias, or what else stands before the next delimiter.
    let end = rest.find([',', '}', ';', '(', ')', '\n']).unwrap_or(rest.len());
    &rest[end..]
}

/// Every file's imports, as the modules in whose files they are defined. A name that a module only re-exports counts as
/// the module that defines it.
fn imports(sources: &Sources) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let handed_on = |module: &[String]| -> BTreeMap<String, Vec<String>> {
        let text = sources.get(module).map(|text| code(text)).unwrap_or_default();
        let mut names = BTreeMap::new();
        for statement in text.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
            let mut found = Vec::new();
            tree(statement, &[], &mut found);
            for path in found {
                let path: Vec<String> = path.into_iter().filter(|part| part != "self").collect();
                if let Some((last, from)) = path.split_last() {
                    names.insert(last.clone(), [module, from].concat());
                }
            }
        }
        names
    };
    let handed: BTreeMap<&Vec<String>, _> = sources.keys().map(|module| (module, handed_on(module))).collect();
    // The file in which an absolute path ends.
    let resolve = |path: &[String]| -> Option<Vec<String>> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let length = (0..=path.len()).rev().find(|&length| sources.contains_key(&path[..length]))?;
            let (module, rest) = path.split_at(length);
            let known = rest.first().and_then(|name| handed.get(&module.to_vec())?.get(name));
            match known {
                Some(from) if from != module => path = [from, &rest[..1]].concat(),
                _ => return Some(module.to_vec()),
            }
        }
        None
    };
    let of = |(module, text): (&Vec<String>, &String)| {
        let mut targets = BTreeSet::new();
        for path in paths(&code(text)) {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let base = match path[0].as_str() {
                "crate" => &[][..],
                "self" => &module[..],
                _ => &module[..module.len().saturating_sub(ups)],
            };
            let absolute = [base, &path[ups.max(1)..]].concat();
            let outside =
                absolute.first().is_some_and(|first| first == "weights" && !sources.contains_key(&absolute[..1]));
            let target = if outside { Some(vec!["weights".to_string()]) } else { resolve(&absolute) };
            targets.extend(target.filter(|target| target != module));
        }
        (module.clone(), targets)
    };
    sources.iter().map(of).collect()
}

/// The order that a `lib.rs` states, lowest first.
fn stated(lib: &str) -> Vec<String> {
    let line = lib.lines().filter(|line| line.starts_with("//!")).map(|line| line.trim_start_matches("//!").trim());
    let inside: Vec<&str> =
        line.skip_while(|line| *line != "```text").skip(1).take_while(|line| *line != "```").collect();
    inside.join(" ").split('<').map(|name| name.trim().to_string()).collect()
}

/// Sentences about imports that go against the order, and about circles of files.
fn faults(sources: &Sources) -> Vec<String> {
    let order = stated(&sources[&Vec::new()]);
    let imports = imports(sources);
    let mut faults = Vec::new();
    let place = |module: &[String]| order.iter().position(|name| Some(name) == module.first());
    for (module, targets) in &imports {
        let Some(name) = module.first() else { continue };
        let Some(own) = place(module) else {
            faults.push(format!("lib.rs states no place for {name}"));
            continue;
        };
        for target in targets.iter().filter(|target| !target.is_empty()) {
            match place(target) {
                Some(other) if other <= own => {}
                _ => faults.push(format!("{} imports {}", module.join("::"), target.join("::"))),
            }
        }
    }
    // A child may use what its parent declares, and a parent its children: they are one module in several files.
    let related = |a: &[String], b: &[String]| a.starts_with(b) || b.starts_with(a);
    let next = |module: &Vec<String>| -> Vec<Vec<String>> {
        imports.get(module).into_iter().flatten().filter(|target| !related(module, target)).cloned().collect()
    };
    for start in imports.keys() {
        let (mut seen, mut waiting) = (BTreeSet::new(), next(start));
        while let Some(module) = waiting.pop() {
            if module == *start {
                faults.push(format!("{} is in a circle of files", start.join("::")));
                break;
            }
            if seen.insert(module.clone()) {
                waiting.extend(next(&module));
            }
        }
    }
    faults
}

fn crates() -> [Sources; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [sources(&root.join("src")), sources(&root.join("weights/src"))]
}

#[test]
fn imports_go_the_way_that_lib_rs_states() {
    for sources in crates() {
        assert!(sources.len() > 20, "there is something to look at");
        assert_eq!(faults(&sources), Vec::<String>::new());
    }
}

#[test]
fn an_import_against_the_order_is_noticed() {
    let [sources, _] = crates();
    let with = |module: &[&str], line: &str| {
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        let mut sources = sources.clone();
        let text = sources.get_mut(&module).expect("a file");
        *text = format!("{line}\n{text}");
        faults(&sources)
    };
    for (module, line) in [
        (&["ops"][..], "use crate::styleid::Params;"),
        (&["ops"], "use crate::{Error, Params, Result};"),
        (&["ops", "gemm"], "use super::super::model::StableDiffusion;"),
        (&["device"], "use crate::{\n    fault,\n    gpu::{self, Adapter},\n};"),
        (&["control"], "fn f() { crate::memory::sample() }"),
        (&["model", "unet", "context"], "use super::blocks::DownBlock;"),
    ] {
        assert!(!with(module, line).is_empty(), "{module:?}: {line}");
    }
    for (module, line) in [
        (&["styleid"][..], "use crate::ops::Kernels;"),
        (&["ops"], "// use crate::styleid::Params;"),
        (&["error"], "use crate::weights::Origin;"),
    ] {
        assert_eq!(with(module, line), Vec::<String>::new(), "{line}");
    }
}
