//! Masks: where on the photo something applies, painted in grey.

use image::{DynamicImage, GrayImage};

use super::decode::decode_any;
use crate::Result;

/// A grey picture of any size, stretched over a photo: white is 1, black and transparent 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    grey: GrayImage,
    /// The part of `grey` that covers the photo, as fractions of its width and height: left, top, width, height.
    part: [f64; 4],
}

impl Mask {
    /// A mask of which all of `grey` covers the photo.
    pub fn new(grey: GrayImage) -> Self {
        Self { grey, part: [0.0, 0.0, 1.0, 1.0] }
    }

    /// Decodes a picture to its luminance; transparent pixels become black.
    ///
    /// # Errors
    /// One sentence if `bytes` are no picture; `name` is the mask's.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let picture = decode_any(name, bytes)?.picture;
        let grey = match picture {
            DynamicImage::ImageLuma8(grey) => grey,
            picture => {
                let picture = picture.to_luma_alpha8();
                GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
                    let image::LumaA([luma, alpha]) = *picture.get_pixel(x, y);
                    // At most 255.
                    image::Luma([((u32::from(luma) * u32::from(alpha) + 127) / 255) as u8])
                })
            }
        };
        Ok(Self::new(grey))
    }

    /// The part of the mask over the rectangle x, y, width, height of the photo, whose size is `whole`.
    #[must_use]
    pub fn within(&self, [x, y, width, height]: [u32; 4], whole: (u32, u32)) -> Self {
        let across = self.part[2] / f64::from(whole.0.max(1));
        let down = self.part[3] / f64::from(whole.1.max(1));
        let part = [
            self.part[0] + across * f64::from(x),
            self.part[1] + down * f64::from(y),
            across * f64::from(width),
            down * f64::from(height),
        ];
        Self { grey: self.grey.clone(), part }
    }

    /// The mask resampled to `size`: luminance 0…1, row by row. The filter is linear, and averages where the mask is
    /// finer.
    pub fn sampled(&self, (width, height): (u32, u32)) -> Vec<f32> {
        let columns = taps(self.part[0], self.part[2], self.grey.width(), width);
        let rows = taps(self.part[1], self.part[3], self.grey.height(), height);
        let mut sampled = Vec::with_capacity(width as usize * height as usize);
        // A row of the mask at the new width.
        let stride = self.grey.width() as usize;
        let narrow = |row: usize| -> Vec<f32> {
            let row = &self.grey.as_raw()[row * stride..][..stride];
            columns
                .iter()
                .map(|taps| taps.iter().map(|&(at, weight)| f32::from(row[at]) / 255.0 * weight).sum())
                .collect()
        };
        let narrowed: Vec<Vec<f32>> = (0..self.grey.height() as usize).map(narrow).collect();
        for taps in &rows {
            sampled.extend((0..width as usize).map(|x| {
                let sum: f32 = taps.iter().map(|&(at, weight)| narrowed[at][x] * weight).sum();
                // A mask of all ones must stay exactly so, however the weights were rounded.
                if sum > 1.0 - 1e-6 { 1.0 } else { sum }
            }));
        }
        sampled
    }
}

/// Filter taps for each of `size` equal parts of an interval: indices of pixels, and their weights, which add up to 1.
/// The interval's `begin` and `length` are shares of a row of `source` pixels.
fn taps(begin: f64, length: f64, source: u32, size: u32) -> Vec<Vec<(usize, f32)>> {
    let scale = length * f64::from(source) / f64::from(size.max(1));
    let reach = scale.max(1.0);
    let last = i64::from(source) - 1;
    (0..size)
        .map(|i| {
            let centre = begin * f64::from(source) + (f64::from(i) + 0.5) * scale;
            let pixels = (centre - reach - 0.5).floor() as i64..=(centre + reach - 0.5).ceil() as i64;
            let weighed: Vec<(usize, f64)> = pixels
                .map(|pixel| {
                    let weight = (1.0 - (pixel as f64 + 0.5 - centre).abs() / reach).max(0.0);
                    // Beyond the edge, the pixel at the edge is repeated.
                    (pixel.clamp(0, last) as usize, weight)
                })
                .filter(|(_, weight)| *weight > 0.0)
                .collect();
            let sum: f64 = weighed.iter().map(|(_, weight)| weight).sum();
            weighed.into_iter().map(|(pixel, weight)| (pixel, (weight / sum) as f32)).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_one_value_stays_it_at_any_size() {
        for value in [0u8, 51, 255] {
            let mask = Mask::new(GrayImage::from_pixel(37, 23, image::Luma([value])));
            let cut = mask.within([10, 20, 300, 400], (1000, 700));
            for size in [(16, 16), (64, 48), (500, 1)] {
                for sampled in [mask.sampled(size), cut.sampled(size)] {
                    assert_eq!(sampled.len(), (size.0 * size.1) as usize);
                    assert!(sampled.iter().all(|&x| (x - f32::from(value) / 255.0).abs() < 1e-6));
                }
            }
        }
        let ones = Mask::new(GrayImage::from_pixel(37, 23, image::Luma([255])));
        assert!(ones.sampled((40, 40)).iter().all(|&x| x == 1.0), "all ones is exactly all ones");
    }

    #[test]
    fn it_keeps_its_place_over_the_photo() {
        // White in the right half; the crop is the photo's middle, so that its right half is white too.
        let mask = Mask::new(GrayImage::from_fn(64, 8, |x, _| image::Luma([if x < 32 { 0 } else { 255 }])));
        let middle = mask.within([400, 0, 200, 100], (1000, 100)).sampled((50, 4));
        for (i, value) in middle.iter().enumerate() {
            let x = i % 50;
            if !(20..30).contains(&x) {
                assert_eq!(*value, if x < 25 { 0.0 } else { 1.0 }, "at {x}");
            }
        }
        let whole = mask.sampled((4, 1));
        assert_eq!((whole[0], whole[3]), (0.0, 1.0));
        assert!((whole[1] + whole[2] - 1.0).abs() < 1e-6);
        assert_eq!(mask.sampled((64, 8)), mask.grey.as_raw().iter().map(|&x| f32::from(x) / 255.0).collect::<Vec<_>>());
    }

    #[test]
    fn transparent_is_black() {
        let picture =
            image::RgbaImage::from_fn(2, 1, |x, _| image::Rgba([255, 255, 255, if x == 0 { 0 } else { 128 }]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).expect("a PNG");
        let mask = Mask::decode("a mask", bytes.get_ref()).expect("a PNG");
        assert_eq!(mask.grey.as_raw(), &[0, 128]);
    }
}
