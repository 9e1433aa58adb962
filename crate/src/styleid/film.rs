//! Films: a frame is painted like the one before it. Its attention also sees the keys and values of that frame's result, in
//! the same softmax as the painting's, and the statistics that AdaIN takes away change slowly. Where the motion between both
//! photos is certain, the result before moves along, strokes and all. Only the command line makes films, so the page has none of
//! the motion.

use burn::tensor::Tensor;
#[cfg(not(target_arch = "wasm32"))]
use image::RgbImage;

use super::adain::Statistics;
use super::bank::{Bank, Keeping};
use super::features::{Key, KeyValue};
#[cfg(not(target_arch = "wasm32"))]
use super::motion;
use super::plan::Plan;

/// Share of the frames before in the statistics of a frame: an exponential moving average.
const SMOOTHING: f32 = 0.5;

/// What ties the frames of a film together.
#[derive(Debug)]
pub struct Film {
    /// Weight of the frame before in attention, relative to the styles' total of 1.
    pub weight: f32,
    /// The last frame that was painted.
    pub before: Option<FilmFrame>,
}

impl Film {
    /// A film of which nothing is painted yet.
    pub fn new(weight: f32) -> Self {
        Self { weight, before: None }
    }

    /// The frame before, if a run of `plan` can use it.
    pub fn frame_before(&self, plan: &Plan) -> Option<&FilmFrame> {
        self.before.as_ref().filter(|frame| frame.serves(plan))
    }
}

/// What a painted frame leaves for the next one.
#[derive(Debug, Clone)]
pub struct FilmFrame {
    /// Keys and values of the injected layers in its reverse pass.
    pub keys_values: Bank<KeyValue>,
    /// Height and width of its latents.
    pub latents: [usize; 2],
    /// The photo, at the run's size, and the result.
    #[cfg(not(target_arch = "wasm32"))]
    pictures: Option<[RgbImage; 2]>,
    /// Smoothed statistics of its noise before AdaIN.
    noise: Option<Statistics>,
    /// Smoothed statistics of its clean latents before they are toned.
    clean: Option<Statistics>,
}

impl FilmFrame {
    /// This with the photo, at the run's size, and the result.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn with_pictures(self, photo: RgbImage, result: RgbImage) -> Self {
        Self { pictures: Some([photo, result]), ..self }
    }

    /// The result before where it shows what `photo` shows, moved as that has moved since, and `painted` elsewhere. `painted` is
    /// the whole frame; photos of another size have no motion.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn follow(&self, photo: &RgbImage, painted: RgbImage) -> RgbImage {
        match &self.pictures {
            Some([before, result])
                if [before, result, photo].iter().all(|of| of.dimensions() == painted.dimensions()) =>
            {
                motion::follow(before, photo, result, painted)
            }
            _ => painted,
        }
    }

    /// Whether the keys and values of every call of `plan` are there.
    fn serves(&self, plan: &Plan) -> bool {
        let keys = plan.reverse().into_iter().flat_map(|call| {
            let level = call.level;
            plan.layers.iter().map(move |&layer| Key { layer, level })
        });
        keys.into_iter().all(|key| self.keys_values.check(key).is_ok())
    }
}

/// How a frame is painted.
#[derive(Debug, Clone)]
pub struct FilmPass<'a> {
    /// How its keys and values are kept.
    pub keeping: Keeping,
    /// The frame before.
    pub before: Option<&'a FilmFrame>,
}

/// The frame that is being painted.
#[derive(Debug)]
pub struct Painting<'a> {
    before: Option<&'a FilmFrame>,
    frame: FilmFrame,
}

impl<'a> Painting<'a> {
    /// A frame with latents of this height and width, after the frame `before`.
    pub fn new(before: Option<&'a FilmFrame>, keeping: Keeping, latents: [usize; 2]) -> Self {
        let frame = FilmFrame {
            keys_values: Bank::new(keeping),
            latents,
            #[cfg(not(target_arch = "wasm32"))]
            pictures: None,
            noise: None,
            clean: None,
        };
        Self { before, frame }
    }

    /// Where the frame's own keys and values go.
    pub fn bank(&mut self) -> &mut Bank<KeyValue> {
        &mut self.frame.keys_values
    }

    /// Smoothed statistics of the noise `x`.
    pub fn noise(&mut self, x: &Tensor<4>) -> Statistics {
        let before = self.before.and_then(|frame| frame.noise.as_ref());
        self.frame.noise.insert(smoothed(before, x)).clone()
    }

    /// Smoothed statistics of the clean latents `x`.
    pub fn clean(&mut self, x: &Tensor<4>) -> Statistics {
        let before = self.before.and_then(|frame| frame.clean.as_ref());
        self.frame.clean.insert(smoothed(before, x)).clone()
    }

    /// The painted frame.
    pub fn finish(self) -> FilmFrame {
        self.frame
    }
}

fn smoothed(before: Option<&Statistics>, x: &Tensor<4>) -> Statistics {
    let now = Statistics::of(x);
    match before {
        Some(before) => before.clone().mixed(now, SMOOTHING),
        None => now,
    }
}
