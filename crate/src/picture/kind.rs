//! Recognises files that are not pictures of the kinds read here, so that their owner hears what they are and what to
//! do.

use super::tiff_header::Header;

/// A sentence about the file `name`, which cannot be read: what it is, by its first bytes, and what to do.
pub fn sentence(name: &str, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return format!("{name} is empty; choose another file.");
    }
    match kind(bytes) {
        Some((what, advice)) => format!("{name} is {what}, which cannot be read here; {advice}."),
        None => {
            format!("{name} is not a picture of a kind that can be read; use a JPEG, PNG, WebP, GIF, BMP or TIFF file.")
        }
    }
}

/// Whether a file is a picture that a browser or an operating system may decode although this crate does not.
pub fn is_foreign(bytes: &[u8]) -> bool {
    const FOREIGN: [&str; 4] = ["a HEIC photo", "an AVIF picture", "a JPEG XL picture", "a JPEG 2000 picture"];
    kind(bytes).is_some_and(|(what, _)| FOREIGN.contains(&what))
}

type Kind = (&'static str, &'static str);

const AS_JPEG: &str = "save it as JPEG";
const AS_PNG: &str = "export it as PNG";
const RAW: Kind = ("a camera's RAW file", "develop it, and save it as JPEG");

/// Kinds of files by their first bytes.
const BEGINNINGS: &[(&[u8], Kind)] = &[
    (b"\xff\x0a", ("a JPEG XL picture", AS_JPEG)),
    (b"\0\0\0\x0cJXL \r\n\x87\n", ("a JPEG XL picture", AS_JPEG)),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ("a JPEG 2000 picture", AS_JPEG)),
    (b"\xff\x4f\xff\x51", ("a JPEG 2000 picture", AS_JPEG)),
    (b"8BPS", ("a Photoshop document", AS_PNG)),
    (b"gimp xcf", ("a GIMP document", AS_PNG)),
    (b"%PDF", ("a PDF document", "save the picture in it as PNG or JPEG")),
    (b"%!PS", ("a PostScript drawing", AS_PNG)),
    (b"\x76\x2f\x31\x01", ("an OpenEXR picture", AS_PNG)),
    (b"#?RADIANCE", ("a Radiance HDR picture", AS_PNG)),
    (b"qoif", ("a QOI picture", AS_PNG)),
    (b"\0\0\x01\0", ("an icon", AS_PNG)),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"FOVb", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"IIU\0", RAW),
    (b"GGUF", ("a model", "choose it under “Model”")),
    (b"PK\x03\x04", ("an archive or an office document", "take the picture out of it")),
    (b"Rar!", ("an archive", "take the picture out of it")),
    (b"7z\xbc\xaf\x27\x1c", ("an archive", "take the picture out of it")),
    (b"\x1f\x8b", ("a compressed file", "unpack it first")),
    (b"\x1aE\xdf\xa3", ("a video", "save one of its frames as JPEG")),
    (b"ID3", ("a sound file", "choose a picture")),
];

fn kind(bytes: &[u8]) -> Option<Kind> {
    let known = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)).map(|(_, kind)| *kind);
    known.or_else(|| media(bytes)).or_else(|| text(bytes))
}

/// The kind of a file in ISO's base media file format, by the brands in its first box, `ftyp`.
fn media(bytes: &[u8]) -> Option<Kind> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = u32::from_be_bytes(bytes.first_chunk::<4>().copied()?) as usize;
    let brands = bytes.get(8..length.clamp(12, 256).min(bytes.len()))?;
    let is = |names: &[&[u8; 4]]| brands.chunks_exact(4).any(|brand| names.iter().any(|name| brand == *name));
    Some(if is(&[b"avif", b"avis"]) {
        ("an AVIF picture", AS_JPEG)
    } else if is(&[b"crx "]) {
        RAW
    } else if is(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        ("a HEIC photo", "save it as JPEG (an iPhone does so under Settings, Camera, Formats, Most Compatible)")
    } else {
        ("a video", "save one of its frames as JPEG")
    })
}

/// Number of bytes at a file's beginning that are checked for text.
const LOOKED_AT: usize = 1024;

fn text(bytes: &[u8]) -> Option<Kind> {
    let bytes = &bytes[..bytes.len().min(LOOKED_AT)];
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A character may be cut in two at the end.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}').trim_start().to_lowercase();
    Some(if text.contains("<svg") {
        ("an SVG drawing", AS_PNG)
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
        ("a web page", "open the picture itself in the browser and save that")
    } else {
        ("a text file", "choose a picture")
    })
}

/// Whether a TIFF is a camera's RAW file, whose first picture is a thumbnail, by the tags of its first directory.
pub fn is_raw(bytes: &[u8]) -> bool {
    const NEW_SUBFILE_TYPE: u16 = 0x00fe;
    const SUB_IFDS: u16 = 0x014a;
    const DNG_VERSION: u16 = 0xc612;
    let Some(header) = Header::of(bytes) else { return false };
    let has = |tag| header.entries().any(|(known, ..)| known == tag);
    let is_thumbnail = header.entries().any(|(tag, _, value)| (tag, value) == (NEW_SUBFILE_TYPE, 1));
    // Canon's CR2 says so in its header.
    has(DNG_VERSION) || has(SUB_IFDS) && is_thumbnail || bytes.get(8..10) == Some(b"CR")
}

/// The sentence about a RAW file.
pub fn raw_sentence(name: &str) -> String {
    let (what, advice) = RAW;
    format!("{name} is {what}, which cannot be read here; {advice}.")
}
