//! Makes picture files of kinds that few programs write, and damaged ones.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Frame, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

pub fn colours(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, (x + y) as u8]))
}

pub fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).expect("a small picture");
    bytes.into_inner()
}

pub fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    file(picture, ImageFormat::Png)
}

pub fn jpeg(picture: &RgbImage, icc: Option<Vec<u8>>, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 92);
    if let Some(icc) = icc {
        encoder.set_icc_profile(icc).expect("JPEG takes profiles");
    }
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).expect("JPEG takes EXIF");
    }
    encoder.encode_image(picture).expect("a small picture");
    bytes
}

/// EXIF data with the orientation alone, as a little-endian TIFF directory.
pub fn orientation(value: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([value, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

pub fn gif(frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for i in 0..frames {
        let picture = RgbaImage::from_pixel(40, 30, Rgba([i as u8 * 100, 50, 50, 255]));
        encoder.encode_frame(Frame::new(picture)).expect("a small picture");
    }
    drop(encoder);
    bytes
}

pub fn animated_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 40, 30);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).expect("two frames");
    let mut writer = encoder.write_header().expect("a header");
    for _ in 0..2 {
        writer.write_image_data(&colours(40, 30)).expect("a frame");
    }
    writer.finish().expect("the end");
    bytes
}

/// An animated WebP that shows the same frame twice.
pub fn animated_webp() -> Vec<u8> {
    // The first 12 bytes are RIFF, size and WEBP; the rest is the frame's only chunk.
    let still = file(colours(40, 30), ImageFormat::WebP)[12..].to_vec();
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let mut chunk = name.to_vec();
        chunk.extend((data.len() as u32).to_le_bytes());
        chunk.extend(data);
        chunk.extend(vec![0; data.len() % 2]);
        chunk
    };
    let small = |value: u32| value.to_le_bytes()[..3].to_vec();
    let size = [small(39), small(29)].concat();
    // The flags say that there is an animation.
    let extended = chunk(b"VP8X", &[vec![2, 0, 0, 0], size.clone()].concat());
    let animation = chunk(b"ANIM", &[0, 0, 0, 0, 0, 0]);
    let frame = chunk(b"ANMF", &[small(0), small(0), size, small(100), vec![0], still].concat());
    let body = [b"WEBP".to_vec(), extended, animation, frame.clone(), frame].concat();
    chunk(b"RIFF", &body)
}

/// A PNG without pixels whose header gives `width` × `height`, a bit depth and a colour type.
pub fn bomb(width: u32, height: u32, bits: u8, colour: u8) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([bits, colour, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&header);
    bytes.extend(crc32fast::hash(&header).to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

/// A segment of a JPEG.
pub fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], &length[..], data].concat()
}

