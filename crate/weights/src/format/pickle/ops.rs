//! The pickle virtual machine: a stack with marks, and a memo for values that recur.

use std::collections::HashMap;

use super::{MOST_VALUES, Node, Pickle, PickleValue};
use crate::format::shown;

/// Modules and functions that harmful files use and weights never need.
const HARMFUL: [&str; 16] = [
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.open",
    "builtins.__import__",
    "__builtin__.eval",
    "__builtin__.exec",
    "__builtin__.execfile",
    "__builtin__.compile",
    "__builtin__.open",
    "__builtin__.__import__",
    "os.",
    "posix.",
    "nt.",
    "subprocess.",
    "runpy.",
];

type Step<T> = Result<T, String>;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<PickleValue>,
    /// Stack heights at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, PickleValue>,
    nodes: Vec<Node>,
    /// Number of values pushed or memoised so far.
    count: usize,
}

pub(super) fn read(bytes: &[u8]) -> Step<Pickle<'_>> {
    if u32::try_from(bytes.len()).is_err() {
        return Err("its index is too large".into());
    }
    let (stack, marks, memo, nodes) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
    let mut machine = Machine { bytes, at: 0, stack, marks, memo, nodes, count: 0 };
    loop {
        if let Some(top) = machine.step()? {
            return Ok(Pickle { bytes, nodes: machine.nodes, top });
        }
    }
}

