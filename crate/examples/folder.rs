//! Every photo of a folder in the style of one painting, which is inverted once:
//! `cargo run --release --example folder -- photos painting.jpg results`.

use std::path::Path;

use styleid::model::{LoadOptions, StableDiffusion};
use styleid::platform::silent;
use styleid::weights::Origin;
use styleid::{Error, Params, Pipeline, Result, Session, Style, device, picture};

fn file(error: std::io::Error) -> Error {
    Error::File(format!("A file or folder cannot be used: {error}."))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photos, painting, results] = &arguments[..] else {
        return Err(Error::Settings("Name a folder of photos, a painting and a folder for the results.".into()));
    };
    let style = picture::decode(painting, &std::fs::read(painting).map_err(file)?)?;
    std::fs::create_dir_all(results).map_err(file)?;
    let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/demo.styleid.gguf"));
    let (origin, control) = (Origin::local(model, None)?, silent());
    let load = StableDiffusion::load(&origin, device::cpu(), LoadOptions::default(), &control);
    let mut session = Session::new(Pipeline::new(pollster::block_on(load)?));
    let (styles, params) = ([Style::alone(&style)], Params::default());
    for entry in std::fs::read_dir(photos).map_err(file)? {
        let path = entry.map_err(file)?.path();
        let content = picture::decode(&path.display().to_string(), &std::fs::read(&path).map_err(file)?)?;
        let outcome = pollster::block_on(session.run(&content, &styles, &params, &control))?;
        let png = picture::to_png(&outcome.image, &[])?;
        let name = path.with_extension("png");
        std::fs::write(Path::new(results).join(name.file_name().unwrap_or_default()), png).map_err(file)?;
    }
    Ok(())
}
