//! What a network asks of a checkpoint.

/// A tensor that a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRequest {
    /// Its diffusers name in the network.
    pub name: String,
    /// Its shape in the network, which may differ from the file's in dimensions of 1.
    pub shape: Vec<usize>,
    /// Which rows of it: all where this is `None`.
    pub rows: Option<Vec<usize>>,
    /// Whether it is a matrix that may be kept quantised, not a vector or a table.
    pub is_weight: bool,
}
