//! The photo's colours on the result.

use image::RgbImage;
use image::imageops::{self, FilterType};

/// Luma by BT.601, 0…255.
fn luma(pixel: &image::Rgb<u8>) -> f32 {
    let [red, green, blue] = pixel.0.map(f32::from);
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// `result` with the chroma of `photo` (BT.601, Y′CbCr), clamped to 0…255. A photo that is no smaller on either side is
/// cropped at its right and bottom, where the autoencoder drops pixels that do not fill a latent. Any other photo is
/// stretched.
pub fn with_chroma_of(result: &RgbImage, photo: &RgbImage) -> RgbImage {
    let (width, height) = result.dimensions();
    let stretched;
    let photo = if photo.width() >= width && photo.height() >= height {
        photo
    } else {
        stretched = imageops::resize(photo, width, height, FilterType::Lanczos3);
        &stretched
    };
    // Two colours with the same Cb and Cr differ equally in red, green and blue: by the difference of their lumas.
    RgbImage::from_fn(width, height, |x, y| {
        let (result, photo) = (result.get_pixel(x, y), photo.get_pixel(x, y));
        let lighter = luma(result) - luma(photo);
        image::Rgb(photo.0.map(|channel| (f32::from(channel) + lighter).round().clamp(0.0, 255.0) as u8))
    })
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// The same by the matrices of BT.601 (JFIF): to Y, Cb and Cr, and back.
    fn by_matrix(result: [u8; 3], photo: [u8; 3]) -> [f64; 3] {
        let luma = |[r, g, b]: [f64; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
        let [r, g, b] = photo.map(f64::from);
        let cb = -0.168_735_892 * r - 0.331_264_108 * g + 0.5 * b;
        let cr = 0.5 * r - 0.418_687_589 * g - 0.081_312_411 * b;
        let y = luma(result.map(f64::from));
        [y + 1.402 * cr, y - 0.344_136_286 * cb - 0.714_136_286 * cr, y + 1.772 * cb].map(|c| c.clamp(0.0, 255.0))
    }

    fn picture(seed: u32, width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let n = (x * 7919 + y * 104_729 + seed).wrapping_mul(2_654_435_761);
            Rgb([(n >> 24) as u8, (n >> 16) as u8, (n >> 8) as u8])
        })
    }

    #[test]
    fn luma_is_the_result_s_and_chroma_the_photo_s() {
        let (result, photo) = (picture(1, 40, 30), picture(2, 40, 30));
        let mixed = with_chroma_of(&result, &photo);
        for ((mixed, result), photo) in mixed.pixels().zip(result.pixels()).zip(photo.pixels()) {
            for (ours, theirs) in mixed.0.into_iter().zip(by_matrix(result.0, photo.0)) {
                assert!((f64::from(ours) - theirs).abs() <= 0.51, "{mixed:?} of {result:?} and {photo:?}: {theirs}");
            }
        }
        assert_eq!(with_chroma_of(&photo, &photo), photo, "a picture with its own colours is itself");
        let grey = RgbImage::from_fn(40, 30, |x, _| Rgb([x as u8; 3]));
        assert!(with_chroma_of(&result, &grey).pixels().all(|Rgb([r, g, b])| r == g && g == b), "grey stays grey");
    }

    #[test]
    fn a_larger_photo_is_cut_and_a_smaller_one_stretched() {
        let photo = picture(3, 45, 33);
        let cut = imageops::crop_imm(&photo, 0, 0, 40, 32).to_image();
        let result = picture(4, 40, 32);
        assert_eq!(with_chroma_of(&result, &photo), with_chroma_of(&result, &cut));
        assert_eq!(with_chroma_of(&result, &picture(5, 20, 64)).dimensions(), (40, 32));
    }
}
