//! Small in-memory checkpoints for tests.

use std::ops::Range;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::config::{Configs, shapes};
use crate::error::Result;
use crate::format::{Dtype, TensorEntry};
use crate::source::file::{File, Listed, Pending, Source};

/// The entry of a tensor at the start of a file.
pub fn entry(name: &str, dtype: Dtype, shape: &[usize]) -> TensorEntry {
    let info = json!({ name: { "dtype": dtype.name(), "shape": shape,
        "data_offsets": [0, shape.iter().product::<usize>() * dtype.block_bytes()] } });
    let text = info.to_string();
    let mut file = (text.len() as u64).to_le_bytes().to_vec();
    file.extend(text.bytes());
    let bytes = file.len() as u64 + info[name]["data_offsets"][1].as_u64().expect("an offset");
    let Ok(crate::format::Parsed::Header(header)) = crate::format::parse("a file", &file, bytes) else {
        panic!("no header of {name}")
    };
    header.tensors.into_iter().next().expect("one tensor")
}

/// A file with a real header and zeros as tensor data.
pub struct Holes {
    name: String,
    header: Vec<u8>,
    bytes: u64,
}

impl Holes {
    /// A safetensors file of f16 tensors.
    pub fn file(name: &str, tensors: &[(String, Vec<usize>)], metadata: Value) -> Rc<dyn File> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), metadata);
        let mut at = 0;
        for (name, shape) in tensors {
            let end = at + 2 * shape.iter().map(|&side| side as u64).product::<u64>();
            header.insert(name.clone(), json!({ "dtype": "F16", "shape": shape, "data_offsets": [at, end] }));
            at = end;
        }
        let text = Value::Object(header).to_string();
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend(text.bytes());
        let bytes = header.len() as u64 + at;
        Rc::new(Self { name: name.into(), header, bytes })
    }

    fn json(name: &str, value: &Value) -> Rc<dyn File> {
        let header = value.to_string().into_bytes();
        Rc::new(Self { name: name.into(), bytes: header.len() as u64, header })
    }
}

impl File for Holes {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        let byte = |at: u64| self.header.get(at as usize).copied().unwrap_or_default();
        Box::pin(async move { Ok(span.map(byte).collect()) })
    }
}

/// A `PyTorch` checkpoint of f16 tensors, all of them zeros in one storage.
pub fn archive(name: &str, tensors: &[(String, Vec<usize>)]) -> Rc<dyn File> {
    let values = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).max().unwrap_or_default();
    let mut pickle = b"\x80\x02}(".to_vec();
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.bytes());
    };
    let numbers = |pickle: &mut Vec<u8>, numbers: &[usize]| {
        pickle.push(b'(');
        for number in numbers {
            pickle.push(b'J');
            pickle.extend((*number as u32).to_le_bytes());
        }
        pickle.push(b't');
    };
    for (name, shape) in tensors {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nHalfStorage\n");
        text(&mut pickle, "0");
        text(&mut pickle, "cpu");
        pickle.push(b'J');
        pickle.extend((values as u32).to_le_bytes());
        pickle.extend(b"tQK\x00");
        numbers(&mut pickle, shape);
        let strides: Vec<usize> = (1..=shape.len()).map(|from| shape[from..].iter().product()).collect();
        numbers(&mut pickle, &strides);
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    let (mut file, mut index) = (Vec::new(), Vec::new());
    for (path, bytes) in [("archive/data.pkl", pickle), ("archive/data/0", vec![0; 2 * values])] {
        let size = (bytes.len() as u32).to_le_bytes();
        // Neither compressed nor dated. Nobody reads the checksum.
        let shared =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &size[..], &size, &[path.len() as u8, 0, 0, 0]].concat();
        index.extend(
            [b"PK\x01\x02\x14\x00", &shared[..], &[0; 10], &(file.len() as u32).to_le_bytes(), path.as_bytes()]
                .concat(),
        );
        file.extend([b"PK\x03\x04", &shared[..], path.as_bytes(), &bytes].concat());
    }
    let (size, start) = ((index.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes());
    file.extend([&index[..], b"PK\x05\x06\0\0\0\0\x02\0\x02\0", &size, &start, &[0, 0]].concat());
    Rc::new(Holes { name: name.into(), bytes: file.len() as u64, header: file })
}

/// An in-memory folder.
#[derive(Default)]
pub struct Shelf(pub Vec<(String, Rc<dyn File>)>);

impl Shelf {
    /// Adds a file.
    pub fn with(mut self, path: &str, file: Rc<dyn File>) -> Self {
        self.0.push((path.into(), file));
        self
    }

    /// Adds a JSON file.
    pub fn with_json(self, path: &str, value: &Value) -> Self {
        self.with(path, Holes::json(path, value))
    }
}

impl Source for Shelf {
    fn name(&self) -> &str {
        "a shelf"
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        let listed = |(path, file): &(String, Rc<dyn File>)| Listed { path: path.clone(), bytes: file.bytes() };
        Box::pin(async move { Ok(Some(self.0.iter().map(listed).collect())) })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        Box::pin(async move { Ok(self.0.iter().find(|(name, _)| name == path).map(|(_, file)| file.clone())) })
    }
}

/// Configs of a narrow 1.x or 2.x model: a `unet` of two levels, a `vae`, a `scheduler`, a `text_encoder` and `tokens`.
pub fn configs(is_2x: bool) -> Value {
    json!({
        "unet": { "block_out_channels": [16, 32], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "layers_per_block": 2, "norm_num_groups": 4,
            "cross_attention_dim": 16, "attention_head_dim": 2, "use_linear_projection": is_2x },
        "vae": { "block_out_channels": [8, 16], "norm_num_groups": 4 },
        "scheduler": {},
        "text_encoder": { "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
            "vocab_size": 99 },
        "tokens": { "bos": 97, "eos": 98, "pad": 98 },
    })
}

/// Names and shapes of a model's tensors whose names start with `part`.
pub fn tensors(configs: &Value, part: &str) -> Vec<(String, Vec<usize>)> {
    let configs = Configs::parse("a model", configs.clone(), None).expect("good configs");
    shapes::of(&configs).into_iter().filter(|(name, _)| name.starts_with(part)).collect()
}

/// The same tensors under other names.
pub fn renamed(tensors: Vec<(String, Vec<usize>)>, from: &str, to: &str) -> Vec<(String, Vec<usize>)> {
    let name = |name: String| name.strip_prefix(from).map_or(name.clone(), |rest| format!("{to}{rest}"));
    tensors.into_iter().map(|(given, shape)| (name(given), shape)).collect()
}
