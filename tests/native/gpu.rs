//! The same runs on wgpu. `./dev test` provides a software Vulkan, so these run on machines without a GPU too.

use burn::tensor::Tensor;
use styleid::control::silent;
use styleid::weights::{Origin, WeightType};
use styleid::{Preset, device};

use crate::golden::{Golden, distance, fixture};
use crate::support::{gpu, params, session_of};

/// Between devices, of the largest value: both are f32 or better, but sum in other orders.
const TOLERANCE: f32 = 1e-3;

#[test]
fn wgpu_agrees_with_the_processor() {
    let Some((gpu, adapter)) = gpu() else { return };
    eprintln!("on {adapter:?}");
    let exact = WeightType::Exact;
    for (model, golden, preset, weights) in [
        ("models/micro15", "micro15.diffusers.n4.rect", Preset::Diffusers, exact),
        ("models/micro21b", "micro21b.diffusers.n4", Preset::Diffusers, exact),
        ("models/micro21v", "micro21v.diffusers.n4", Preset::Diffusers, exact),
        ("models/micro15", "micro15.ldm.n4.odd", Preset::Ldm, exact),
        // Weights that the device holds as packed words, dequantised there.
        ("models/micro21b", "micro21b.diffusers.n4", Preset::Diffusers, WeightType::F16),
        ("single-file/tiny15.q4_0.gguf", "tiny15.q4_0.gguf.n4", Preset::Diffusers, exact),
        ("single-file/tiny21b.q8_0.gguf", "tiny21b.q8_0.gguf.n4", Preset::Diffusers, exact),
        ("single-file/tiny21b.q8_0.gguf", "tiny21b.q8_0.gguf.n4", Preset::Diffusers, WeightType::Q4),
    ] {
        let origin = Origin::local(&fixture(model), None).expect("a model");
        let golden = Golden::load(golden);
        let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
        let run = |device| {
            let mut session = session_of(&origin, device, weights);
            let outcome =
                pollster::block_on(session.run(&content, &style, &params(preset, 4), &silent())).expect("a run");
            let floats = |tensor: &Tensor<4>| tensor.to_data().iter::<f32>().collect::<Vec<_>>();
            (floats(&outcome.stylized.initial), floats(&outcome.stylized.latents), outcome.pixels, outcome.image)
        };
        let (ours, reference) = (run(gpu.clone()), run(device::cpu()));
        for (name, ours, reference) in [
            ("adain", &ours.0, &reference.0),
            ("final_latent", &ours.1, &reference.1),
            ("image", &ours.2, &reference.2),
        ] {
            let scale = reference.iter().fold(1f32, |max, x| max.max(x.abs()));
            let worst = distance(name, ours, reference);
            eprintln!("{model} {name}: {worst:e} of {scale}");
            assert!(worst <= TOLERANCE * scale, "{model}: {name} is {worst:e} off, more than {TOLERANCE:e} of {scale}");
        }
        if weights != exact {
            continue; // the golden has the file's own weights
        }
        let worst = ours.3.iter().zip(golden.picture("image_u8").iter()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(2), "{model}: image_u8 is {worst:?} off the reference");
    }
}
