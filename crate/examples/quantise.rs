//! What quantised weights cost: the relative RMS error of the UNet's output against f32, for groups of several sizes and
//! ways to choose a group's scale. On Stable Diffusion 1.5 at its true size with formula weights, and on the trained weights of a
//! small UNet of diffusers in half precision, if its folder is given: the demonstration model's, of before they were packed,
//! are in `crate/demo/model/unet` of commit 2cf6d38.
//!
//! `./dev bench quantise [FOLDER]`: some minutes and 6 GiB of memory.

use std::process::ExitCode;

use burn::tensor::Tensor;
use half::f16;
use safetensors::SafeTensors;
use styleid::device::{Place, Precision, cpu};
use styleid::model::attention::PlainProcessor;
use styleid::model::tensors::Formula;
use styleid::model::tensors::Tensors;
use styleid::model::unet::Unet;
use styleid::platform::silent;
use styleid::selftest::formula;
use styleid::weights::WeightType;
use styleid::weights::config::UnetConfig;
use styleid::weights::format::Dtype;
use styleid::weights::format::compact::kept_as;
use styleid::{Error, Result};

#[path = "support/shapes.rs"]
mod shapes;

/// How a group's scale is chosen.
#[derive(Debug, Clone, Copy)]
enum Scale {
    /// Largest magnitude to the largest positive code: one code of 2^bits stays unused.
    Peak,
    /// The value of largest magnitude to the most negative code, with its sign: all codes are in use.
    SignedPeak,
    /// The one of 17 around `SignedPeak`'s with the least squared error.
    Search,
}

fn round(group: &[f32], bits: u32, scale: f32, out: &mut [f32]) -> f32 {
    let half = 1 << (bits - 1);
    let scale = f16::from_f32(scale).to_f32();
    let mut error = 0.0;
    for (x, y) in group.iter().zip(out) {
        let code = if scale == 0.0 { 0.0 } else { (x / scale).round().clamp(-(half as f32), half as f32 - 1.0) };
        *y = code * scale;
        error += (x - *y).powi(2);
    }
    error
}

fn quantise(values: &mut [f32], group: usize, bits: u32, scale: Scale) {
    let half = (1 << (bits - 1)) as f32;
    let mut out = vec![0.0; group];
    for group in values.chunks_exact_mut(group) {
        let peak = group.iter().fold(0f32, |peak, &x| if x.abs() > peak.abs() { x } else { peak });
        let signed = peak / -half;
        let best = match scale {
            Scale::Peak => peak.abs() / (half - 1.0),
            Scale::SignedPeak => signed,
            Scale::Search => {
                let tries = (0..17).map(|i| signed * (0.8 + 0.025 * i as f32));
                let error = |scale: f32| round(group, bits, scale, &mut vec![0.0; group.len()]);
                tries
                    .map(|scale| (error(scale), scale))
                    .min_by(|a, b| a.0.total_cmp(&b.0))
                    .map_or(signed, |best| best.1)
            }
        };
        round(group, bits, best, &mut out);
        group.copy_from_slice(&out);
    }
}

/// Changes the values of the tensor of a name and a shape.
type Change<'a> = dyn Fn(&str, &[usize], &mut [f32]) + 'a;

struct Bench<'a> {
    title: &'a str,
    config: UnetConfig,
    side: usize,
    tokens: usize,
    timesteps: &'a [f64],
    values: &'a dyn Fn(&str, &[usize]) -> Vec<f32>,
}

