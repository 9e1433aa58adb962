//! Runs on wgpu, compared with the same runs on the processor. `./dev test` provides a software Vulkan adapter, so
//! these tests run on machines without a GPU, too.

use burn::tensor::Tensor;
use styleid::device::{Place, Precision};
use styleid::eval::lpips::Lpips;
use styleid::model::{LoadOptions, StableDiffusion};
use styleid::ops::Kernels;
use styleid::platform::silent;
use styleid::weights::{Origin, WeightType};
use styleid::{Phase, Pipeline, Preset, Session, Style, device};

use crate::golden::{Golden, distance, fixture};
use crate::support::{self, Chosen, params, run, session, session_of};

/// Largest difference between devices, relative to the largest value (at least 1). Both compute in f32 or better, but
/// sum in different orders.
const TOLERANCE: f32 = 1e-3;

#[test]
fn wgpu_agrees_with_the_processor() {
    let Some((gpu, _)) = support::gpu() else { return };
    let exact = WeightType::Exact;
    let (software, hardware) = (Kernels::Software, Kernels::Hardware);
    for (kernels, model, golden, preset, weights) in [
        (software, "models/micro15", "micro15.diffusers.n4.rect", Preset::Diffusers, exact),
        (software, "models/micro21b", "micro21b.diffusers.n4", Preset::Diffusers, exact),
        (software, "models/micro21v", "micro21v.diffusers.n4", Preset::Diffusers, exact),
        // Distilled networks: one resnet a level, no mid block, three levels, a schedule with zero terminal SNR.
        (software, "models/micro15bk_base", "micro15bk_base.diffusers.n4", Preset::Diffusers, exact),
        (software, "models/micro15bk_tiny", "micro15bk_tiny.diffusers.n4", Preset::Diffusers, exact),
        (software, "models/micro21vbk_tinyz", "micro21vbk_tinyz.diffusers.n4", Preset::Diffusers, exact),
        (hardware, "models/micro15", "micro15.ldm.n4.odd", Preset::Ldm, exact),
        (software, "models/micro15", "micro15.fast.n6.rect", Preset::Fast, exact),
        (hardware, "models/micro21b", "micro21b.fast.n10", Preset::Fast, exact),
        (Kernels::Reference, "models/micro15", "micro15.diffusers.n4.rect", Preset::Diffusers, exact),
        // Weights that the device holds as packed words and dequantises.
        (software, "models/micro21b", "micro21b.diffusers.n4", Preset::Diffusers, WeightType::F16),
        (software, "single-file/tiny15.q4_0.gguf", "tiny15.q4_0.gguf.n4", Preset::Diffusers, exact),
        (hardware, "single-file/tiny21b.q8_0.gguf", "tiny21b.q8_0.gguf.n4", Preset::Diffusers, exact),
        (software, "single-file/tiny21b.q8_0.gguf", "tiny21b.q8_0.gguf.n4", Preset::Diffusers, WeightType::Q4),
    ] {
        let _chosen = Chosen::new(kernels);
        let origin = Origin::local(&fixture(model), None).expect("a model");
        // The name of a golden has its number of steps: 6 in `micro15.fast.n6.rect`.
        let steps = golden.split(".n").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok()).expect("a number");
        let golden = Golden::load(golden);
        let (content, style) = (golden.picture("content_u8"), golden.picture("style_u8"));
        let run = |device| {
            let mut session = session_of(&origin, device, weights);
            let outcome =
                pollster::block_on(session.run(&content, &[Style::alone(&style)], &params(preset, steps), &silent()))
                    .expect("a run");
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
            eprintln!("{model} {kernels:?} {name}: {worst:e} of {scale}");
            assert!(worst <= TOLERANCE * scale, "{model}: {name} is {worst:e} off, more than {TOLERANCE:e} of {scale}");
        }
        if weights != exact {
            continue; // the golden has the file's own weights
        }
        let worst = ours.3.iter().zip(golden.picture("image_u8").iter()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(2), "{model}: image_u8 is {worst:?} off the reference");
    }
}

