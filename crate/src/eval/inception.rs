//! Inception v3 up to its last pooling (Szegedy et al. 2016), with torchvision's names: the features of `ArtFID`, whose
//! own weights (Wright and Ommer 2022) have the same names.

use std::collections::BTreeMap;

use burn::tensor::module::{avg_pool2d, conv2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use burn::tensor::{Tensor, activation};
use image::RgbImage;

use super::{max_pool, tensors};
use crate::Result;
use crate::device::Place;
use crate::model::tensors::Tensors;
use crate::picture::to_pixels;

/// Number of features of a picture.
pub const FEATURES: usize = 2048;
/// Added to the variance in each batch norm.
const EPSILON: f64 = 1e-3;

/// A convolution, a batch norm with stored statistics that is folded into it, and a ReLU.
#[derive(Debug)]
struct Unit {
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    padding: [usize; 2],
}

impl Unit {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [rows, columns] = self.padding;
        let options = ConvOptions::new_with_padding([self.stride; 2], [(rows, rows), (columns, columns)], [1; 2], 1);
        activation::relu(conv2d(x, self.weight.clone(), Some(self.bias.clone()), options))
    }
}

/// The network.
#[derive(Debug)]
pub struct Inception {
    units: BTreeMap<String, Unit>,
    place: Place,
}

/// Reads the units of one block after the other.
struct Taking<'a> {
    units: BTreeMap<String, Unit>,
    tensors: &'a mut Tensors,
    place: &'a Place,
}

