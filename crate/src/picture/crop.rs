//! A rectangle of a picture.

use std::str::FromStr;

use image::{RgbImage, imageops};
use serde::{Deserialize, Serialize};

use super::LEAST_SIDE;
use crate::{Error, Result};

/// A rectangle in pixels of an upright picture. Fractions are rounded, and what reaches over an edge is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Crop {
    /// Distance from the left edge.
    pub x: f64,
    /// Distance from the top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Crop {
    /// The part of the crop, as `[x, y, width, height]`, that lies in a picture of `width` × `height` pixels.
    ///
    /// # Errors
    /// One sentence if that part is empty, or smaller than 16 pixels along a side; `what` names the picture.
    pub fn within(&self, what: &str, (width, height): (u32, u32)) -> Result<[u32; 4]> {
        let along = |begin: f64, length: f64, limit: u32| {
            // The clamps keep both ends inside the picture, and the casts turn NaN into 0.
            let begin_at = begin.round().clamp(0.0, f64::from(limit)) as u32;
            let end_at = (begin + length).round().clamp(0.0, f64::from(limit)) as u32;
            (begin_at, end_at.saturating_sub(begin_at))
        };
        let (x, cropped_width) = along(self.x, self.width, width);
        let (y, cropped_height) = along(self.y, self.height, height);
        if cropped_width == 0 || cropped_height == 0 {
            return Err(Error::Picture(format!(
                "The crop ({self}) lies outside of {what}, which is {width} × {height} pixels; choose another part."
            )));
        }
        if cropped_width < LEAST_SIDE || cropped_height < LEAST_SIDE {
            return Err(Error::Picture(format!(
                "The crop of {what} is {cropped_width} × {cropped_height} pixels; at least {LEAST_SIDE} × {LEAST_SIDE} are \
                 needed."
            )));
        }
        Ok([x, y, cropped_width, cropped_height])
    }

    /// Cuts that part out of `picture`.
    ///
    /// # Errors
    /// As [`Crop::within`].
    pub fn cut(&self, what: &str, picture: &RgbImage) -> Result<RgbImage> {
        let [x, y, width, height] = self.within(what, picture.dimensions())?;
        Ok(imageops::crop_imm(picture, x, y, width, height).to_image())
    }
}

impl std::fmt::Display for Crop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{},{}", self.x, self.y, self.width, self.height)
    }
}

impl FromStr for Crop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split(',').map(|part| part.trim().parse::<f64>().ok().filter(|number| number.is_finite()));
        match numbers.collect::<Option<Vec<_>>>().as_deref() {
            Some(&[x, y, width, height]) => Ok(Self { x, y, width, height }),
            _ => Err(Error::Settings(format!(
                "A crop is four numbers of pixels, as 10,20,300,200: distance from the left, from the top, width, height; \
                 not {text}."
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crop(text: &str) -> Crop {
        text.parse().expect("four numbers")
    }

    #[test]
    fn what_reaches_over_an_edge_is_left_out() {
        let within = |text| crop(text).within("the photo", (100, 80)).expect("some of it");
        assert_eq!(within("10,20,30,40"), [10, 20, 30, 40]);
        assert_eq!(within("-10,-20,50,60"), [0, 0, 40, 40]);
        assert_eq!(within("60,40,1000,1e300"), [60, 40, 40, 40]);
        assert_eq!(within("10.4,10.6,29.8,29.8"), [10, 11, 30, 29], "each edge to the nearest pixel");
    }

    #[test]
    fn nothing_and_next_to_nothing_give_a_sentence() {
        for (text, part) in [
            ("100,0,50,50", "lies outside of the photo, which is 100 × 80 pixels"),
            ("0,-60,50,50", "lies outside"),
            ("10,10,0,50", "lies outside"),
            ("10,10,-50,50", "lies outside"),
            ("90,10,50,50", "is 10 × 50 pixels; at least 16 × 16"),
        ] {
            let error = crop(text).within("the photo", (100, 80)).expect_err("too little");
            assert_eq!(error.kind(), "picture");
            assert!(error.to_string().contains(part), "{error}");
        }
        for text in ["", "1,2,3", "1,2,3,4,5", "1,2,3,wide", "1,2,3,NaN"] {
            let error = text.parse::<Crop>().expect_err("no crop");
            assert!(error.to_string().contains("four numbers"), "{error}");
        }
    }

    #[test]
    fn the_pixels_are_those_of_the_rectangle() {
        let picture = RgbImage::from_fn(100, 80, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let cut = crop("20,30,40,50").cut("the photo", &picture).expect("inside");
        assert_eq!(cut.dimensions(), (40, 50));
        assert_eq!((cut.get_pixel(0, 0).0, cut.get_pixel(39, 49).0), ([20, 30, 0], [59, 79, 0]));
    }
}
