//! LPIPS 0.1 with AlexNet (Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, CVPR
//! 2018): squared distances between deep features of unit length, each channel weighted by how much people notice it.

use burn::tensor::{Tensor, activation};
use image::RgbImage;

use super::{max_pool, tensors};
use crate::device::Place;
use crate::model::layers::{Builder, Conv, ConvShape};
use crate::picture::to_pixels;
use crate::{Error, Result};

/// Channels in and out, kernel size, stride and padding of AlexNet's convolutions.
const CONVOLUTIONS: [([usize; 2], usize, usize, usize); 5] =
    [([3, 64], 11, 4, 2), ([64, 192], 5, 1, 2), ([192, 384], 3, 1, 1), ([384, 256], 3, 1, 1), ([256, 256], 3, 1, 1)];

/// Indices of the convolutions that follow a 3 × 3 max pooling of stride 2.
const POOLED: [usize; 2] = [1, 2];

/// `ImageNet`'s means and deviations, for pictures in −1…1.
const MEAN: [f32; 3] = [-0.030, -0.088, -0.188];
const DEVIATION: [f32; 3] = [0.458, 0.448, 0.450];

/// Minimum side in pixels. From 31 pixels on, AlexNet's second pooling has a whole window.
const LEAST: u32 = 32;

/// AlexNet, and LPIPS's weights of its channels.
#[derive(Debug)]
pub struct Lpips {
    convolutions: Vec<Conv>,
    heads: Vec<Tensor<4>>,
    place: Place,
}

/// AlexNet's features of a picture.
#[derive(Debug)]
pub struct Seen {
    /// Features after each convolution, `[1, channels, height, width]`.
    features: Vec<Tensor<4>>,
}

impl Lpips {
    /// Reads a safetensors file's `bytes`: `AlexNet_0.Conv_{0…4}` and `NetLinLayer_{0…4}.Conv_0`.
    ///
    /// # Errors
    /// Names a tensor that is missing or of another shape.
    pub fn new(bytes: &[u8], place: &Place) -> Result<Self> {
        let mut tensors = tensors("LPIPS", bytes, |_| true)?;
        let mut at = Builder::new(&mut tensors, place);
        let mut convolutions = Vec::new();
        let mut heads = Vec::new();
        for (i, (channels, kernel, stride, padding)) in CONVOLUTIONS.into_iter().enumerate() {
            let shape = ConvShape { channels, kernel, stride, padding: [padding; 2] };
            convolutions.push(at.at("AlexNet_0").conv_of(&format!("Conv_{i}"), shape)?);
            let head = at.parameter(&format!("NetLinLayer_{i}.Conv_0.weight"), [1, channels[1], 1, 1])?;
            heads.push(head.val());
        }
        tensors.finish()?;
        Ok(Self { convolutions, heads, place: place.clone() })
    }

    /// Computes the features of a picture.
    ///
    /// # Errors
    /// It is too small.
    pub fn see(&self, picture: &RgbImage) -> Result<Seen> {
        let (width, height) = picture.dimensions();
        if width.min(height) < LEAST {
            return Err(Error::Picture(format!(
                "A picture of {width} × {height} pixels is too small to be measured; take {LEAST} × {LEAST} or more."
            )));
        }
        let channels = |values: [f32; 3]| self.place.tensor(values.to_vec(), [1, 3, 1, 1]);
        let mut x = (to_pixels(picture, &self.place) - channels(MEAN)) / channels(DEVIATION);
        let mut features = Vec::new();
        for (i, convolution) in self.convolutions.iter().enumerate() {
            if POOLED.contains(&i) {
                x = max_pool(x, 3, 2);
            }
            x = activation::relu(convolution.forward(x));
            features.push(x.clone());
        }
        Ok(Seen { features })
    }

    /// The LPIPS distance between two pictures of the same size; 0 if they are equal.
    ///
    /// # Errors
    /// They differ in size; the device failed.
    pub async fn distance(&self, a: &Seen, b: &Seen) -> Result<f64> {
        let unit = |x: &Tensor<4>| {
            let length = x.clone().square().sum_dim(1).sqrt();
            x.clone() / length.add_scalar(1e-10)
        };
        let mut sum = 0.0;
        for ((a, b), head) in a.features.iter().zip(&b.features).zip(&self.heads) {
            if a.dims() != b.dims() {
                return Err(Error::Picture(
                    "Only pictures of one size can be compared; make them one size first.".into(),
                ));
            }
            let squares = (unit(a) - unit(b)).square() * head.clone();
            sum += value(squares.sum_dim(1).mean()).await?;
        }
        Ok(sum)
    }
}

impl Seen {
    /// Style loss of Huang and Belongie (2017, equation 13) on these features: the mean squared differences between the
    /// means and between the deviations of each layer's channels, added up over the layers. Sizes may differ.
    ///
    /// # Errors
    /// The device failed.
    pub async fn style_distance(&self, other: &Self) -> Result<f64> {
        let statistics = |x: &Tensor<4>| {
            let [_, channels, height, width] = x.dims();
            let flat = x.clone().reshape([channels, height * width]);
            let mean = flat.clone().mean_dim(1);
            let deviation = (flat - mean.clone()).square().mean_dim(1).add_scalar(1e-5).sqrt();
            (mean, deviation)
        };
        let mut sum = 0.0;
        for (a, b) in self.features.iter().zip(&other.features) {
            let ((mean_a, deviation_a), (mean_b, deviation_b)) = (statistics(a), statistics(b));
            sum += value((mean_a - mean_b).square().mean() + (deviation_a - deviation_b).square().mean()).await?;
        }
        Ok(sum)
    }
}

/// Reads the number of a tensor of one element.
pub(super) async fn value(x: Tensor<1>) -> Result<f64> {
    Ok(x.into_data_async().await?.iter::<f64>().next().unwrap_or(f64::NAN))
}
