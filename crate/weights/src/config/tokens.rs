//! The token ids of the empty prompt. `StyleID` needs no other prompt, so it needs no tokenizer, only its special tokens.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::{TextActivation, TextConfig};
use crate::error::{Error, Result};
use crate::source::file::Source;
use crate::source::json::optional_json;

/// Vocabulary size of CLIP's tokenizer, which every Stable Diffusion 1.x and 2.x uses.
const CLIP_VOCABULARY: usize = 49408;

/// Ids of the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// Beginning of sequence.
    pub bos: usize,
    /// End of sequence.
    pub eos: usize,
    /// Padding up to the full length.
    pub pad: usize,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    bos_token: Option<Value>,
    eos_token: Option<Value>,
    pad_token: Option<Value>,
}

/// A token in a tokenizer's config: its text, either as a string or in an object's `content`.
fn content(token: Option<&Value>) -> Option<&str> {
    token.and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()))
}

impl SpecialTokens {
    /// Reads the ids from `tokenizer/`. If a file is missing, CLIP's are used: the last two ids of the vocabulary, and for
    /// padding the end token (1.x) or id 0, which is "!" (2.x, recognised by its exact GELU).
    ///
    /// # Errors
    /// A special token that the vocabulary lacks, or a file that cannot be parsed.
    pub async fn load(source: &dyn Source, config: &TextConfig) -> Result<Self> {
        // CLIP's own vocabulary is known and its file is a megabyte; only the padding differs between models.
        let vocabulary: Option<HashMap<String, usize>> = match config.vocab_size {
            CLIP_VOCABULARY => Some(HashMap::from([
                ("<|startoftext|>".into(), CLIP_VOCABULARY - 2),
                ("<|endoftext|>".into(), CLIP_VOCABULARY - 1),
                ("!".into(), 0),
            ])),
            _ => optional_json(source, "tokenizer/vocab.json").await?,
        };
        let tokens: Option<TokenizerConfig> = optional_json(source, "tokenizer/special_tokens_map.json").await?;
        match (vocabulary, tokens) {
            (Some(vocabulary), Some(tokens)) => Self::from_files(&vocabulary, &tokens),
            _ => Self::of_config(config),
        }
    }

    /// CLIP's ids, for a model without a tokenizer.
    ///
    /// # Errors
    /// The vocabulary is too small for them.
    pub fn of_config(config: &TextConfig) -> Result<Self> {
        let (Some(bos), Some(eos)) = (config.vocab_size.checked_sub(2), config.vocab_size.checked_sub(1)) else {
            return Err(Error::Model("The text encoder's vocabulary is too small for a prompt.".into()));
        };
        let pad = match config.hidden_act {
            TextActivation::QuickGelu => eos,
            TextActivation::Gelu => 0,
        };
        Ok(Self { bos, eos, pad })
    }

    fn from_files(vocabulary: &HashMap<String, usize>, tokens: &TokenizerConfig) -> Result<Self> {
        let id = |token: Option<&Value>, default| {
            let text = content(token).unwrap_or(default);
            vocabulary.get(text).copied().ok_or_else(|| {
                Error::Model(format!("tokenizer/vocab.json has no token {text}, which its config names."))
            })
        };
        let end = "<|endoftext|>";
        Ok(Self {
            bos: id(tokens.bos_token.as_ref(), "<|startoftext|>")?,
            eos: id(tokens.eos_token.as_ref(), end)?,
            pad: id(tokens.pad_token.as_ref(), end)?,
        })
    }

    /// The ids of the empty prompt: begin, end, then padding up to `length`.
    pub fn empty_prompt(self, length: usize) -> Vec<usize> {
        let mut ids = vec![self.bos, self.eos];
        ids.resize(length, self.pad);
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(hidden_act: &str) -> TextConfig {
        serde_json::from_value(serde_json::json!({
            "hidden_size": 8, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1,
            "vocab_size": 49408, "hidden_act": hidden_act
        }))
        .expect("a literal that has every required key")
    }

    #[test]
    fn without_files_padding_is_eos_for_1x_and_0_for_2x() {
        let one = SpecialTokens::of_config(&config("quick_gelu")).expect("a vocabulary of 49408 has a last token");
        assert_eq!(one.empty_prompt(4), [49406, 49407, 49407, 49407]);
        let two = SpecialTokens::of_config(&config("gelu")).expect("a vocabulary of 49408 has a last token");
        assert_eq!(two.empty_prompt(4), [49406, 49407, 0, 0]);
    }

    #[test]
    fn files_name_the_tokens_as_text_or_as_objects() {
        let vocabulary = HashMap::from([("!".to_string(), 0), ("<s>".to_string(), 7), ("</s>".to_string(), 8)]);
        let tokens =
            serde_json::from_str(r#"{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": "!"}"#)
                .expect("valid JSON");
        let ids = SpecialTokens::from_files(&vocabulary, &tokens).expect("all three are in the vocabulary");
        assert_eq!(ids, SpecialTokens { bos: 7, eos: 8, pad: 0 });
    }
}