#[test]
fn activations_in_f16_give_nearly_the_same_picture() {
    let Some((gpu, adapter)) = support::gpu() else { return };
    let origin = Origin::local(&fixture("models/micro15"), None).expect("a folder");
    if !adapter.shader_f16 {
        let refused = Place::new(gpu.clone(), Precision::F16, 0).expect_err("there is no f16");
        assert!(refused.to_string().contains("f16"), "{refused}");
        return;
    }
    let golden = Golden::load("micro15.diffusers.n4.rect");
    for kernels in [Kernels::Software, Kernels::Hardware, Kernels::Reference] {
        let _chosen = Chosen::new(kernels);
        let options = LoadOptions { precision: Precision::F16, ..LoadOptions::default() };
        let model =
            pollster::block_on(StableDiffusion::load(&origin, gpu.clone(), options, &silent())).expect("a model");
        let mut session = Session::new(Pipeline::new(model));
        let (image, _) = run(&mut session, &golden, &params(Preset::Diffusers, 4)).expect("a run");
        let far = |worst: u64, pair: (&u8, &u8)| worst.max(u64::from(pair.0.abs_diff(*pair.1)));
        let worst = image.iter().zip(golden.picture("image_u8").iter()).fold(0, far);
        eprintln!("{kernels:?}: {worst} of 255");
        assert!((1..=4).contains(&worst), "{kernels:?}: {worst} of 255; equal would mean that it was f32");
    }
}

#[test]
fn a_gpu_warms_up_once_a_size() {
    let Some((gpu, _)) = support::gpu() else { return };
    let _chosen = Chosen::new(Kernels::Software);
    let golden = Golden::load("micro15.diffusers.n4.rect");
    let mut session = session("micro15", gpu.clone());
    let mut warm_ups = |gamma| {
        let params = styleid::Params { gamma, ..params(Preset::Diffusers, 2) };
        let (_, reports) = run(&mut session, &golden, &params).expect("a run");
        reports.iter().filter(|progress| progress.phase == Phase::WarmUp).count()
    };
    let first = warm_ups(0.75);
    assert!((1..=2).contains(&first), "once with one picture, and once with two in a batch: {first}");
    assert_eq!(warm_ups(0.25), 0, "what was compiled serves again");
}

#[test]
fn measures_on_wgpu_agree_with_the_processor() {
    let Some((gpu, _)) = support::gpu() else { return };
    let weights = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/metrics/lpips-alex-f16.safetensors"));
    let weights = weights.expect("LPIPS is here");
    let picture = |shift: u32| {
        image::RgbImage::from_fn(267, 190, |x, y| {
            image::Rgb([0, 1, 2].map(|c| ((x * (3 + shift) + y * 5 + c * 70 + (x * y) % (37 + shift) * 2) % 256) as u8))
        })
    };
    let measured = |device: &burn::tensor::Device| {
        let place = Place::new(device.clone(), Precision::F32, 0).expect("f32 is everywhere");
        let lpips = Lpips::new(&weights, &place).expect("the weights are whole");
        let [a, b] = [0, 1].map(|shift| lpips.see(&picture(shift)).expect("large enough"));
        let distance = pollster::block_on(lpips.distance(&a, &b)).expect("the device computes");
        (distance, pollster::block_on(a.style_distance(&b)).expect("the device computes"))
    };
    let (lpips, style) = measured(&device::cpu());
    assert!(lpips > 0.05 && style > 0.05, "{lpips}, {style}");
    for kernels in [Kernels::Software, Kernels::Hardware, Kernels::Reference] {
        let _chosen = Chosen::new(kernels);
        let ours = measured(gpu);
        eprintln!("{kernels:?}: LPIPS {} against {lpips}, style distance {} against {style}", ours.0, ours.1);
        assert!((ours.0 - lpips).abs() <= 1e-4, "{kernels:?}: LPIPS {} against {lpips}", ours.0);
        assert!((ours.1 / style - 1.0).abs() <= 1e-3, "{kernels:?}: style distance {} against {style}", ours.1);
    }
}
