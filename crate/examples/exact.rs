//! Stable Diffusion 1.5 at its true size and 256 px against the reference, without a download: the weights follow a
//! formula that both sides compute. Text encoder, VAE, and three UNet calls: style and content captured, then injected.
//!
//! `./dev bench exact` runs it on the processor, `./dev bench exact gpu` on the GPU: some minutes and about 8 GiB of memory. Every figure is the largest difference relative to
//! the largest value; more than 2e-3 fails.

use std::process::ExitCode;
use std::time::Instant;

use burn::tensor::Tensor;
use styleid::Params;
use styleid::device::{Place, Precision, cpu};
use styleid::gpu;
use styleid::model::attention::{AttentionProcessor, PlainProcessor};
use styleid::model::clip::TextEncoder;
use styleid::model::tensors::Tensors;
use styleid::model::unet::Unet;
use styleid::model::vae::Vae;
use styleid::platform::silent;
use styleid::selftest::formula::{uniform, values};
use styleid::styleid::bank::Bank;
use styleid::styleid::blend::LayerMix;
use styleid::styleid::processors::{Capture, Inject, Injection};
use styleid::weights::WeightType;
use styleid::weights::config::{TextConfig, UnetConfig, VaeConfig};

#[path = "../../tests/native/golden.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod golden;

const TOLERANCE: f32 = 2e-3;
const LAYERS: [usize; 6] = [6, 7, 8, 9, 10, 11];
const TIMESTEP: f64 = 501.0;

fn formula(prefix: &'static str) -> Tensors {
    Tensors::from_formula(prefix, WeightType::Exact, Box::new(move |name, shape| values(prefix, name, shape)))
}

fn input(place: &Place, name: &str, shape: [usize; 4], scale: f32) -> Tensor<4> {
    place.tensor(uniform(name, shape.iter().product()), shape).mul_scalar(scale)
}

struct Report {
    golden: golden::Golden,
    worst: f32,
    started: Instant,
}

impl Report {
    fn compare<const D: usize>(&mut self, name: &str, ours: &Tensor<D>) {
        let scale = self.golden.values(name).1.into_iter().fold(0f32, |max, x| max.max(x.abs()));
        let relative = self.golden.distance(name, ours) / scale;
        self.worst = self.worst.max(relative);
        println!("{name:<16} {relative:.2e} of {scale:.4}   {:.1} s", self.started.elapsed().as_secs_f32());
    }
}

async fn compare(report: &mut Report, place: &Place) -> styleid::Result<()> {
    let control = silent();
    let text: TextConfig = serde_json::from_value(serde_json::json!({
        "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
        "vocab_size": 49408, "hidden_act": "quick_gelu"
    }))
    .map_err(|error| styleid::Error::Model(error.to_string()))?;
    let ids: Vec<usize> = report.golden.values("ids").1.iter().map(|&id| id as usize).collect();
    let context = TextEncoder::build(text, &ids, formula("text_encoder"), place)?.forward(&ids)?;
    report.compare("null_embedding", &context);

    let vae = Vae::build(VaeConfig::default(), formula("vae"), place)?;
    let posterior = vae.encode(input(place, "vae_px", [1, 3, 256, 256], 1.0), &control).await?;
    report.compare("vae_mean", &posterior.mean);
    report.compare("vae_logvar", &posterior.log_variance);
    let decoded = vae.decode(input(place, "vae_lat", [1, 4, 32, 32], 2.0), &control).await?;
    report.compare("vae_dec", &decoded);
    drop(vae);

    let config: UnetConfig = serde_json::from_value(serde_json::json!({ "cross_attention_dim": 768 }))
        .map_err(|error| styleid::Error::Model(error.to_string()))?;
    let unet = Unet::build(config, formula("unet"), place)?;
    let context = unet.context(&context);
    let shape = [1, 4, 32, 32];
    let (style, content) = (input(place, "x_style", shape, 2.0), input(place, "x_content", shape, 2.0));
    let (mut style_bank, mut content_bank) = (Bank::default(), Bank::default());
    let call = async |x: &Tensor<4>, processor: &mut dyn AttentionProcessor| {
        unet.forward(x.clone(), TIMESTEP, &context, processor, None, &control).await
    };
    let mut capture = Capture { layers: &LAYERS, level: 0, bank: &mut style_bank, own: None };
    report.compare("eps_style", &call(&style, &mut capture).await?);
    let mut capture = Capture { layers: &LAYERS, level: 0, bank: &mut content_bank, own: None };
    report.compare("eps_content", &call(&content, &mut capture).await?);
    let mixed = (content + style).div_scalar(2.0);
    let injection = Injection {
        content: &content_bank,
        styles: vec![&style_bank],
        others: Vec::new(),
        mixes: LAYERS.map(|layer| (layer, LayerMix::default())).into(),
        params: &Params::default(),
    };
    let mut inject = Inject::new(&injection, 0, 0.0)?;
    let injected = call(&mixed, &mut inject).await?;
    report.compare("eps_injected", &injected);
    let plain = call(&mixed, &mut PlainProcessor).await?;
    let effect = (plain - injected).abs().max().into_scalar::<f32>();
    println!("injection moves the prediction by {effect:.3}");
    Ok(())
}

fn main() -> ExitCode {
    let parameters = 859_520_964; // of the UNet, which decides the precision
    let golden = golden::Golden::load("full.sd15");
    let mut report = Report { golden, worst: 0.0, started: Instant::now() };
    let result = pollster::block_on(async {
        let device = if std::env::args().any(|argument| argument == "gpu") { gpu::open().await?.0 } else { cpu() };
        let place = Place::new(device, Precision::Auto, parameters)?;
        compare(&mut report, &place).await
    });
    match result {
        Ok(()) if report.worst <= TOLERANCE => {
            println!("exact: at most {:.2e} relative, {TOLERANCE:.0e} allowed", report.worst);
            ExitCode::SUCCESS
        }
        Ok(()) => {
            eprintln!("error: {:.2e} relative is more than {TOLERANCE:.0e}", report.worst);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
