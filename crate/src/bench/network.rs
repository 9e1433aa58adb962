//! Stable Diffusion at its true size with weights by formula: one call of its UNet, or a whole run.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::tensor::Tensor;
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use super::shapes::{bk_sdm, bk_tiny, sd15, sd21};
use super::work::PROMPT;
use crate::device::{Place, wait_and_check_finite};
use crate::memory::{self, GpuBytes, Memory, gpu_bytes};
use crate::model::ModelInfo;
use crate::model::StableDiffusion;
use crate::model::attention::PlainProcessor;
use crate::model::tensors::Tensors;
use crate::model::unet::Unet;
use crate::model::vae::Vae;
use crate::picture::Size;
use crate::platform::{Here, silent};
use crate::selftest::formula::{uniform, values};
use crate::selftest::timing::now;
use crate::weights::WeightType;
use crate::weights::config::{Prediction, SchedulerConfig, VaeConfig};
use crate::{Control, Params, Phase, Pipeline, Preset, Progress, Result, Session, Style};

/// A model of the Stable Diffusion family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    /// Stable Diffusion 1.5.
    #[serde(rename = "SD 1.5")]
    Sd15,
    /// Stable Diffusion 2.1-base.
    #[serde(rename = "SD 2.1-base")]
    Sd21Base,
    /// BK-SDM base, distilled from 1.4.
    #[serde(rename = "BK-SDM base")]
    BkBase,
    /// BK-SDM small.
    #[serde(rename = "BK-SDM small")]
    BkSmall,
    /// BK-SDM tiny.
    #[serde(rename = "BK-SDM tiny")]
    BkTiny,
}

/// Time and memory of calls of the UNet.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Height and width of the picture that the latents stand for.
    pub pixels: usize,
    /// Seconds of the first call, which compiles the shaders.
    pub first: f64,
    /// Seconds of each call after that.
    pub seconds: Vec<f64>,
    /// GPU memory before the calls: the weights. `None` on the processor.
    pub weights: Option<GpuBytes>,
    /// Peak GPU memory.
    pub peak: Option<GpuBytes>,
}

/// Time of a run from two pictures to the result, with the model loaded.
#[derive(Debug, Clone, Serialize)]
pub struct Lap {
    /// Seconds of all of it.
    pub seconds: f64,
    /// Seconds and peak GPU memory of each phase.
    pub phases: Vec<(Phase, f64, GpuBytes)>,
    /// Calls of the UNet.
    pub calls: usize,
    /// Bytes of features on the GPU and in main memory.
    pub features: (u64, u64),
}

/// Time and memory of two whole runs, each of pictures of its own.
#[derive(Debug, Clone, Serialize)]
pub struct Whole {
    /// Height and width of all pictures.
    pub pixels: usize,
    /// The version of the method.
    pub version: Preset,
    /// Steps each way.
    pub steps: usize,
    /// The first run, which compiles the shaders.
    pub first: Lap,
    /// The second run.
    pub then: Lap,
    /// GPU memory before the runs: the weights. `None` on the processor.
    pub weights: Option<GpuBytes>,
    /// Peak GPU memory.
    pub peak: Option<GpuBytes>,
}

/// What to measure of a network.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// The network.
    pub model: Model,
    /// Storage type of its weights.
    pub weights: WeightType,
    /// Height and width of the pictures.
    pub pixels: usize,
    /// Calls of the UNet after the first; none for whole runs.
    pub repetitions: Option<usize>,
    /// The version of the method in whole runs.
    pub version: Preset,
    /// Steps each way in whole runs; the version's where there are none.
    pub steps: Option<usize>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Figures {
    /// Of calls of the UNet.
    Step(Step),
    /// Of whole runs.
    Run(Whole),
}

impl Job {
    /// Measures `model`, the job's.
    ///
    /// # Errors
    /// The device failed, or the settings cannot be used.
    pub async fn measure(&self, model: StableDiffusion, on_progress: &dyn Fn(Progress)) -> Result<Figures> {
        Ok(match self.repetitions {
            Some(repetitions) => Figures::Step(step(&model, self.pixels, repetitions).await?),
            None => {
                let steps = self.steps.unwrap_or(self.version.steps());
                Figures::Run(whole(model, self.pixels, self.version, steps, on_progress).await?)
            }
        })
    }
}

