//! What a network requests from a checkpoint.

/// A tensor that a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRequest {
    /// Its diffusers name in the network.
    pub name: String,
    /// Its shape in the network, which may differ from the file's in dimensions of 1.
    pub shape: Vec<usize>,
    /// The requested rows; all of them if `None`.
    pub rows: Option<Vec<usize>>,
    /// Whether it is a matrix that may be quantised, not a vector or a table.
    pub is_weight: bool,
}