impl Bench<'_> {
    /// The UNet's outputs with weights as `change` leaves them, given name, shape and values.
    fn outputs(&self, change: &Change<'_>) -> Result<Vec<f32>> {
        let place = Place::new(cpu(), Precision::F32, 0)?;
        let build = |tensors| Unet::build(self.config.clone(), tensors, &place).map(drop);
        let mut tensors = std::collections::HashMap::new();
        for (name, shape) in shapes::shapes(build)? {
            let mut values = (self.values)(&name, &shape);
            change(&name, &shape, &mut values);
            tensors.insert(name, values);
        }
        let take: Formula = Box::new(move |name, _| tensors.remove(name).unwrap_or_default());
        let unet = Unet::build(self.config.clone(), Tensors::from_formula("unet", WeightType::Exact, take), &place)?;
        let channels = self.config.in_channels;
        let shape = [1, channels, self.side, self.side];
        let x: Tensor<4> = place.tensor(formula::uniform("x", shape.iter().product()), shape).mul_scalar(2.0);
        let width = self.config.cross_attention_dim.at(0);
        let context: Tensor<3> =
            place.tensor(formula::uniform("context", self.tokens * width), [1, self.tokens, width]);
        let context = unet.context(&context);
        let mut outputs = Vec::new();
        for &timestep in self.timesteps {
            let (mut processor, control) = (PlainProcessor, silent());
            let eps = unet.forward(x.clone(), timestep, &context, &mut processor, None, &control);
            outputs.extend(pollster::block_on(eps)?.into_data().iter::<f32>());
        }
        Ok(outputs)
    }

    fn run(&self) -> Result<()> {
        println!("{}", self.title);
        let exact = self.outputs(&|_, _, _| ())?;
        let power: f64 = exact.iter().map(|&x| f64::from(x).powi(2)).sum();
        let report = |name: &str, bits_a_weight: f64, outputs: &[f32]| {
            let error: f64 = exact.iter().zip(outputs).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            println!("  {name:<34} {bits_a_weight:>5.2} bits a weight   {:.3e}", (error / power).sqrt());
        };
        for weights in [WeightType::F16, WeightType::Q8, WeightType::Q4] {
            let kept = self.outputs(&|name, shape, values| {
                let compact = styleid::weights::format::compact::convert(name, shape, values, weights);
                let mut back = Vec::new();
                if styleid::weights::format::blocks::dequantise(compact.dtype, &compact.bytes, &mut back).is_some() {
                    values.copy_from_slice(&back);
                }
            })?;
            let bits = match weights {
                WeightType::F16 => 16.0,
                WeightType::Q8 => 8.5,
                _ => 4.5,
            };
            report(&format!("--weights {}", weights.name()), bits, &kept);
        }
        for bits in [8, 4] {
            for scale in [Scale::Peak, Scale::SignedPeak, Scale::Search] {
                for group in [16, 32, 64, 128] {
                    if bits == 8 && (!matches!(scale, Scale::Peak) || group == 128)
                        || bits == 4 && matches!(scale, Scale::Peak) && group != 32
                    {
                        continue;
                    }
                    let outputs = self.outputs(&|name, shape, values| {
                        let kept = kept_as(WeightType::Q8, name, Dtype::F32, shape);
                        let columns: usize = shape.iter().skip(1).product();
                        if kept == Dtype::Q8_0 && columns.is_multiple_of(group) {
                            quantise(values, group, bits, scale);
                        }
                    })?;
                    report(
                        &format!("{bits} bits, groups of {group}, {scale:?}"),
                        f64::from(bits) + 16.0 / group as f64,
                        &outputs,
                    );
                }
            }
        }
        Ok(())
    }
}

/// Measures the UNet in `folder`.
fn trained(folder: &str) -> Result<()> {
    let read = |file: &str| std::fs::read(format!("{folder}/{file}")).map_err(|error| Error::File(error.to_string()));
    let config = serde_json::from_slice(&read("config.json")?).map_err(|error| Error::Model(error.to_string()))?;
    let bytes = read("diffusion_pytorch_model.safetensors")?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::Model(error.to_string()))?;
    let trained = |name: &str, _: &[usize]| -> Vec<f32> {
        let tensor = file.tensor(name).map(|tensor| tensor.data().to_vec()).unwrap_or_default();
        tensor.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
    };
    let title = "Trained weights, 64 x 64 latents, timesteps 1, 301, 801";
    Bench { title, config, side: 64, tokens: 4, timesteps: &[1.0, 301.0, 801.0], values: &trained }.run()
}

fn run() -> Result<()> {
    if let Some(folder) = std::env::args().nth(1) {
        trained(&folder)?;
    }
    let mut config = UnetConfig::default();
    config.cross_attention_dim = styleid::weights::config::PerLevel::One(768);
    let title = "Stable Diffusion 1.5, formula weights, 32 x 32 latents, timestep 501";
    let values = |name: &str, shape: &[usize]| formula::values("unet", name, shape);
    Bench { title, config, side: 32, tokens: 77, timesteps: &[501.0], values: &values }.run()
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
