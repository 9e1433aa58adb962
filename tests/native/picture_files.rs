//! Files of every kind that people drop on the page, and what the decoder makes of each. They are in
//! `tests/fixtures/pictures` for the browser's tests; `STYLEID_WRITE=1` writes them there.

use std::time::{Duration, Instant};

use image::{ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use moxcms::{ColorProfile, Layout, TransformOptions};
use styleid::picture::{decode, examine, foreign, preview};

use crate::golden::fixture;
use crate::picture_makers::{
    animated_png, animated_webp, bomb, boxed, cmyk, colours, cut_with_thumbnail, file, gif, jpeg, orientation, palette,
    plain_jpeg, png, segment, tiff_kind, tiff_of,
};

/// What the decoder is expected to make of a file.
enum End {
    /// A picture of this width and height. Its note contains the text, or there is no note if the text is empty.
    Read(u32, u32, &'static str),
    /// A refusal with a sentence that contains the text.
    Refused(&'static str),
    /// A refusal like [`End::Refused`], but browsers decode the file to this width and height.
    Foreign(u32, u32, &'static str),
}

use End::{Foreign, Read, Refused};

/// Every kind of file: its name, its bytes, and what is expected.
fn kinds() -> Vec<(&'static str, Vec<u8>, End)> {
    let photo = colours(48, 32);
    let whole = jpeg(&colours(200, 150), None, None);
    let mut display_p3 = ColorProfile::new_display_p3().encode().expect("a profile");
    // The header has the date of creation, which would be now. Without it the files are the same every day.
    display_p3[24..36].fill(0);
    let deep = ImageBuffer::from_fn(48, 32, |x, y| Rgb([(x * 1300) as u16, (y * 2000) as u16, 32768]));
    let clear = RgbaImage::from_fn(48, 32, |x, _| Rgba([200, 30, 30, (x * 5) as u8]));
    vec![
        ("plain.jpg", jpeg(&photo, None, None), Read(48, 32, "")),
        ("turned.jpg", jpeg(&photo, None, Some(orientation(6))), Read(32, 48, "")),
        ("cmyk.jpg", cmyk(), Read(16, 16, "")),
        ("display-p3.jpg", jpeg(&photo, Some(display_p3), None), Read(48, 32, "")),
        (
            "odd-profile.jpg",
            jpeg(&photo, Some(vec![7; 200]), None),
            Read(48, 32, "colours may look a little different"),
        ),
        ("cut.jpg", whole[..whole.len() / 2].to_vec(), Read(200, 150, "The file is cut off")),
        ("cut-early.jpg", whole[..100].to_vec(), Refused("is damaged")),
        ("deep.png", png(deep), Read(48, 32, "")),
        ("grey.png", png(ImageBuffer::from_pixel(48, 32, Luma([77u8]))), Read(48, 32, "")),
        ("transparent.png", png(clear), Read(48, 32, "")),
        ("cut.png", png(photo.clone())[..300].to_vec(), Refused("is damaged")),
        ("animated.png", animated_png(), Read(40, 30, "It is animated; its first frame is used.")),
        ("still.gif", gif(1), Read(40, 30, "")),
        ("animated.gif", gif(3), Read(40, 30, "It is animated; its first frame is used.")),
        ("still.webp", file(photo.clone(), ImageFormat::WebP), Read(48, 32, "")),
        ("animated.webp", animated_webp(), Read(40, 30, "It is animated; its first frame is used.")),
        ("plain.bmp", file(photo.clone(), ImageFormat::Bmp), Read(48, 32, "")),
        ("plain.tiff", file(photo.clone(), ImageFormat::Tiff), Read(48, 32, "")),
        ("palette.tiff", palette(), Read(48, 32, "")),
        ("grey-4-bits.tiff", tiff_kind(1, 1, &[4], &[], &[0x7f; 24 * 32]), Read(48, 32, "")),
        ("scan.tiff", tiff_kind(6, 7, &[8, 8, 8], &[(530, &[2, 2])], &jpeg(&photo, None, None)), Read(48, 32, "")),
        (
            "lab.tiff",
            tiff_kind(8, 1, &[8, 8, 8], &[], &[90; 48 * 32 * 3]),
            Refused("a TIFF file with Lab colours, which"),
        ),
        ("cut-thumbnail.jpg", cut_with_thumbnail(), Read(200, 150, "The file is cut off")),
        ("108-million.jpg", plain_jpeg(12_000, 9_000), Read(3_000, 2_250, "It has 108 million pixels, of which fewer")),
        ("one-pixel.png", png(colours(1, 1)), Refused("is 1 × 1 pixels, too small")),
        ("thread.png", png(colours(1, 5000)), Refused("is 1 × 5000 pixels, too small")),
        ("ribbon.png", png(colours(400, 20)), Read(400, 20, "It is very long")),
        ("bomb.png", bomb(20_000, 20_000, 8, 2), Refused("is 20000 × 20000 pixels (400 million); at most 100 million")),
        ("too-deep.png", bomb(9_000, 8_000, 16, 6), Refused("(72 million) at 16 bits a channel; at most 67 million")),
        (
            "raw.dng",
            tiff_of(&[(254, &[1]), (256, &[160]), (257, &[120]), (0xc612, &[0x0401])], &[]),
            Refused("a camera's RAW file"),
        ),
        ("photo.heic", boxed(b"heic"), Refused("a HEIC photo, which cannot be read here; save it as JPEG")),
        ("photo.avif", boxed(b"avif"), Refused("an AVIF picture")),
        ("painting.avif", include_bytes!("../fixtures/painting.avif").to_vec(), Foreign(48, 32, "an AVIF picture")),
        ("film.mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isommp41".to_vec(), Refused("a video")),
        ("photo.jxl", b"\xff\x0a\xfa\x1f\x01\x90\x01\0".to_vec(), Refused("a JPEG XL picture")),
        ("photo.jp2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ".to_vec(), Refused("a JPEG 2000 picture")),
        (
            "layers.psd",
            b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x10\0\0\0\x10\0\x08\0\x03".to_vec(),
            Refused("a Photoshop document"),
        ),
        (
            "drawing.svg",
            b"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec(),
            Refused("an SVG drawing"),
        ),
        ("page.jpg", b"\n<!DOCTYPE html><html><title>404</title></html>".to_vec(), Refused("a web page")),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(), Refused("a PDF document")),
        ("bundle.zip", b"PK\x03\x04\x14\0\0\0".to_vec(), Refused("an archive or an office document")),
        ("notes.txt", "Dear diary, this is no picture: schön.\n".into(), Refused("a text file")),
        ("empty.jpg", Vec::new(), Refused("is empty")),
        ("noise.jpg", (0..500u32).map(|i| (i * i * 31 + 200) as u8).collect(), Refused("not a picture of a kind")),
    ]
}

/// Files that are refused but may be valid pictures for a browser's decoders.
const FOREIGN: [&str; 6] = ["lab.tiff", "photo.heic", "photo.avif", "painting.avif", "photo.jxl", "photo.jp2"];

#[test]
fn every_kind_works_or_gets_a_sentence_of_its_own_in_time() {
    let mut sentences = Vec::new();
    for (name, bytes, end) in kinds() {
        let began = Instant::now();
        let examined = examine("This file", &bytes);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
        match (examined, end) {
            (Ok(examined), Read(width, height, note)) => {
                assert_eq!((examined.width, examined.height), (width, height), "{name}");
                match &examined.note {
                    None => assert_eq!(note, "", "{name}"),
                    Some(said) => assert!(!note.is_empty() && said.contains(note), "{name}: {said}"),
                }
                let shown = decode("a", &preview("This file", &bytes, 20).expect("what can be read")).expect("a PNG");
                assert_eq!(shown.width().max(shown.height()), width.max(height).min(20), "{name}");
            }
            (Err(error), Refused(part) | Foreign(_, _, part)) => {
                assert_eq!(foreign(&bytes).is_some(), FOREIGN.contains(&name), "{name}");
                let said = error.to_string();
                assert_eq!(error.kind(), "picture", "{name}: {said}");
                assert!(
                    said.starts_with("This file ") && said.ends_with('.') && !said.contains('\n'),
                    "{name}: {said}"
                );
                assert!(said.contains(part), "{name}: {said}");
                sentences.push(said);
            }
            (examined, _) => panic!("{name}: {examined:?}"),
        }
    }
    assert!(sentences.len() >= 15, "{}", sentences.len());
}

#[test]
fn the_browser_s_tests_have_the_same_files() {
    let folder = fixture("pictures");
    let mut list = Vec::new();
    for (name, bytes, end) in kinds() {
        let path = folder.join(name);
        if std::env::var_os("STYLEID_WRITE").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, &bytes).expect("a file");
        }
        assert!(
            std::fs::read(&path).is_ok_and(|kept| kept == bytes),
            "{name} is another: run this with STYLEID_WRITE=1"
        );
        list.push(match end {
            Read(width, height, note) => {
                serde_json::json!({ "name": name, "size": format!("{width} × {height}"), "says": note })
            }
            Refused(part) => serde_json::json!({ "name": name, "size": null, "says": part }),
            Foreign(width, height, part) => serde_json::json!({
                "name": name, "size": null, "says": part, "inBrowsers": format!("{width} × {height}"),
            }),
        });
    }
    let list = format!("{}\n", serde_json::to_string_pretty(&list).expect("plain values"));
    let path = folder.join("list.json");
    if std::env::var_os("STYLEID_WRITE").is_some() {
        std::fs::write(&path, &list).expect("a file");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("the list"), list);
}

#[test]
fn scans_and_palettes_have_their_colours() {
    let plain = jpeg(&colours(48, 32), None, None);
    let scan = tiff_kind(6, 7, &[8, 8, 8], &[(530, &[2, 2])], &plain);
    let (scan, plain) = (decode("a", &scan).expect("a TIFF"), decode("a", &plain).expect("a JPEG"));
    let far = scan.iter().zip(plain.iter()).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels");
    assert!(far <= 1, "{far} of 255 from the JPEG in it");
    let drawn = decode("a", &palette()).expect("a TIFF");
    for x in 0..48 {
        assert_eq!(drawn.get_pixel(x, 31).0, [(x % 16 * 17) as u8, 0, 0], "at {x}");
    }
    let grey = decode("a", &tiff_kind(1, 1, &[4], &[], &[0x7f; 24 * 32])).expect("a TIFF");
    assert_eq!([grey.get_pixel(0, 0).0, grey.get_pixel(1, 31).0], [[119; 3], [255; 3]]);
}

#[test]
fn photos_of_200_million_pixels_are_read_smaller_in_time() {
    let began = Instant::now();
    let examined = examine("a", &plain_jpeg(16_320, 12_240)).expect("a JPEG");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!([examined.width, examined.height], [4_080, 3_060]);
    // The colours are the same as those of a small picture.
    let grey = decode("a", &plain_jpeg(64, 64)).expect("a JPEG").get_pixel(9, 9).0;
    assert_eq!(decode("a", &plain_jpeg(16_320, 12_240)).expect("a JPEG").get_pixel(900, 900).0, grey);
    // The EXIF orientation is applied.
    let exif = segment(0xe1, &[b"Exif\0\0".to_vec(), orientation(6)].concat());
    let plain = plain_jpeg(12_000, 9_000);
    let turned = examine("a", &[&plain[..2], &exif, &plain[2..]].concat()).expect("a JPEG");
    assert_eq!([turned.width, turned.height], [2_250, 3_000]);
    // A large JPEG that is cut off is damaged, too.
    let cut = plain_jpeg(16_320, 12_240);
    assert!(examine("a", &cut[..cut.len() / 2]).is_err());
}

#[test]
fn four_inks_become_colours() {
    let picture = decode("a", &cmyk()).expect("a JPEG");
    // (255 − ink)·(255 − black) / 255.
    assert_eq!(picture.get_pixel(8, 8).0, [204, 153, 255]);
}

#[test]
fn wide_colours_become_those_that_a_screen_shows() {
    let srgb = ColorProfile::new_srgb();
    for wide in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_bt2020()] {
        let icc = wide.encode().expect("a profile");
        // moxcms applies profiles independently of ours.
        let options = TransformOptions::default();
        let transform = wide.create_transform_f32(Layout::Rgb, &srgb, Layout::Rgb, options).expect("a transform");
        let picture =
            RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 4) as u8, (y * 4) as u8, ((x * 7 + y * 3) % 256) as u8]));
        let light: Vec<f32> = picture.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let mut theirs = vec![0.0f32; light.len()];
        transform.transform(&light, &mut theirs).expect("as many pixels");
        let theirs: Vec<u8> = theirs.iter().map(|value| (value * 255.0).round() as u8).collect();
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_icc_profile(icc).expect("PNG takes profiles");
        encoder.write_image(&picture, 64, 64, image::ExtendedColorType::Rgb8).expect("a PNG");
        let ours = decode("a", &bytes).expect("a PNG");
        let far = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels");
        let moved = ours.iter().zip(picture.iter()).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels");
        assert!(far <= 1, "{far} of 255 from moxcms");
        assert!(moved > 20, "the profile does something: {moved}");
    }
}

#[test]
fn srgb_s_own_profile_changes_no_byte() {
    let picture = colours(48, 32);
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(ColorProfile::new_srgb().encode().expect("a profile")).expect("PNG takes profiles");
    encoder.write_image(&picture, 48, 32, image::ExtendedColorType::Rgb8).expect("a PNG");
    assert_eq!(decode("a", &bytes).expect("a PNG"), picture);
    assert_eq!(examine("a", &bytes).expect("a PNG").note, None);
}