/// A baseline CMYK JPEG of 16 × 16 pixels: cyan 51, magenta 102, yellow 0, black 0 of 255, inverted as Adobe's programs
/// write them. Each block has only its DC coefficient.
pub fn cmyk() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8];
    // No transform: CMYK.
    bytes.extend(segment(0xee, b"Adobe\0\x64\0\0\0\0\0"));
    bytes.extend(segment(0xdb, &[vec![0], vec![8; 64]].concat()));
    bytes.extend(segment(0xc0, &[8, 0, 16, 0, 16, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]));
    // DC: the categories 0 to 7 as codes of 4 bits; none may be all ones. AC: the end of a block as the only code, of 1 bit.
    bytes.extend(segment(0xc4, &[vec![0, 0, 0, 0, 8], vec![0; 12], (0..8).collect()].concat()));
    bytes.extend(segment(0xc4, &[vec![0x10, 1], vec![0; 15], vec![0]].concat()));
    bytes.extend(segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]));
    let mut bits = String::new();
    for block in 0..4 {
        for ink in [51i32, 102, 0, 0] {
            // Quantised by 8, a DC coefficient is the mean less 128. Only the first block differs from the one before.
            let difference = if block == 0 { 255 - ink - 128 } else { 0 };
            let category = 32 - difference.unsigned_abs().leading_zeros();
            bits += &format!("{category:04b}");
            if category > 0 {
                let value = if difference < 0 { difference + (1 << category) - 1 } else { difference };
                bits += &format!("{value:0width$b}", width = category as usize);
            }
            bits += "0";
        }
    }
    bits += &"1".repeat((8 - bits.len() % 8) % 8);
    for byte in bits.as_bytes().chunks(8) {
        let byte = byte.iter().fold(0u8, |byte, bit| byte << 1 | (bit - b'0'));
        bytes.push(byte);
        if byte == 0xff {
            bytes.push(0);
        }
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// A TIFF with one directory of `entries`, and `pixels` as its only strip. An entry is a tag and its numbers, which
/// have 2 bytes each; a single number has 4 bytes.
pub fn tiff_of(entries: &[(u16, &[u32])], pixels: &[u8]) -> Vec<u8> {
    let mut entries: Vec<(u16, Vec<u32>)> = entries.iter().map(|(tag, numbers)| (*tag, numbers.to_vec())).collect();
    // Two entries are added: the offset of the pixels and their number of bytes. More than two numbers of an entry lie
    // behind the directory, before the pixels.
    let behind = 8 + 2 + 12 * (entries.len() + 2) + 4;
    let begin = behind
        + entries.iter().map(|(_, numbers)| if numbers.len() > 2 { 2 * numbers.len() } else { 0 }).sum::<usize>();
    entries.extend([(273, vec![begin as u32]), (279, vec![pixels.len() as u32])]);
    entries.sort();
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    let mut more = Vec::new();
    for (tag, numbers) in &entries {
        let two =
            |numbers: &[u32]| numbers.iter().flat_map(|number| (*number as u16).to_le_bytes()).collect::<Vec<u8>>();
        let is_short = numbers.len() > 1;
        bytes.extend(tag.to_le_bytes());
        bytes.extend(if is_short { 3u16 } else { 4 }.to_le_bytes());
        bytes.extend((numbers.len() as u32).to_le_bytes());
        match numbers[..] {
            [number] => bytes.extend(number.to_le_bytes()),
            [_, _] => bytes.extend(two(numbers)),
            _ => {
                bytes.extend(((behind + more.len()) as u32).to_le_bytes());
                more.extend(two(numbers));
            }
        }
    }
    bytes.extend([0; 4]);
    [bytes, more, pixels.to_vec()].concat()
}

/// A TIFF of 48 × 32 pixels with this photometric interpretation, this compression, these bits of each channel, and
/// `more` entries.
pub fn tiff_kind(photometric: u32, compression: u32, bits: &[u32], more: &[(u16, &[u32])], pixels: &[u8]) -> Vec<u8> {
    let channels = [bits.len() as u32];
    let usual: [(u16, &[u32]); 7] = [
        (256, &[48]),
        (257, &[32]),
        (258, bits),
        (259, &[compression]),
        (262, &[photometric]),
        (277, &channels),
        (278, &[32]),
    ];
    tiff_of(&[&usual, more].concat(), pixels)
}

/// A TIFF with a palette of 16 colours, from black to bright red, in 4 bits a pixel. Each row counts through them three
/// times.
pub fn palette() -> Vec<u8> {
    let map: Vec<u32> =
        (0..3).flat_map(|channel| (0..16).map(move |i| if channel == 0 { i * 0x1111 } else { 0 })).collect();
    let row: Vec<u8> = (0..24).map(|i| ((2 * i % 16) << 4) | ((2 * i + 1) % 16)).collect();
    tiff_kind(3, 1, &[4], &[(320, &map)], &row.repeat(32))
}

/// A grey baseline JPEG of any size. Each block has only its DC coefficient, which never changes and takes 2 bits.
pub fn plain_jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8];
    bytes.extend(segment(0xdb, &[vec![0], vec![8; 64]].concat()));
    let ([h, l], [b, r]) = (height.to_be_bytes(), width.to_be_bytes());
    bytes.extend(segment(0xc0, &[8, h, l, b, r, 1, 1, 0x11, 0]));
    // Each table has one code, of 1 bit: no difference of DC, and the end of a block.
    bytes.extend(segment(0xc4, &[vec![0, 1], vec![0; 15], vec![0]].concat()));
    bytes.extend(segment(0xc4, &[vec![0x10, 1], vec![0; 15], vec![0]].concat()));
    bytes.extend(segment(0xda, &[1, 1, 0, 0, 63, 0]));
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    bytes.extend(vec![0; blocks.div_ceil(4)]);
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// Half of a JPEG that embeds a whole one, as phones do with a thumbnail.
pub fn cut_with_thumbnail() -> Vec<u8> {
    let thumbnail = [b"Exif\0\0".to_vec(), orientation(1), jpeg(&colours(40, 30), None, None)].concat();
    let whole = jpeg(&colours(200, 150), None, None);
    let all = [&whole[..2], &segment(0xe1, &thumbnail), &whole[2..]].concat();
    all[..all.len() - whole.len() / 2].to_vec()
}

pub fn boxed(brand: &[u8; 4]) -> Vec<u8> {
    [b"\0\0\0\x18ftyp", &brand[..], b"\0\0\0\0mif1", brand, b"\0\0\0\x08meta"].concat()
}
