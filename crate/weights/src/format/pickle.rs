//! The few instructions of Python's pickles that weights need. Nothing is ever run, imported or called: what a pickle
//! would make by calling something is a [`Node::Made`] with the arguments, for others to look at. Total, as all parsers here.

mod ops;
mod state;

pub use state::{PickledTensor, tensors};

/// A value. Those that hold others are nodes, since they may be shared and may contain themselves: see [`Pickle::node`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickleValue {
    /// Nothing, or something that no weights are told by (floats, bytes, long integers).
    Other,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text, by its place in the pickle.
    Text {
        /// Its first byte.
        at: u32,
        /// How many bytes it has.
        bytes: u32,
    },
    /// A node.
    Node(u32),
}

/// What holds other values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A tuple.
    Tuple(Vec<PickleValue>),
    /// A list or a set.
    List(Vec<PickleValue>),
    /// Keys and values, in order.
    Dict(Vec<(PickleValue, PickleValue)>),
    /// Something of a module, by its name: a class or a function.
    Global {
        /// The module.
        module: PickleValue,
        /// Its name there.
        name: PickleValue,
    },
    /// What calling something with arguments would make.
    Made {
        /// What would be called.
        callee: PickleValue,
        /// With what.
        arguments: PickleValue,
    },
    /// Something outside the pickle, such as a storage.
    Outside(PickleValue),
}

/// A pickle that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    /// The value that it is.
    top: PickleValue,
}

/// The largest pickle that is read. Those of checkpoints take less than 1 MiB.
pub const MAX_PICKLE: u64 = 16 << 20;

/// Values in all that are held. A checkpoint of 1100 tensors has about 30 000.
const MOST_VALUES: usize = 1 << 20;

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    ///
    /// # Errors
    /// Why it is not read, as the end of a sentence about the file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        ops::read(bytes)
    }

    /// The text of a value, if it is one.
    pub fn text(&self, value: PickleValue) -> Option<&'a str> {
        let PickleValue::Text { at, bytes } = value else { return None };
        let at = usize::try_from(at).ok()?;
        let end = at.checked_add(usize::try_from(bytes).ok()?)?;
        std::str::from_utf8(self.bytes.get(at..end)?).ok()
    }

    /// What a value holds, if it is a node.
    pub fn node(&self, value: PickleValue) -> Option<&Node> {
        let PickleValue::Node(at) = value else { return None };
        self.nodes.get(usize::try_from(at).ok()?)
    }

    /// The elements of a tuple.
    fn tuple(&self, value: PickleValue) -> Option<&[PickleValue]> {
        if let Some(Node::Tuple(elements)) = self.node(value) { Some(elements) } else { None }
    }

    /// Module and name of a global.
    fn global(&self, value: PickleValue) -> Option<(&'a str, &'a str)> {
        let Some(Node::Global { module, name }) = self.node(value) else { return None };
        Some((self.text(*module)?, self.text(*name)?))
    }
}
