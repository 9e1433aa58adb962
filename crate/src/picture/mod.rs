//! Pictures in and out: decoding, cropping, scaling to the size of a run, conversion to and from the network's pixels,
//! and PNG output.

mod colour;
mod crop;
mod decode;
mod fit;
mod kind;
mod large_jpeg;
mod mask;
mod pixels;
mod png;
mod profile;
mod rare_tiff;
mod size;
mod tiff_header;

pub use colour::with_chroma_of;
pub use crop::Crop;
pub use decode::{Examined, check_whole, decode, examine, foreign};
pub use fit::{Frame, fit};
pub use mask::Mask;
pub use pixels::{Rounding, check_pixels, from_pixels, to_pixels};
pub use png::{png_text, preview, to_png};
pub use size::Size;

/// Minimum side of a usable picture in pixels: two latents of Stable Diffusion, of 8 pixels each.
pub const LEAST_SIDE: u32 = 16;

/// Maximum bytes that decoding may take; 16-bit pictures of 100 million pixels with transparency would be 800 MB.
const MOST_BYTES: u64 = 512 << 20;