impl Taking<'_> {
    /// Reads a unit without padding.
    fn unit(&mut self, name: &str, [input, output]: [usize; 2], kernel: [usize; 2], stride: usize) -> Result<()> {
        self.padded(name, [input, output], kernel, stride, [0; 2])
    }

    /// Reads a unit and folds its norm into the convolution: w·γ/√(σ² + ε), β − μ·γ/√(σ² + ε).
    fn padded(
        &mut self,
        name: &str,
        [input, output]: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
    ) -> Result<()> {
        let mut vector = |part: &str| self.tensors.take(&format!("{name}.bn.{part}"), [output], self.place);
        let (scale, shift) = (vector("weight")?, vector("bias")?);
        let (mean, variance) = (vector("running_mean")?, vector("running_var")?);
        let shape = [output, input, kernel[0], kernel[1]];
        let weight: Tensor<4> = self.tensors.take(&format!("{name}.conv.weight"), shape, self.place)?;
        let factor = scale / variance.add_scalar(EPSILON).sqrt();
        let unit = Unit {
            weight: weight * factor.clone().reshape([output, 1, 1, 1]),
            bias: shift - mean * factor,
            stride,
            padding,
        };
        self.units.insert(name.to_string(), unit);
        Ok(())
    }

    /// Reads a unit that keeps the size.
    fn same(&mut self, name: &str, channels: [usize; 2], kernel: [usize; 2]) -> Result<()> {
        self.padded(name, channels, kernel, 1, kernel.map(|side| side / 2))
    }

    /// Branches of 1 × 1, of 5 × 5, of two 3 × 3, and of an average pooling with `pooled` channels.
    fn block_a(&mut self, name: &str, input: usize, pooled: usize) -> Result<()> {
        self.same(&format!("{name}.branch1x1"), [input, 64], [1, 1])?;
        self.same(&format!("{name}.branch5x5_1"), [input, 48], [1, 1])?;
        self.same(&format!("{name}.branch5x5_2"), [48, 64], [5, 5])?;
        self.same(&format!("{name}.branch3x3dbl_1"), [input, 64], [1, 1])?;
        self.same(&format!("{name}.branch3x3dbl_2"), [64, 96], [3, 3])?;
        self.same(&format!("{name}.branch3x3dbl_3"), [96, 96], [3, 3])?;
        self.same(&format!("{name}.branch_pool"), [input, pooled], [1, 1])
    }

    /// A block that halves the size, from `input` channels.
    fn block_b(&mut self, name: &str, input: usize) -> Result<()> {
        self.unit(&format!("{name}.branch3x3"), [input, 384], [3, 3], 2)?;
        self.same(&format!("{name}.branch3x3dbl_1"), [input, 64], [1, 1])?;
        self.same(&format!("{name}.branch3x3dbl_2"), [64, 96], [3, 3])?;
        self.unit(&format!("{name}.branch3x3dbl_3"), [96, 96], [3, 3], 2)
    }

    /// Branches of 7 × 7, split into rows and columns, with `inner` channels.
    fn block_c(&mut self, name: &str, inner: usize) -> Result<()> {
        const WIDE: usize = 768;
        self.same(&format!("{name}.branch1x1"), [WIDE, 192], [1, 1])?;
        self.same(&format!("{name}.branch7x7_1"), [WIDE, inner], [1, 1])?;
        self.same(&format!("{name}.branch7x7_2"), [inner, inner], [1, 7])?;
        self.same(&format!("{name}.branch7x7_3"), [inner, 192], [7, 1])?;
        self.same(&format!("{name}.branch7x7dbl_1"), [WIDE, inner], [1, 1])?;
        self.same(&format!("{name}.branch7x7dbl_2"), [inner, inner], [7, 1])?;
        self.same(&format!("{name}.branch7x7dbl_3"), [inner, inner], [1, 7])?;
        self.same(&format!("{name}.branch7x7dbl_4"), [inner, inner], [7, 1])?;
        self.same(&format!("{name}.branch7x7dbl_5"), [inner, 192], [1, 7])?;
        self.same(&format!("{name}.branch_pool"), [WIDE, 192], [1, 1])
    }

    /// A block that halves the size, from 768 channels.
    fn block_d(&mut self, name: &str) -> Result<()> {
        self.same(&format!("{name}.branch3x3_1"), [768, 192], [1, 1])?;
        self.unit(&format!("{name}.branch3x3_2"), [192, 320], [3, 3], 2)?;
        self.same(&format!("{name}.branch7x7x3_1"), [768, 192], [1, 1])?;
        self.same(&format!("{name}.branch7x7x3_2"), [192, 192], [1, 7])?;
        self.same(&format!("{name}.branch7x7x3_3"), [192, 192], [7, 1])?;
        self.unit(&format!("{name}.branch7x7x3_4"), [192, 192], [3, 3], 2)
    }

    /// Branches of 3 × 3, as rows and columns side by side.
    fn block_e(&mut self, name: &str, input: usize) -> Result<()> {
        self.same(&format!("{name}.branch1x1"), [input, 320], [1, 1])?;
        self.same(&format!("{name}.branch3x3_1"), [input, 384], [1, 1])?;
        self.same(&format!("{name}.branch3x3_2a"), [384, 384], [1, 3])?;
        self.same(&format!("{name}.branch3x3_2b"), [384, 384], [3, 1])?;
        self.same(&format!("{name}.branch3x3dbl_1"), [input, 448], [1, 1])?;
        self.same(&format!("{name}.branch3x3dbl_2"), [448, 384], [3, 3])?;
        self.same(&format!("{name}.branch3x3dbl_3a"), [384, 384], [1, 3])?;
        self.same(&format!("{name}.branch3x3dbl_3b"), [384, 384], [3, 1])?;
        self.same(&format!("{name}.branch_pool"), [input, 192], [1, 1])
    }
}

