//! The content feature structural distance of `StyleID` (Chung, Hyun and Heo 2024, section 5.1): how far the likeness
//! of each position to all others, by features of VGG-19's third block, differs between content and result.

use burn::tensor::{Tensor, activation};
use image::RgbImage;

use super::{max_pool, tensors};
use crate::Result;
use crate::device::Place;
use crate::model::layers::{Builder, Conv};
use crate::picture::to_pixels;

/// The convolutions up to `conv3_1`: torchvision's number, channels in and out, and whether a 2 × 2 max pooling
/// follows.
const CONVOLUTIONS: [(usize, [usize; 2], bool); 5] =
    [(0, [3, 64], false), (2, [64, 64], true), (5, [64, 128], false), (7, [128, 128], true), (10, [128, 256], false)];

/// `ImageNet`'s means and deviations, for pictures in 0…1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Rows of likenesses that are computed at a time: at 512 px, each row has 16,384 numbers.
const ROWS: usize = 256;

/// VGG-19 up to `conv3_1`.
#[derive(Debug)]
pub struct Cfsd {
    convolutions: Vec<(Conv, bool)>,
    place: Place,
}

impl Cfsd {
    /// Reads the bytes of torchvision's VGG-19 as safetensors: `features.{0, 2, 5, 7, 10}`.
    ///
    /// # Errors
    /// Names a tensor that is missing or of another shape.
    pub fn new(bytes: &[u8], place: &Place) -> Result<Self> {
        let wanted = CONVOLUTIONS.map(|(number, ..)| format!("features.{number}."));
        let mut tensors =
            tensors("VGG-19", bytes, |name| wanted.iter().any(|wanted| name.starts_with(wanted.as_str())))?;
        let mut at = Builder::new(&mut tensors, place);
        let mut convolutions = Vec::new();
        for (number, channels, pooled) in CONVOLUTIONS {
            convolutions.push((at.conv(&format!("features.{number}"), channels, 3, 1, 1)?, pooled));
        }
        Ok(Self { convolutions, place: place.clone() })
    }

    /// Features divided by their number, with a row for each position: `[positions, 256]`.
    fn features(&self, picture: &RgbImage) -> Tensor<2> {
        let channels = |values: [f32; 3]| self.place.tensor(values.to_vec(), [1, 3, 1, 1]);
        let x = to_pixels(picture, &self.place).add_scalar(1.0).div_scalar(2.0);
        let mut x = (x - channels(MEAN)) / channels(DEVIATION);
        for (convolution, pooled) in &self.convolutions {
            x = activation::relu(convolution.forward(x));
            if *pooled {
                x = max_pool(x, 2, 2);
            }
        }
        let [_, channels, height, width] = x.dims();
        x.reshape([channels, height * width]).swap_dims(0, 1).div_scalar(channels as f32)
    }

    /// Kullback–Leibler divergence of the result's likenesses from the content's, each a softmax over positions, summed
    /// over all positions. Both pictures must have the same size.
    ///
    /// # Errors
    /// The device failed.
    pub async fn distance(&self, content: &RgbImage, result: &RgbImage) -> Result<f64> {
        let (content, result) = (self.features(content), self.features(result));
        let turned = [content.clone().swap_dims(0, 1), result.clone().swap_dims(0, 1)];
        let bands = content.split(ROWS, 0).into_iter().zip(result.split(ROWS, 0));
        let mut sum = 0.0;
        for (content, result) in bands {
            let content = activation::log_softmax(content.matmul(turned[0].clone()), 1);
            let result = activation::log_softmax(result.matmul(turned[1].clone()), 1);
            sum += super::lpips::value((content.clone().exp() * (content - result)).sum()).await?;
        }
        Ok(sum)
    }
}
