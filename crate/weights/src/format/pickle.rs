//! The subset of Python's pickle format that weights need. Nothing is ever executed, imported or called. The result of a
//! call becomes a [`Node::Made`] with its arguments, for other code to inspect. The parser is total, like all parsers here.

mod ops;
mod state;

pub use state::{PickledTensor, tensors};

/// A value. Containers are nodes, because they may be shared or contain themselves: see [`Pickle::node`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickleValue {
    /// Python's `None`, or a value that is irrelevant to weights (floats, bytes, long integers).
    Other,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text, by its position in the pickle.
    Text {
        /// Offset of its first byte.
        at: u32,
        /// Its length in bytes.
        bytes: u32,
    },
    /// A node.
    Node(u32),
}

/// A value that refers to other values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A tuple.
    Tuple(Vec<PickleValue>),
    /// A list or a set.
    List(Vec<PickleValue>),
    /// Keys and values, in order.
    Dict(Vec<(PickleValue, PickleValue)>),
    /// A class or function, by module and name.
    Global {
        /// The module.
        module: PickleValue,
        /// Its name in the module.
        name: PickleValue,
    },
    /// The result of a call.
    Made {
        /// The callee.
        callee: PickleValue,
        /// Its arguments.
        arguments: PickleValue,
    },
    /// A persistent id: something outside the pickle, such as a storage.
    Outside(PickleValue),
}

/// A parsed pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pickle<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    /// The root value.
    top: PickleValue,
}

/// Largest pickle that is read. Those of checkpoints stay below 1 MiB.
pub const MAX_PICKLE: u64 = 16 << 20;

/// Most values in total. A checkpoint of 1100 tensors has about 30 000.
const MOST_VALUES: usize = 1 << 20;

impl<'a> Pickle<'a> {
    /// Parses a pickle.
    ///
    /// # Errors
    /// Why it cannot be read, as the end of a sentence about the file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        ops::read(bytes)
    }

    /// The text of a value, if it is a text.
    pub fn text(&self, value: PickleValue) -> Option<&'a str> {
        let PickleValue::Text { at, bytes } = value else { return None };
        let at = usize::try_from(at).ok()?;
        let end = at.checked_add(usize::try_from(bytes).ok()?)?;
        std::str::from_utf8(self.bytes.get(at..end)?).ok()
    }

    /// The node of a value, if it is one.
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