impl Inception {
    /// Reads a safetensors file's `bytes`. The classifiers are left out.
    ///
    /// # Errors
    /// Names a tensor that is missing or of another shape.
    pub fn new(bytes: &[u8], place: &Place) -> Result<Self> {
        let is_wanted = |name: &str| name.starts_with("Conv2d_") || name.starts_with("Mixed_");
        let mut tensors =
            tensors("Inception", bytes, |name| is_wanted(name) && !name.ends_with("num_batches_tracked"))?;
        let mut taking = Taking { units: BTreeMap::new(), tensors: &mut tensors, place };
        taking.unit("Conv2d_1a_3x3", [3, 32], [3, 3], 2)?;
        taking.unit("Conv2d_2a_3x3", [32, 32], [3, 3], 1)?;
        taking.same("Conv2d_2b_3x3", [32, 64], [3, 3])?;
        taking.unit("Conv2d_3b_1x1", [64, 80], [1, 1], 1)?;
        taking.unit("Conv2d_4a_3x3", [80, 192], [3, 3], 1)?;
        taking.block_a("Mixed_5b", 192, 32)?;
        taking.block_a("Mixed_5c", 256, 64)?;
        taking.block_a("Mixed_5d", 288, 64)?;
        taking.block_b("Mixed_6a", 288)?;
        for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            taking.block_c(name, inner)?;
        }
        taking.block_d("Mixed_7a")?;
        taking.block_e("Mixed_7b", 1280)?;
        taking.block_e("Mixed_7c", 2048)?;
        let units = taking.units;
        Ok(Self { units, place: place.clone() })
    }

    /// The [`FEATURES`] features of a picture. Its sides must be 75 pixels or more; `ArtFID` takes 512.
    ///
    /// # Errors
    /// The device failed.
    pub async fn features(&self, picture: &RgbImage) -> Result<Vec<f64>> {
        let x = to_pixels(picture, &self.place).add_scalar(1.0).div_scalar(2.0);
        let x = self.chain(x, ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"]);
        let x = self.chain(max_pool(x, 3, 2), ["Conv2d_3b_1x1", "Conv2d_4a_3x3"]);
        let mut x = max_pool(x, 3, 2);
        for name in ["Mixed_5b", "Mixed_5c", "Mixed_5d"] {
            let dbl = self.branch(&x, name, ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]);
            let five = self.branch(&x, name, ["branch5x5_1", "branch5x5_2"]);
            x = Tensor::cat(vec![self.branch(&x, name, ["branch1x1"]), five, dbl, self.pooled(&x, name)], 1);
        }
        let dbl = self.branch(&x, "Mixed_6a", ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]);
        x = Tensor::cat(vec![self.branch(&x, "Mixed_6a", ["branch3x3"]), dbl, max_pool(x, 3, 2)], 1);
        for name in ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"] {
            let seven = self.branch(&x, name, ["branch7x7_1", "branch7x7_2", "branch7x7_3"]);
            let dbl = ["branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"];
            let dbl = self.branch(&x, name, dbl);
            x = Tensor::cat(vec![self.branch(&x, name, ["branch1x1"]), seven, dbl, self.pooled(&x, name)], 1);
        }
        let three = self.branch(&x, "Mixed_7a", ["branch3x3_1", "branch3x3_2"]);
        let seven = ["branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"];
        x = Tensor::cat(vec![three, self.branch(&x, "Mixed_7a", seven), max_pool(x, 3, 2)], 1);
        for name in ["Mixed_7b", "Mixed_7c"] {
            let beside = |x: Tensor<4>, a: &str, b: &str| {
                Tensor::cat(vec![self.branch(&x, name, [a]), self.branch(&x, name, [b])], 1)
            };
            let three = beside(self.branch(&x, name, ["branch3x3_1"]), "branch3x3_2a", "branch3x3_2b");
            let dbl = self.branch(&x, name, ["branch3x3dbl_1", "branch3x3dbl_2"]);
            let dbl = beside(dbl, "branch3x3dbl_3a", "branch3x3dbl_3b");
            x = Tensor::cat(vec![self.branch(&x, name, ["branch1x1"]), three, dbl, self.pooled(&x, name)], 1);
        }
        Ok(x.mean_dim(2).mean_dim(3).into_data_async().await?.iter::<f64>().collect())
    }

    fn chain<const N: usize>(&self, x: Tensor<4>, names: [&str; N]) -> Tensor<4> {
        // `new` took every unit that is named in this file, or failed.
        names.into_iter().fold(x, |x, name| self.units[name].forward(x))
    }

    fn branch<const N: usize>(&self, x: &Tensor<4>, block: &str, names: [&str; N]) -> Tensor<4> {
        names.into_iter().fold(x.clone(), |x, name| self.units[&format!("{block}.{name}")].forward(x))
    }

    /// Average pooling of 3 × 3 that counts the zeros around the picture, then a 1 × 1 convolution.
    fn pooled(&self, x: &Tensor<4>, block: &str) -> Tensor<4> {
        let options = AvgPoolOptions {
            kernel_size: [3, 3],
            stride: [1, 1],
            padding: [(1, 1), (1, 1)],
            count_include_pad: true,
            ceil_mode: false,
        };
        self.branch(&avg_pool2d(x.clone(), options), block, ["branch_pool"])
    }
}
