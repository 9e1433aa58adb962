//! Reads configs as diffusers does: null means the default. Errors name the file and the key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Longest parser message that is passed on, because it may quote the file.
const LONGEST: usize = 200;

/// Reads the config `file` of the model `name`. Every key of `T` has a default. Nulls are removed first, nested ones too,
/// so they mean the default, except at the keys in `nulls`.
///
/// # Errors
/// The file, and the key whose value has the wrong type.
pub(super) fn read<T: DeserializeOwned>(name: &str, file: &str, value: &Value, nulls: &[&str]) -> Result<T> {
    let fail = |what: String| Error::Model(format!("{file} of {name} cannot be understood: {what}."));
    let Value::Object(map) = value else { return Err(fail("it is no JSON object".into())) };
    let map = without_nulls(map, nulls);
    T::deserialize(Value::Object(map.clone())).map_err(|error| {
        // The parser does not report the key: it is the one that also fails on its own.
        let alone = |(key, value): (&String, &Value)| {
            let one = Value::Object(Map::from_iter([(key.clone(), value.clone())]));
            T::deserialize(one).err().map(|error| format!("{key}: {}", short(&error.to_string())))
        };
        fail(map.iter().find_map(alone).unwrap_or_else(|| short(&error.to_string())))
    })
}

/// A text from a file, shortened for display.
pub(super) fn short(text: &str) -> String {
    let text = text.trim_end_matches('.');
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

fn without_nulls(map: &Map<String, Value>, but: &[&str]) -> Map<String, Value> {
    let kept = map.iter().filter(|(key, value)| !value.is_null() || but.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), inside(value))).collect()
}

fn inside(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(without_nulls(map, &[])),
        Value::Array(values) => values.iter().map(inside).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Three {
        count: usize,
        flag: bool,
        kind: Option<String>,
    }

    impl Default for Three {
        fn default() -> Self {
            Self { count: 3, flag: true, kind: Some("usual".into()) }
        }
    }

    fn three(value: Value) -> Result<Three> {
        read("a/model", "part/config.json", &value, &["kind"])
    }

    #[test]
    fn null_is_the_default_but_where_it_means_something() {
        assert_eq!(three(json!({ "count": null, "flag": null })).expect("defaults"), Three::default());
        assert_eq!(three(json!({ "kind": null })).expect("none"), Three { kind: None, ..Three::default() });
    }

    #[test]
    fn a_wrong_type_is_named_by_file_and_key() {
        let long = "x".repeat(10_000);
        for (value, part) in [
            (json!([]), "it is no JSON object"),
            (json!("text"), "it is no JSON object"),
            (json!({ "count": 1, "flag": "yes" }), "flag: invalid type"),
            (json!({ "count": -1 }), "count: invalid value"),
            (json!({ "flag": long }), "flag: invalid type"),
        ] {
            let message = three(value).expect_err("wrong").to_string();
            assert!(message.starts_with("part/config.json of a/model cannot be understood: "), "{message}");
            assert!(message.contains(part) && message.len() < 400 && message.ends_with('.'), "{message}");
        }
    }
}