impl<'a> Machine<'a> {
    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or("its index ends too early")?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "its index ends too early".into())
    }

    fn u8(&mut self) -> Step<usize> {
        self.array::<1>().map(|[byte]| byte.into())
    }

    fn u32(&mut self) -> Step<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 4-byte length.
    fn length(&mut self) -> Step<usize> {
        usize::try_from(self.u32()?).map_err(|_| "its index is too large".into())
    }

    /// An 8-byte length.
    fn long_length(&mut self) -> Step<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "its index is too large".into())
    }

    fn line(&mut self) -> Step<PickleValue> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let bytes = rest.iter().position(|byte| *byte == b'\n').ok_or("its index ends too early")?;
        let text = self.text(bytes)?;
        self.at += 1;
        Ok(text)
    }

    fn text(&mut self, bytes: usize) -> Step<PickleValue> {
        let at = self.at;
        self.take(bytes)?;
        // Both fit into u32: the pickle is shorter than 4 GiB.
        Ok(PickleValue::Text { at: at as u32, bytes: bytes as u32 })
    }

    fn counted(&mut self) -> Step<()> {
        self.count += 1;
        if self.count > MOST_VALUES { Err("its index holds too much".into()) } else { Ok(()) }
    }

    fn push(&mut self, value: PickleValue) -> Step<()> {
        self.counted()?;
        self.stack.push(value);
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Step<()> {
        self.nodes.push(node);
        self.push(PickleValue::Node((self.nodes.len() - 1) as u32))
    }

    fn pop(&mut self) -> Step<PickleValue> {
        let floor = self.marks.last().copied().unwrap_or_default();
        let popped = if self.stack.len() > floor { self.stack.pop() } else { None };
        popped.ok_or_else(|| "its index makes no sense".into())
    }

    /// Pops the last `count` values.
    fn pop_last(&mut self, count: usize) -> Step<Vec<PickleValue>> {
        let floor = self.marks.last().copied().unwrap_or_default();
        let from = self.stack.len().checked_sub(count).filter(|from| *from >= floor);
        Ok(self.stack.split_off(from.ok_or("its index makes no sense")?))
    }

    /// Pops all values since the last mark.
    fn pop_marked(&mut self) -> Step<Vec<PickleValue>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("its index makes no sense")?;
        Ok(self.stack.split_off(mark))
    }

    /// The node on top of the stack, if there is one.
    fn top_node(&mut self) -> Step<Option<&mut Node>> {
        let top = self.pop()?;
        self.stack.push(top);
        let PickleValue::Node(at) = top else { return Ok(None) };
        Ok(self.nodes.get_mut(at as usize))
    }

    fn append(&mut self, values: Vec<PickleValue>) -> Step<()> {
        // Appending to anything else would run that object's own code.
        if let Some(Node::List(list)) = self.top_node()? {
            list.extend(values);
        }
        Ok(())
    }

    fn set(&mut self, values: &[PickleValue]) -> Step<()> {
        let (pairs, []) = values.as_chunks() else { return Err("its index makes no sense".into()) };
        let pairs = pairs.iter().map(|[key, value]| (*key, *value));
        match self.top_node()? {
            Some(Node::Dict(dict)) => dict.extend(pairs),
            // An ordered or default dict, which is created by a call.
            Some(node @ Node::Made { .. }) => *node = Node::Dict(pairs.collect()),
            _ => {}
        }
        Ok(())
    }

    fn memorise(&mut self, key: u32) -> Step<()> {
        let top = self.pop()?;
        self.stack.push(top);
        self.counted()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Step<()> {
        let value = self.memo.get(&key).copied().ok_or("its index makes no sense")?;
        self.push(value)
    }

    /// Rejects what only harmful files need. Nothing would be executed here, but other programs would execute it.
    fn global(&mut self, module: PickleValue, name: PickleValue) -> Step<()> {
        let text = |value: PickleValue| {
            let PickleValue::Text { at, bytes } = value else { return None };
            std::str::from_utf8(self.bytes.get(at as usize..)?.get(..bytes as usize)?).ok()
        };
        let (Some(in_module), Some(called)) = (text(module), text(name)) else {
            return Err("its index makes no sense".into());
        };
        let path = format!("{in_module}.{called}");
        if HARMFUL.iter().any(|harm| path == *harm || harm.ends_with('.') && path.starts_with(harm)) {
            return Err(format!("it would run {} where other programs open it, as harmful files do", shown(&path)));
        }
        self.push_node(Node::Global { module, name })
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        self.push_node(Node::Made { callee, arguments })
    }

    /// An integer of `bytes` bytes. Longer ones are irrelevant to weights.
    fn long(&mut self, bytes: usize) -> Step<()> {
        let taken = self.take(bytes)?;
        let negative = taken.last().is_some_and(|byte| *byte >= 0x80);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        let value = match wide.get_mut(..bytes) {
            Some(low) => {
                low.copy_from_slice(taken);
                PickleValue::Int(i64::from_le_bytes(wide))
            }
            None => PickleValue::Other,
        };
        self.push(value)
    }

    fn skip(&mut self, bytes: usize) -> Step<()> {
        self.take(bytes)?;
        self.push(PickleValue::Other)
    }

    /// Executes one instruction. The last one returns the root value.
    fn step(&mut self) -> Step<Option<PickleValue>> {
        let [op] = self.array()?;
        match op {
            0x80 => drop(self.take(1)?), // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'(' => {
                self.counted()?;
                self.marks.push(self.stack.len());
            }
            b'.' => return self.pop().map(Some),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),
            b'2' => {
                let top = self.pop()?;
                self.stack.push(top);
                self.push(top)?;
            }
            b'N' => self.push(PickleValue::Other)?,
            0x88 => self.push(PickleValue::Bool(true))?,
            0x89 => self.push(PickleValue::Bool(false))?,
            b'K' => {
                let value = self.u8()? as i64;
                self.push(PickleValue::Int(value))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(PickleValue::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(PickleValue::Int(value.into()))?;
            }
            0x8a => {
                let bytes = self.u8()?;
                self.long(bytes)?;
            }
            0x8b => {
                let bytes = self.length()?;
                self.long(bytes)?;
            }
            b'G' => self.skip(8)?,
            b'X' | b'T' => {
                let bytes = self.length()?;
                let text = self.text(bytes)?;
                self.push(text)?;
            }
            0x8c | b'U' => {
                let bytes = self.u8()?;
                let text = self.text(bytes)?;
                self.push(text)?;
            }
            0x8d => {
                let bytes = self.long_length()?;
                let text = self.text(bytes)?;
                self.push(text)?;
            }
            b'C' => {
                let bytes = self.u8()?;
                self.skip(bytes)?;
            }
            b'B' => {
                let bytes = self.length()?;
                self.skip(bytes)?;
            }
            0x8e | 0x96 => {
                let bytes = self.long_length()?;
                self.skip(bytes)?;
            }
            b')' => self.push_node(Node::Tuple(Vec::new()))?,
            b']' | 0x8f => self.push_node(Node::List(Vec::new()))?,
            b'}' => self.push_node(Node::Dict(Vec::new()))?,
            0x85..=0x87 => {
                let values = self.pop_last(usize::from(op - 0x84))?;
                self.push_node(Node::Tuple(values))?;
            }
            b't' | 0x91 => {
                let values = self.pop_marked()?;
                self.push_node(Node::Tuple(values))?;
            }
            b'l' => {
                let values = self.pop_marked()?;
                self.push_node(Node::List(values))?;
            }
            b'd' => {
                let values = self.pop_marked()?;
                self.push_node(Node::Dict(Vec::new()))?;
                self.set(&values)?;
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])?;
            }
            b'e' | 0x90 => {
                let values = self.pop_marked()?;
                self.append(values)?;
            }
            b's' => {
                let values = self.pop_last(2)?;
                self.set(&values)?;
            }
            b'u' => {
                let values = self.pop_marked()?;
                self.set(&values)?;
            }
            b'q' => {
                let key = self.u8()? as u32;
                self.memorise(key)?;
            }
            b'r' => {
                let key = self.u32()?;
                self.memorise(key)?;
            }
            0x94 => self.memorise(self.memo.len() as u32)?,
            b'h' => {
                let key = self.u8()? as u32;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.u32()?;
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.global(module, name)?;
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            // The state of an object is irrelevant to weights.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push_node(Node::Outside(id))?;
            }
            _ => return Err(format!("its index has the instruction {}, which weights don't need", named(op))),
        }
        Ok(None)
    }
}

/// Python's name for an instruction.
fn named(op: u8) -> String {
    let name = match op {
        b'F' => "FLOAT",
        b'I' => "INT",
        b'L' => "LONG",
        b'P' => "PERSID",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'g' => "GET",
        b'p' => "PUT",
        b'i' => "INST",
        b'o' => "OBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return format!("{op:#04x}"),
    };
    name.into()
}
