//! How many weights there are, of which types.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::format::Dtype;

/// Count, bytes and dtypes of tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Census {
    /// Number of weights.
    pub parameters: u64,
    /// Bytes that they take in the file.
    pub bytes: u64,
    /// Weights of each dtype.
    pub dtypes: BTreeMap<String, u64>,
}

impl Census {
    /// Counts one tensor more.
    pub fn add(&mut self, dtype: Dtype, parameters: u64) {
        self.parameters += parameters;
        self.bytes += dtype.bytes(parameters).unwrap_or_default();
        *self.dtypes.entry(dtype.name().to_string()).or_default() += parameters;
    }
}
