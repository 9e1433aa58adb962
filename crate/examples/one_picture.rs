//! One photo in the style of one painting, with the demonstration model on the processor:
//! `cargo run --release --example one_picture -- photo.jpg painting.jpg result.png`.

use std::path::Path;

use styleid::model::{LoadOptions, StableDiffusion};
use styleid::platform::silent;
use styleid::styleid::Look;
use styleid::weights::Origin;
use styleid::{Error, Params, Pipeline, Result, Session, Style, device, picture};

fn read(path: &str) -> Result<image::RgbImage> {
    let bytes = std::fs::read(path).map_err(|error| Error::File(format!("{path} cannot be read: {error}.")))?;
    picture::decode(path, &bytes)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photo, painting, result] = &arguments[..] else {
        return Err(Error::Settings("Name a photo, a painting and the result.".into()));
    };
    let (content, style) = (read(photo)?, read(painting)?);
    let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/demo.styleid.gguf"));
    let origin = Origin::local(model, None)?;
    let control = silent();
    let load = StableDiffusion::load(&origin, device::cpu(), LoadOptions::default(), &control);
    let mut session = Session::new(Pipeline::new(pollster::block_on(load)?));
    let params = Look::Painted.of(Params::default());
    let outcome = pollster::block_on(session.run(&content, &[Style::alone(&style)], &params, &control))?;
    let png = picture::to_png(&outcome.image, &[])?;
    std::fs::write(result, png).map_err(|error| Error::File(format!("{result} cannot be written: {error}.")))
}
