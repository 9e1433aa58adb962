//! The prompt context: keys and values of the UNet's cross-attentions. A prompt is the same in every call, so they are
//! computed once.

use crate::model::attention::KeyValue;

/// Keys and values for one level: by attention, then by transformer block.
pub type LevelContext = Vec<Vec<KeyValue>>;

/// A prompt's keys and values for every cross-attention of a UNet.
#[derive(Debug, Clone)]
pub struct PromptContext {
    pub(super) down: Vec<LevelContext>,
    pub(super) mid: LevelContext,
    pub(super) up: Vec<LevelContext>,
}

impl PromptContext {
    /// Repeats the prompt for every picture of a batch.
    #[must_use]
    pub fn repeat(&self, batch: usize) -> Self {
        let level = |level: &LevelContext| -> LevelContext {
            level.iter().map(|blocks| blocks.iter().map(|block| block.repeat(batch)).collect()).collect()
        };
        Self {
            down: self.down.iter().map(level).collect(),
            mid: level(&self.mid),
            up: self.up.iter().map(level).collect(),
        }
    }
}
