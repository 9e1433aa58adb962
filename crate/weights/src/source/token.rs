//! The Hub's address, and the user's access token as the Hub's own tools store it.

use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;

/// The Hub's address.
pub const ENDPOINT: &str = "https://huggingface.co";

/// An access token. It is sent in requests and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A token from its text, or `None` if the text cannot be a token.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_token = !text.is_empty() && text.len() <= 4096 && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }

    /// The token's text, for a request.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The token of this computer's user: `HF_TOKEN` or `HUGGING_FACE_HUB_TOKEN`, else the file written by `hf auth login`
    /// (`HF_TOKEN_PATH`, or `token` in `HF_HOME`, or in `huggingface` in the user's cache folder).
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN` disables all of them.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn find() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self::find_by(&variable, |path| std::fs::read_to_string(path).ok())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn find_by(
        variable: &dyn Fn(&str) -> Option<String>,
        read: impl Fn(&std::path::Path) -> Option<String>,
    ) -> Option<Self> {
        let is_off = |value: String| ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str());
        if variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(is_off) {
            return None;
        }
        let said = variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN"));
        if let Some(token) = said {
            return Self::new(&token);
        }
        let path = |name: &str| variable(name).map(PathBuf::from);
        let user = || path("HOME").or_else(|| path("USERPROFILE"));
        let cache = || path("XDG_CACHE_HOME").or_else(|| Some(user()?.join(".cache")));
        let home = || path("HF_HOME").or_else(|| Some(cache()?.join("huggingface")));
        let file = path("HF_TOKEN_PATH").or_else(|| Some(home()?.join("token")))?;
        Self::new(&read(&file)?)
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_where_the_hubs_tools_leave_them() {
        let find = |set: &[(&str, &str)], file: &str| {
            let value = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let read = |path: &std::path::Path| (path == std::path::Path::new(file)).then(|| "filed\n".to_owned());
            Token::find_by(&value, read).map(|token| token.secret().to_owned())
        };
        let home = ("HOME", "/h");
        assert_eq!(find(&[("HF_TOKEN", " a\n"), ("HUGGING_FACE_HUB_TOKEN", "b"), home], "").as_deref(), Some("a"));
        assert_eq!(find(&[("HUGGING_FACE_HUB_TOKEN", "b"), home], "").as_deref(), Some("b"));
        let filed = Some("filed");
        assert_eq!(find(&[home], "/h/.cache/huggingface/token").as_deref(), filed);
        assert_eq!(find(&[("XDG_CACHE_HOME", "/c"), home], "/c/huggingface/token").as_deref(), filed);
        assert_eq!(find(&[("HF_HOME", "/f"), home], "/f/token").as_deref(), filed);
        assert_eq!(find(&[("HF_TOKEN_PATH", "/t"), ("HF_HOME", "/f")], "/t").as_deref(), filed);
        assert_eq!(find(&[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], ""), None);
        assert_eq!(find(&[home], ""), None);
        assert_eq!(find(&[], ""), None);
    }

    #[test]
    fn a_token_is_no_text() {
        let token = Token::new("hf_secret").expect("a token");
        assert_eq!(format!("{token:?}"), "Token(…)");
        for none in ["", " ", "a b", "a\nb", "ä"] {
            assert_eq!(Token::new(none), None, "{none:?}");
        }
    }
}
