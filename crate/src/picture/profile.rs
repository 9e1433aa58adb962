//! ICC colour profiles of the simple kind that cameras and phones embed: curves and a matrix, or one curve for grey.
//! They convert Adobe RGB, Display P3 and their like to sRGB.
//!
//! Source: ICC.1:2022, sections 7 (file), 10.6 (curv), 10.18 (para), 10.31 (XYZ), annex F.3 (matrix and curves).

/// From the connection space XYZ (D50) to linear sRGB: the inverse of the sRGB profile's own matrix.
const FROM_XYZ: [[f64; 3]; 3] =
    [[3.134_136, -1.617_386, -0.490_662], [-0.978_795, 1.916_254, 0.033_443], [0.071_955, -0.228_977, 1.405_386]];

/// Entries of the table from linear light to bytes. Where it is steepest, a byte spans 20 of them.
const ENTRIES: usize = 1 << 16;

/// Conversion of a picture's bytes to sRGB.
#[derive(Debug, Clone)]
pub struct Profile {
    /// For each channel, the linear light of each byte.
    curves: [Vec<f32>; 3],
    /// Matrix to linear sRGB; `None` for grey.
    matrix: Option<[[f32; 3]; 3]>,
}

impl Profile {
    /// Reads a profile; `None` if it is of another kind (tables, CMYK, Lab) or damaged.
    pub fn parse(icc: &[u8]) -> Option<Self> {
        let tag = |name: &[u8; 4]| {
            let count = four(icc, 128)?.min(100) as usize;
            let entry = (0..count).map(|i| 132 + 12 * i).find(|&at| icc.get(at..at + 4) == Some(name))?;
            let (begin, length) = (four(icc, entry + 4)? as usize, four(icc, entry + 8)? as usize);
            icc.get(begin..begin.checked_add(length)?)
        };
        match icc.get(16..20)? {
            b"GRAY" => {
                let grey = curve(tag(b"kTRC")?)?;
                Some(Self { curves: [grey.clone(), grey.clone(), grey], matrix: None })
            }
            // A profile that also has tables is meant to be applied by these, which are not supported.
            b"RGB " if tag(b"A2B0").is_none() && icc.get(20..24) == Some(b"XYZ ") => {
                let columns = [xyz(tag(b"rXYZ")?)?, xyz(tag(b"gXYZ")?)?, xyz(tag(b"bXYZ")?)?];
                let matrix =
                    FROM_XYZ.map(|row| columns.map(|column| (0..3).map(|i| row[i] * column[i]).sum::<f64>() as f32));
                let curves = [curve(tag(b"rTRC")?)?, curve(tag(b"gTRC")?)?, curve(tag(b"bTRC")?)?];
                Some(Self { curves, matrix: Some(matrix) })
            }
            _ => None,
        }
    }

    /// Converts pixels of `channels` bytes, of which the first three are red, green and blue.
    pub fn to_srgb(&self, pixels: &mut [u8], channels: usize) {
        let bytes = encoded();
        if self.is_srgb(&bytes) {
            return;
        }
        for pixel in pixels.chunks_exact_mut(channels) {
            let converted = self.convert([pixel[0], pixel[1], pixel[2]], &bytes);
            pixel[..3].copy_from_slice(&converted);
        }
    }

    fn convert(&self, pixel: [u8; 3], bytes: &[u8]) -> [u8; 3] {
        let light = [0, 1, 2].map(|i| self.curves[i][usize::from(pixel[i])]);
        let light = match &self.matrix {
            Some(matrix) => matrix.map(|row| row[0] * light[0] + row[1] * light[1] + row[2] * light[2]),
            None => light,
        };
        // Colours outside sRGB are clipped. The cast turns negative numbers into 0.
        light.map(|light| bytes[((light * (ENTRIES - 1) as f32 + 0.5) as usize).min(ENTRIES - 1)])
    }

    /// Whether the profile is sRGB but for rounding, as most are. Then the bytes stay as they are.
    fn is_srgb(&self, bytes: &[u8]) -> bool {
        const LEVELS: [u8; 9] = [0, 16, 48, 80, 112, 144, 192, 224, 255];
        let near = |pixel: [u8; 3]| {
            self.convert(pixel, bytes).into_iter().zip(pixel).all(|(converted, byte)| converted.abs_diff(byte) <= 1)
        };
        LEVELS.iter().all(|&red| LEVELS.iter().all(|&green| LEVELS.iter().all(|&blue| near([red, green, blue]))))
    }
}

/// The byte of sRGB for each of [`ENTRIES`] levels of light from 0 to 1.
fn encoded() -> Vec<u8> {
    let byte = |i: usize| {
        let light = i as f64 / (ENTRIES - 1) as f64;
        let value = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (value * 255.0).round() as u8
    };
    (0..ENTRIES).map(byte).collect()
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|quad| u32::from_be_bytes(*quad))
}

/// Reads a signed fixed-point number with 16 bits before and 16 after the point.
fn fixed(bytes: &[u8], at: usize) -> Option<f64> {
    four(bytes, at).map(|quad| f64::from(quad.cast_signed()) / 65536.0)
}

fn xyz(tag: &[u8]) -> Option<[f64; 3]> {
    (tag.get(..4)? == b"XYZ ").then_some(())?;
    Some([fixed(tag, 8)?, fixed(tag, 12)?, fixed(tag, 16)?])
}

/// Linear light 0…1 of each byte, from a tag of the type `curv` or `para`.
fn curve(tag: &[u8]) -> Option<Vec<f32>> {
    let levels = (0..256).map(|byte| f64::from(byte) / 255.0);
    let curve: Vec<f32> = match tag.get(..4)? {
        b"curv" => {
            let count = four(tag, 8)? as usize;
            let entries = tag.get(12..12 + count.checked_mul(2)?)?;
            let entry = |i: usize| f64::from(u16::from_be_bytes([entries[2 * i], entries[2 * i + 1]]));
            match count {
                0 => levels.map(|x| x as f32).collect(),
                // One entry is an exponent, with 8 bits after the point.
                1 => levels.map(|x| x.powf(entry(0) / 256.0) as f32).collect(),
                _ => levels
                    .map(|x| {
                        let at = x * (count - 1) as f64;
                        let below = (at as usize).min(count - 2);
                        let part = at - below as f64;
                        ((entry(below) * (1.0 - part) + entry(below + 1) * part) / 65535.0) as f32
                    })
                    .collect(),
            }
        }
        b"para" => {
            let kind = u16::from_be_bytes(*tag.get(8..)?.first_chunk()?);
            let number = |i: usize| fixed(tag, 12 + 4 * i);
            let gamma = number(0)?;
            // y = (a·x + b)^γ + e from x = d on, c·x + f below.
            let [a, b, c, d, e, f] = match kind {
                0 => [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                1 => [number(1)?, number(2)?, 0.0, -number(2)? / number(1)?, 0.0, 0.0],
                2 => [number(1)?, number(2)?, 0.0, -number(2)? / number(1)?, number(3)?, number(3)?],
                3 => [number(1)?, number(2)?, number(3)?, number(4)?, 0.0, 0.0],
                4 => [number(1)?, number(2)?, number(3)?, number(4)?, number(5)?, number(6)?],
                _ => return None,
            };
            levels.map(|x| (if x >= d { (a * x + b).max(0.0).powf(gamma) + e } else { c * x + f }) as f32).collect()
        }
        _ => return None,
    };
    curve.iter().all(|light| light.is_finite()).then_some(curve)
}
