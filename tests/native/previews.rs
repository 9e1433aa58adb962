//! Previews of a run on the demonstration model, which is trained.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use image::RgbImage;
use styleid::control::Preview;
use styleid::picture::{self, Size};
use styleid::platform::silent;
use styleid::styleid::preview::{ColourFit, LatentColours, values};
use styleid::weights::{Origin, WeightType};
use styleid::{Params, Session, Style, device};

use crate::support::session_of;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn demo() -> Session {
    let origin = Origin::local(&file("crate/demo/demo.styleid.gguf"), None).expect("the pack");
    session_of(&origin, device::cpu(), WeightType::Exact)
}

fn photo(name: &str, side: u32) -> RgbImage {
    let bytes = std::fs::read(file(&format!("www/pictures/{name}.jpg"))).expect("a sample");
    picture::fit(&picture::decode(name, &bytes).expect("a JPEG"), Size::Square(side), false, 4).expect("large enough")
}

/// The four channels of a latent, and the mean colour of its pixels.
type Sample = ([f64; 4], [f64; 3]);

/// Samples for an autoencoder with 4 × 4 pixels to a latent.
fn samples(latents: &[f32], (width, height): (usize, usize), picture: &RgbImage) -> Vec<Sample> {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let sample = |(x, y): (usize, usize)| {
        let part = image::imageops::crop_imm(picture, 4 * x as u32, 4 * y as u32, 4, 4).to_image();
        let mean = |channel: usize| part.pixels().map(|pixel| f64::from(pixel[channel])).sum::<f64>() / 16.0;
        let latent = |channel: usize| f64::from(latents[(channel * height + y) * width + x]);
        (std::array::from_fn(latent), std::array::from_fn(mean))
    };
    places.map(sample).collect()
}

/// Least squares by modified Gram–Schmidt, applied twice, which forms no normal equations: the columns of latents and
/// of ones are made orthonormal, and the colours are projected on them. Returns the best colour of each sample.
fn projected(samples: &[Sample]) -> Vec<[f64; 3]> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut base: Vec<Vec<f64>> = Vec::new();
    for column in 0..5 {
        let mut new: Vec<f64> = samples.iter().map(|(latent, _)| latent.get(column).copied().unwrap_or(1.0)).collect();
        for _ in 0..2 {
            for old in &base {
                let share = dot(&new, old);
                new.iter_mut().zip(old).for_each(|(new, old)| *new -= share * old);
            }
        }
        let length = dot(&new, &new).sqrt();
        assert!(length > 1e-6, "no column is made of the others");
        base.push(new.into_iter().map(|value| value / length).collect());
    }
    let mut best = vec![[0.0; 3]; samples.len()];
    for channel in 0..3 {
        let colours: Vec<f64> = samples.iter().map(|(_, colour)| colour[channel]).collect();
        for column in &base {
            let share = dot(&colours, column);
            best.iter_mut().zip(column).for_each(|(best, value)| best[channel] += share * value);
        }
    }
    best
}

/// PSNR in decibels between the samples' colours and `shown`.
fn psnr(samples: &[Sample], shown: impl Iterator<Item = [f64; 3]>) -> f64 {
    let errors = samples.iter().zip(shown).map(|((_, colour), shown)| {
        colour.iter().zip(shown).map(|(a, b)| (a - b.clamp(0.0, 255.0)).powi(2)).sum::<f64>() / 3.0
    });
    10.0 * (255.0f64.powi(2) / (errors.sum::<f64>() / samples.len() as f64)).log10()
}

/// The latents of a picture by the model's own encoder.
fn encoded(session: &Session, picture: &RgbImage) -> (Vec<f32>, (usize, usize)) {
    let model = &session.pipeline.model;
    let pixels = picture::to_pixels(picture, &model.place);
    let posterior = pollster::block_on(model.vae.encode(pixels, &silent())).expect("encoded");
    let latents = posterior.mean.mul_scalar(model.vae.config.scaling_factor);
    pollster::block_on(values(&latents)).expect("read").expect("four channels")
}