fn tensors(network: &'static str, weights: WeightType) -> Tensors {
    Tensors::from_formula(network, weights, Box::new(move |name, shape| values(network, name, shape)))
}

/// Builds `model` at `place`, with weights by formula stored as `weights`.
///
/// # Errors
/// Its tensors cannot be made.
pub async fn build(model: Model, weights: WeightType, memory: Memory, place: &Place) -> Result<StableDiffusion> {
    let config = match model {
        Model::Sd15 => sd15(),
        Model::Sd21Base => sd21(),
        Model::BkBase => bk_sdm(false),
        Model::BkSmall => bk_sdm(true),
        Model::BkTiny => bk_tiny(),
    };
    let shape = [1, PROMPT, config.cross_attention_dim.at(0)];
    let null_embedding = place.tensor(uniform("bench.prompt", shape.iter().product()), shape);
    let mut vae = Vae::build(VaeConfig::default(), tensors("vae", weights), place)?;
    vae.band_bytes = memory.band_bytes(place);
    let unet = Unet::build(config, tensors("unet", weights), place)?;
    let context = unet.context(&null_embedding);
    // Otherwise work that is only queued would count as the first call's.
    wait_and_check_finite(&null_embedding).await?;
    let info = ModelInfo {
        name: "formula".into(),
        taken: BTreeMap::new(),
        layout: "none".into(),
        version: if model == Model::Sd21Base { "2.x" } else { "1.x" },
        prediction: Prediction::Epsilon,
        prediction_by: "the measurement".into(),
        native_size: 512,
        factor: vae.config.factor(),
        layers: unet.config.decoder_layers(),
        decoder: Vec::new(),
        injection_layers: None,
        parameters: 0,
        bytes: 0,
        parts: Vec::new(),
    };
    let scheduler = SchedulerConfig::default();
    let place = place.clone();
    let fingerprint = None;
    Ok(StableDiffusion { unet, vae, scheduler, null_embedding, context, info, memory, place, fingerprint })
}

/// Calls the UNet of `model` once and then `repetitions` times.
///
/// # Errors
/// The device failed.
pub async fn step(model: &StableDiffusion, pixels: usize, repetitions: usize) -> Result<Step> {
    let side = pixels / model.info.factor;
    let shape = [1, model.unet.config.in_channels, side, side];
    let latents: Tensor<4> = model.place.tensor(uniform("bench.latents", shape.iter().product()), shape);
    wait_and_check_finite(&latents).await?;
    let weights = gpu_bytes(&model.place.device);
    memory::begin();
    let mut seconds = Vec::new();
    for _ in 0..=repetitions {
        let begun = now();
        let out =
            model.unet.forward(latents.clone(), 481.0, &model.context, &mut PlainProcessor, None, &silent()).await?;
        wait_and_check_finite(&out).await?;
        seconds.push(now() - begun);
        memory::sample();
    }
    let first = seconds.remove(0);
    Ok(Step { pixels, first, seconds, weights, peak: weights.and(memory::peak()) })
}

/// A picture of waves from coarse to fine, in place of a photo.
fn picture(name: &str, side: u32) -> RgbImage {
    let waves = uniform(&format!("bench.{name}"), 3 * 6 * 4);
    RgbImage::from_fn(side, side, |x, y| {
        let (x, y) = (f64::from(x) / f64::from(side), f64::from(y) / f64::from(side));
        Rgb(std::array::from_fn(|channel| {
            let light: f64 = (waves[channel * 24..][..24].chunks(4).enumerate())
                .map(|(octave, wave)| {
                    let wave: [f64; 4] = std::array::from_fn(|i| f64::from(wave[i]));
                    let frequency = f64::from(1u32 << octave);
                    (std::f64::consts::TAU * (frequency * (wave[0] * x + wave[1] * y) + wave[2])).sin()
                        / frequency.sqrt()
                })
                .sum();
            (128.0 + 40.0 * light) as u8
        }))
    })
}

