//! Reads the goldens in `tests/fixtures` (results of the PyTorch reference) and compares tensors with them. Unit tests,
//! integration tests and an example share this file.

use std::path::PathBuf;

use burn::tensor::Tensor;
use safetensors::{Dtype, SafeTensors};

pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(path)
}

/// One golden file, or a trace, which has the same format.
pub struct Golden(Vec<u8>);

impl Golden {
    pub fn load(name: &str) -> Self {
        Self::open(&fixture(&format!("goldens/{name}.safetensors")))
    }

    pub fn open(path: &std::path::Path) -> Self {
        Self(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("goldens are whole files")
    }

    pub fn has(&self, name: &str) -> bool {
        self.file().tensor(name).is_ok()
    }

    /// A tensor's shape and values; values of I64 and U8 are converted to f32.
    pub fn values(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let tensor = file.tensor(name).unwrap_or_else(|error| panic!("golden {name}: {error}"));
        let data = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect(),
            Dtype::I64 => {
                data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as f32).collect()
            }
            Dtype::U8 => data.iter().map(|&byte| f32::from(byte)).collect(),
            other => panic!("golden {name} is {other:?}"),
        };
        (tensor.shape().to_vec(), values)
    }

    /// A tensor `[height, width, 3]` of bytes as a picture.
    pub fn picture(&self, name: &str) -> image::RgbImage {
        let (shape, values) = self.values(name);
        let bytes = values.into_iter().map(|value| value as u8).collect();
        image::RgbImage::from_raw(shape[1] as u32, shape[0] as u32, bytes).expect("height × width × 3 bytes")
    }

    /// The largest absolute difference between `ours` and the golden `name`.
    pub fn distance<const D: usize>(&self, name: &str, ours: &Tensor<D>) -> f32 {
        let (shape, expected) = self.values(name);
        assert_eq!(ours.dims().to_vec(), shape, "shape of {name}");
        distance(name, &ours.to_data().iter::<f32>().collect::<Vec<_>>(), &expected)
    }

    /// Asserts that `ours` is the golden `name`, within `tolerance` times its largest absolute value (at least 1).
    #[allow(dead_code, reason = "the integration tests have absolute tolerances of their own")]
    pub fn assert_close<const D: usize>(&self, name: &str, ours: &Tensor<D>, tolerance: f32) {
        let scale = self.values(name).1.into_iter().fold(1f32, |max, x| max.max(x.abs()));
        let worst = self.distance(name, ours);
        assert!(worst <= tolerance * scale, "{name}: {worst:e} off, more than {tolerance:e} of {scale}");
    }
}

/// The largest absolute difference. A difference that is NaN counts as infinite.
pub fn distance(name: &str, ours: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len(), "length of {name}");
    let gap = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    ours.iter().zip(expected).map(gap).fold(0.0, f32::max)
}