#[test]
fn latents_of_a_photo_look_like_the_photo() {
    let session = demo();
    for name in ["photo-coffee", "photo-astronaut", "style-van-gogh-auvers"] {
        let picture = photo(name, 256);
        let (latents, size) = encoded(&session, &picture);
        assert_eq!(size, (64, 64));
        let mut moments = ColourFit::default();
        moments.add(&latents, size, &picture);
        let colours = moments.solve();
        let samples = samples(&latents, size, &picture);
        let theirs = projected(&samples);
        let shown = colours.picture(&latents, size);
        let ours = psnr(&samples, shown.pixels().map(|pixel| pixel.0.map(f64::from)));
        let best = psnr(&samples, theirs.iter().copied());
        let mean: [f64; 3] = std::array::from_fn(|channel| {
            samples.iter().map(|(_, colour)| colour[channel]).sum::<f64>() / samples.len() as f64
        });
        let plain = psnr(&samples, std::iter::repeat(mean));
        println!("{name}: {ours:.2} dB, {best:.2} dB before rounding, {plain:.2} dB for the mean colour");
        for ((latent, _), theirs) in samples.iter().zip(&theirs) {
            for (ours, theirs) in colours.colour(*latent).iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-4, "{name}: {ours} for {theirs}");
            }
        }
        // Measured: 24.9, 23.4 and 22.7 dB. The four channels also hold textures that are finer than a latent, and no
        // linear map separates them from the colour. The squared error is less than a tenth of that of the mean colour
        // alone.
        assert!(ours > 22.0 && ours > plain + 10.0, "{name}: {ours} dB, {plain} dB for the mean colour");
    }
}

/// The linear map from latents to colours, fitted to the latents and pictures of a run.
fn colours_of(pairs: &[(&[f32], (usize, usize), &RgbImage)]) -> LatentColours {
    let mut moments = ColourFit::default();
    for (latents, size, picture) in pairs {
        moments.add(latents, *size, picture);
    }
    moments.solve()
}

#[test]
fn previews_come_when_they_are_due_and_show_the_predicted_latents() {
    let (content, style) = (photo("photo-coffee", 64), photo("style-hokusai-great-wave", 64));
    let params = Params { steps: Some(5), preview_every: 2, size: Some(Size::Keep), ..Params::default() };
    let previews = RefCell::new(Vec::new());
    let on_preview = |preview: Preview| previews.borrow_mut().push(preview);
    let control = silent().with_previews(&on_preview);
    let mut session = demo();
    let outcome = pollster::block_on(session.run(&content, &[Style::alone(&style)], &params, &control)).expect("a run");
    let read = |latents| pollster::block_on(values(latents)).expect("read").expect("four channels");
    let ((content_latents, size), (style_latents, _)) =
        (read(outcome.content.latents()), read(outcome.styles[0].latents()));
    let colours = colours_of(&[(&content_latents, size, &content), (&style_latents, size, &style)]);
    let previews = previews.take();
    assert_eq!(previews.iter().map(|preview| (preview.step, preview.steps)).collect::<Vec<_>>(), [(2, 5), (4, 5)]);
    for preview in &previews {
        let (x0, size) = read(&outcome.stylized.x0[preview.step - 1]);
        assert_eq!(preview.picture, colours.picture(&x0, size), "step {}", preview.step);
    }
    // The last one is one step from the result, which decodes to much the same colours.
    let (latents, size) = read(&outcome.stylized.latents);
    let shown = &previews[1].picture;
    let result = samples(&latents, size, &outcome.image);
    let near = psnr(&result, shown.pixels().map(|pixel| pixel.0.map(f64::from)));
    println!("{near:.2} dB from the result");
    // Measured: 22.6 dB.
    assert!(near > 20.0, "{near} dB");
    let silent_params = Params { preview_every: 0, ..params };
    let never = |_: Preview| panic!("none was asked for");
    let control = silent().with_previews(&never);
    pollster::block_on(session.run(&content, &[Style::alone(&style)], &silent_params, &control)).expect("a run");
}
