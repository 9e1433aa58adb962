//! Decoding and fitting pictures of every kind, and files that are not pictures.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba};
use styleid::device::{self, Place, Precision};
use styleid::picture::{Rounding, Size, decode, fit, from_pixels, to_pixels, to_png};

fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png).expect("PNG takes every kind");
    bytes.into_inner()
}

#[test]
fn transparency_is_laid_over_white() {
    let picture = ImageBuffer::from_fn(3, 1, |x, _| Rgba([0u8, 100, 255, [0, 128, 255][x as usize]]));
    let picture = decode("a", &png(picture)).expect("a PNG");
    assert_eq!(picture.get_pixel(0, 0), &Rgb([255, 255, 255]));
    // 255 − 128 = 127 of white; 100·128/255 + 127 = 177.2; 255.
    assert_eq!(picture.get_pixel(1, 0), &Rgb([127, 177, 255]));
    assert_eq!(picture.get_pixel(2, 0), &Rgb([0, 100, 255]));
}

#[test]
fn deep_and_grey_pictures_become_8_bit_rgb() {
    let deep = ImageBuffer::from_pixel(2, 2, Rgb([65535u16, 32768, 257]));
    assert_eq!(decode("a", &png(deep)).expect("a PNG").get_pixel(1, 1), &Rgb([255, 128, 1]));
    let grey = ImageBuffer::from_pixel(2, 2, Luma([77u8]));
    assert_eq!(decode("a", &png(grey)).expect("a PNG").get_pixel(0, 1), &Rgb([77, 77, 77]));
}

/// A JPEG whose EXIF block says `orientation`: left half dark, right half bright.
fn oriented(orientation: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(32, 16, |x, _| if x < 16 { Rgb([10; 3]) } else { Rgb([240; 3]) });
    // A little-endian TIFF of one entry: tag 0x0112, type SHORT, one value.
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif).expect("JPEG takes EXIF");
    encoder.encode_image(&picture).expect("a small picture");
    bytes
}

#[test]
fn exif_orientation_is_applied() {
    let bright = |picture: &RgbImage, x, y| picture.get_pixel(x, y)[0] > 128;
    let upright = decode("a", &oriented(1)).expect("a JPEG");
    assert_eq!((upright.dimensions(), bright(&upright, 28, 8)), ((32, 16), true));
    // 6: the camera was held so that the picture must turn a quarter clockwise; the left half comes to the top.
    let turned = decode("a", &oriented(6)).expect("a JPEG");
    assert_eq!(turned.dimensions(), (16, 32));
    assert!(!bright(&turned, 8, 4) && bright(&turned, 8, 28));
    let upside_down = decode("a", &oriented(3)).expect("a JPEG");
    assert!(bright(&upside_down, 4, 8) && !bright(&upside_down, 28, 8));
}

#[test]
fn what_is_no_picture_gives_one_sentence() {
    let whole = png(RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, (x * y) as u8])));
    for (bytes, part) in [
        (b"dear diary, today".to_vec(), "notes.txt is a text file"),
        (Vec::new(), "is empty"),
        (whole[..whole.len() / 2].to_vec(), "is damaged"),
    ] {
        let error = decode("notes.txt", &bytes).expect_err("no picture");
        assert_eq!(error.kind(), "picture");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn a_number_crops_the_middle_and_keep_keeps() {
    let wide = RgbImage::from_fn(300, 100, |x, _| if (100..200).contains(&x) { Rgb([200; 3]) } else { Rgb([0; 3]) });
    let square = fit(&wide, Size::Square(64), false, 8).expect("large enough");
    assert_eq!(square.dimensions(), (64, 64));
    assert!(square.pixels().all(|pixel| pixel[0] == 200), "only the middle third is left");
    assert_eq!(fit(&wide, Size::Keep, false, 8).expect("large enough"), wide);
    assert!(fit(&wide, Size::Keep, false, 64).is_err(), "100 pixels are not 2 latents of 64");
    for text in ["12", "0", "big", "-1", "99999"] {
        let error = text.parse::<Size>().expect_err("no size");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn bytes_survive_the_way_to_pixels_and_back() {
    let picture = RgbImage::from_fn(16, 16, |x, y| Rgb([(y * 16 + x) as u8, 255 - (y * 16 + x) as u8, 128]));
    let place = Place::new(device::cpu(), Precision::F32, 0).expect("f32");
    let pixels: Vec<f32> = to_pixels(&picture, &place).into_data().iter::<f32>().collect();
    assert_eq!((pixels[0], pixels[255]), (-1.0, 1.0));
    assert_eq!(from_pixels(&pixels, 16, 16, Rounding::Nearest), picture);
    let between = [(127.6 / 127.5 - 1.0) as f32, -3.0, f32::INFINITY];
    assert_eq!(from_pixels(&between, 1, 1, Rounding::Nearest).get_pixel(0, 0), &Rgb([128, 0, 255]));
    assert_eq!(from_pixels(&between, 1, 1, Rounding::Truncate).get_pixel(0, 0), &Rgb([127, 0, 255]));
    assert_eq!(decode("a", &to_png(&picture, &[]).expect("a PNG")).expect("a PNG"), picture);
}
