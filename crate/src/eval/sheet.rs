//! A contact sheet: contents down the left, styles along the top, results where they meet.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

const GAP: u32 = 4;

/// Lays out `results[content][style]` beside their sources, each picture in a cell of `side` pixels.
pub fn contact_sheet(contents: &[&RgbImage], styles: &[&RgbImage], results: &[Vec<RgbImage>], side: u32) -> RgbImage {
    let step = side + GAP;
    let (columns, rows) = (styles.len() as u32 + 1, contents.len() as u32 + 1);
    let mut sheet = RgbImage::from_pixel(columns * step + GAP, rows * step + GAP, Rgb([255; 3]));
    let mut place = |picture: &RgbImage, column: usize, row: usize| {
        let (width, height) = picture.dimensions();
        let scale = f64::from(side) / f64::from(width.max(height));
        let fitted = |length: u32| ((f64::from(length) * scale).round() as u32).clamp(1, side);
        let small = imageops::resize(picture, fitted(width), fitted(height), FilterType::Lanczos3);
        let centred = |at: usize, length: u32| i64::from(at as u32 * step + GAP + (side - length) / 2);
        imageops::replace(&mut sheet, &small, centred(column, small.width()), centred(row, small.height()));
    };
    for (i, style) in styles.iter().enumerate() {
        place(style, i + 1, 0);
    }
    for (row, content) in contents.iter().enumerate() {
        place(content, 0, row + 1);
        for (column, result) in results[row].iter().enumerate() {
            place(result, column + 1, row + 1);
        }
    }
    sheet
}