/// Runs `model` twice from two pictures to the result.
///
/// # Errors
/// The device failed, or the settings cannot be used.
pub async fn whole(
    model: StableDiffusion,
    pixels: usize,
    version: Preset,
    steps: usize,
    on_progress: &dyn Fn(Progress),
) -> Result<Whole> {
    let size = Some(Size::Square(pixels as u32));
    let named = |name| picture(name, pixels as u32);
    let params = Params { preset: version, steps: Some(steps), size, ..Params::default() };
    let weights = gpu_bytes(&model.place.device);
    memory::begin();
    let pipeline = Pipeline::new(model);
    let (pipeline, first) = lap(pipeline, ["content", "style"].map(named), &params, on_progress).await?;
    let (_, then) = lap(pipeline, ["second content", "second style"].map(named), &params, on_progress).await?;
    let peak = weights.and(memory::peak());
    Ok(Whole { pixels, version, steps, first, then, weights, peak })
}

/// One run.
async fn lap(
    pipeline: Pipeline,
    [content, style]: [RgbImage; 2],
    params: &Params,
    on_progress: &dyn Fn(Progress),
) -> Result<(Pipeline, Lap)> {
    let watch = PhaseWatch::new();
    let on_progress = |progress: Progress| {
        watch.enter(progress.phase);
        on_progress(progress);
    };
    let control = Control::new(&Here, &on_progress, &|| false);
    let mut session = Session::new(pipeline);
    let begun = now();
    let outcome = session.run(&content, &[Style::alone(&style)], params, &control).await?;
    let seconds = now() - begun;
    let (calls, features) = (outcome.unet_calls, outcome.feature_bytes);
    Ok((session.pipeline, Lap { seconds, phases: watch.finish(), calls, features }))
}

/// The phases so far, each with its start and its peak GPU memory. [`PhaseWatch::finish`] turns the starts into
/// durations.
struct PhaseWatch(RefCell<Vec<(Phase, f64, GpuBytes)>>);

impl PhaseWatch {
    fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn enter(&self, phase: Phase) {
        let mut begun = self.0.borrow_mut();
        if begun.last().is_none_or(|(last, ..)| *last != phase) {
            let lap = memory::lap().unwrap_or_default();
            if let Some((.., peak)) = begun.last_mut() {
                *peak = lap;
            }
            begun.push((phase, now(), GpuBytes::default()));
        }
    }

    fn finish(self) -> Vec<(Phase, f64, GpuBytes)> {
        let mut begun = self.0.into_inner();
        if let Some((.., peak)) = begun.last_mut() {
            *peak = memory::lap().unwrap_or_default();
        }
        let ends: Vec<f64> = begun.iter().skip(1).map(|(_, at, _)| *at).chain([now()]).collect();
        begun.into_iter().zip(ends).map(|((phase, at, peak), end)| (phase, end - at, peak)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up_and_keep_their_order() {
        let watch = PhaseWatch::new();
        let begun = now();
        for phase in [Phase::EncodeStyle, Phase::EncodeStyle, Phase::InvertStyle, Phase::Decode, Phase::Decode] {
            watch.enter(phase);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let phases = watch.finish();
        assert_eq!(
            phases.iter().map(|(phase, ..)| *phase).collect::<Vec<_>>(),
            [Phase::EncodeStyle, Phase::InvertStyle, Phase::Decode]
        );
        assert!(phases[0].1 >= 0.004 && phases[1].1 >= 0.002 && phases[2].1 >= 0.004, "{phases:?}");
        assert!(phases.iter().map(|(_, seconds, _)| seconds).sum::<f64>() <= now() - begun);
    }

    #[test]
    fn pictures_differ_and_are_not_flat() {
        let [content, style] = ["content", "style"].map(|name| picture(name, 64));
        assert_ne!(content, style);
        let (least, most) = (content.iter().min(), content.iter().max());
        assert!(least < Some(&90) && most > Some(&165), "{least:?} to {most:?}");
    }
}
