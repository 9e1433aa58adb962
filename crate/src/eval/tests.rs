//! Tests of the measures against other people's code; tests/fixtures/metrics/reference.py says whose, and how.

use std::collections::HashMap;

use image::RgbImage;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use super::cfsd::Cfsd;
use super::histogram::Histogram;
use super::inception::Inception;
use super::lpips::Lpips;
use super::{frechet, max_pool};
use crate::device::{Place, Precision, cpu};

const LPIPS: &[u8] = include_bytes!("../../metrics/lpips-alex-f16.safetensors");

fn figures() -> serde_json::Value {
    let text = include_str!("../../../tests/fixtures/metrics/figures.json");
    serde_json::from_str(text).expect("the fixture is JSON")
}

fn place() -> Place {
    Place::new(cpu(), Precision::F64, 0).expect("the processor has f64")
}

fn waves([width, height]: [u32; 2]) -> RgbImage {
    let value = |x: u32, y: u32, c: u32| (x * 3 + y * 5 + c * 70 + (x * y) % 37 * 2) % 256;
    RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c) as u8)))
}

fn tiles([width, height]: [u32; 2]) -> RgbImage {
    let value = |x: u32, y: u32, c: u32| (x / 8 * 31 + y / 6 * 17 + c * c * 40 + (x + y) % 5 * 9) % 256;
    RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c) as u8)))
}

const SIZES: [(&str, [u32; 2]); 2] = [("small", [96, 80]), ("large", [300, 260])];

fn values(name: &str, count: usize) -> Vec<f32> {
    let seed = crc32fast::hash(name.as_bytes());
    (0..count as u32)
        .map(|i| {
            let mut x = i.wrapping_mul(2_654_435_761).wrapping_add(seed);
            x ^= x >> 16;
            x = x.wrapping_mul(0x85EB_CA6B);
            x ^= x >> 13;
            (f64::from(x) / 4_294_967_296.0 - 0.5) as f32
        })
        .collect()
}

fn file(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views: HashMap<&str, TensorView> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes are of the shape"))
        })
        .collect();
    serialize(views, None).expect("the views are whole")
}

fn convolution(tensors: &mut Vec<(String, Vec<usize>, Vec<f32>)>, name: &str, formula: &str, shape: [usize; 4]) {
    let fan: usize = shape[1..].iter().product();
    let scale = (24.0 / fan as f64).sqrt() as f32;
    let numbers = values(formula, shape.iter().product()).into_iter().map(|v| v * scale).collect();
    tensors.push((name.into(), shape.into(), numbers));
}

fn near(ours: f64, theirs: &serde_json::Value, tolerance: f64, what: &str) {
    let theirs = theirs.as_f64().expect("the fixture has numbers");
    println!("{what}: {ours} against {theirs}");
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} against {theirs}");
}

#[test]
fn lpips_and_style_distance_equal_the_published_code() {
    let lpips = Lpips::new(LPIPS, &place()).expect("the weights are whole");
    let figures = figures();
    for (name, size) in SIZES {
        let (a, b) = (lpips.see(&waves(size)).expect("large"), lpips.see(&tiles(size)).expect("large"));
        let distance = pollster::block_on(lpips.distance(&a, &b)).expect("the processor computes");
        near(distance, &figures[name]["lpips"], 2e-4, "LPIPS");
        assert!(pollster::block_on(lpips.distance(&a, &a)).expect("the processor computes").abs() < 1e-12);
        let style = pollster::block_on(a.style_distance(&b)).expect("the processor computes");
        near(style / 22.0, &(figures[name]["style_distance"].as_f64().expect("a number") / 22.0).into(), 2e-3, "style");
    }
}

#[test]
fn lpips_says_what_it_cannot_compare() {
    let lpips = Lpips::new(LPIPS, &place()).expect("the weights are whole");
    let seen = |size| lpips.see(&waves(size));
    let tiny = seen([20, 100]).expect_err("too small").to_string();
    assert!(tiny.contains("20 × 100"), "{tiny}");
    let (a, b) = (seen([64, 64]).expect("large"), seen([64, 96]).expect("large"));
    let differ = pollster::block_on(lpips.distance(&a, &b)).expect_err("of two sizes").to_string();
    assert!(differ.contains("one size"), "{differ}");
    assert!(Lpips::new(&LPIPS[..1000], &place()).is_err());
}

#[test]
fn histograms_equal_the_formula() {
    let figures = figures();
    for (name, size) in SIZES {
        let (a, b) = (Histogram::new(&waves(size)), Histogram::new(&tiles(size)));
        near(a.distance(&b), &figures[name]["histogram"], 1e-6, "histogram");
        assert!(a.distance(&a) < 1e-12);
    }
}

#[test]
fn cfsd_equals_the_published_network() {
    let mut tensors = Vec::new();
    for (number, [input, output]) in [(0, [3, 64]), (2, [64, 64]), (5, [64, 128]), (7, [128, 128]), (10, [128, 256])] {
        let shape = [output, input, 3, 3];
        convolution(&mut tensors, &format!("features.{number}.weight"), &format!("{number}.weight"), shape);
        let bias = values(&format!("{number}.bias"), output).into_iter().map(|v| v * 0.2).collect();
        tensors.push((format!("features.{number}.bias"), vec![output], bias));
    }
    tensors.push(("classifier.6.bias".into(), vec![1], vec![0.0])); // a tensor that is not needed is ignored
    let cfsd = Cfsd::new(&file(&tensors), &place()).expect("the weights are whole");
    let (a, b) = (waves(SIZES[0].1), tiles(SIZES[0].1));
    let distance = pollster::block_on(cfsd.distance(&a, &b)).expect("the processor computes");
    near(distance, &figures()["cfsd"], 1e-6, "CFSD");
}

/// All units of Inception: name, channels, kernel.
fn units() -> Vec<(String, [usize; 2], [usize; 2])> {
    let mut units: Vec<(String, [usize; 2], [usize; 2])> = Vec::new();
    let mut add = |block: &str, parts: &[(&str, [usize; 2], [usize; 2])]| {
        units.extend(parts.iter().map(|(part, channels, kernel)| {
            let name = if part.is_empty() { block.to_string() } else { format!("{block}.{part}") };
            (name, *channels, *kernel)
        }));
    };
    add("Conv2d_1a_3x3", &[("", [3, 32], [3, 3])]);
    add("Conv2d_2a_3x3", &[("", [32, 32], [3, 3])]);
    add("Conv2d_2b_3x3", &[("", [32, 64], [3, 3])]);
    add("Conv2d_3b_1x1", &[("", [64, 80], [1, 1])]);
    add("Conv2d_4a_3x3", &[("", [80, 192], [3, 3])]);
    for (block, input, pooled) in [("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)] {
        add(
            block,
            &[
                ("branch1x1", [input, 64], [1, 1]),
                ("branch5x5_1", [input, 48], [1, 1]),
                ("branch5x5_2", [48, 64], [5, 5]),
                ("branch3x3dbl_1", [input, 64], [1, 1]),
                ("branch3x3dbl_2", [64, 96], [3, 3]),
                ("branch3x3dbl_3", [96, 96], [3, 3]),
                ("branch_pool", [input, pooled], [1, 1]),
            ],
        );
    }
    add(
        "Mixed_6a",
        &[
            ("branch3x3", [288, 384], [3, 3]),
            ("branch3x3dbl_1", [288, 64], [1, 1]),
            ("branch3x3dbl_2", [64, 96], [3, 3]),
            ("branch3x3dbl_3", [96, 96], [3, 3]),
        ],
    );
    for (block, c) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        add(
            block,
            &[
                ("branch1x1", [768, 192], [1, 1]),
                ("branch7x7_1", [768, c], [1, 1]),
                ("branch7x7_2", [c, c], [1, 7]),
                ("branch7x7_3", [c, 192], [7, 1]),
                ("branch7x7dbl_1", [768, c], [1, 1]),
                ("branch7x7dbl_2", [c, c], [7, 1]),
                ("branch7x7dbl_3", [c, c], [1, 7]),
                ("branch7x7dbl_4", [c, c], [7, 1]),
                ("branch7x7dbl_5", [c, 192], [1, 7]),
                ("branch_pool", [768, 192], [1, 1]),
            ],
        );
    }
    add(
        "Mixed_7a",
        &[
            ("branch3x3_1", [768, 192], [1, 1]),
            ("branch3x3_2", [192, 320], [3, 3]),
            ("branch7x7x3_1", [768, 192], [1, 1]),
            ("branch7x7x3_2", [192, 192], [1, 7]),
            ("branch7x7x3_3", [192, 192], [7, 1]),
            ("branch7x7x3_4", [192, 192], [3, 3]),
        ],
    );
    for (block, input) in [("Mixed_7b", 1280), ("Mixed_7c", 2048)] {
        add(
            block,
            &[
                ("branch1x1", [input, 320], [1, 1]),
                ("branch3x3_1", [input, 384], [1, 1]),
                ("branch3x3_2a", [384, 384], [1, 3]),
                ("branch3x3_2b", [384, 384], [3, 1]),
                ("branch3x3dbl_1", [input, 448], [1, 1]),
                ("branch3x3dbl_2", [448, 384], [3, 3]),
                ("branch3x3dbl_3a", [384, 384], [1, 3]),
                ("branch3x3dbl_3b", [384, 384], [3, 1]),
                ("branch_pool", [input, 192], [1, 1]),
            ],
        );
    }
    units
}

#[test]
fn inception_equals_the_published_network() {
    let mut tensors = Vec::new();
    for (name, [input, output], [height, width]) in units() {
        let weight = format!("{name}.conv.weight");
        convolution(&mut tensors, &weight, &weight, [output, input, height, width]);
        for (part, one, scale) in
            [("weight", 1.0, 0.5), ("bias", 0.0, 0.2), ("running_mean", 0.0, 0.2), ("running_var", 1.0, 0.5)]
        {
            let part = format!("{name}.bn.{part}");
            let numbers = values(&part, output).into_iter().map(|v| one + v * scale).collect();
            tensors.push((part, vec![output], numbers));
        }
    }
    let inception = Inception::new(&file(&tensors), &place()).expect("the weights are whole");
    let seen = pollster::block_on(inception.features(&waves(SIZES[0].1))).expect("the processor computes");
    let theirs = &figures()["inception"];
    for (i, ours) in seen.iter().take(8).enumerate() {
        near(*ours, &theirs["first"][i], 1e-5, "feature");
    }
    near(seen.iter().sum(), &theirs["sum"], 1e-3, "sum");
    near(seen.iter().map(|x| x * x).sum(), &theirs["squares"], 1e-3, "squares");
}

#[test]
fn frechet_equals_the_square_root_of_the_covariances() {
    let set = |i: u8| -> frechet::Rows {
        let numbers = values(&format!("set {i}"), 12 * 20);
        let numbers = numbers.into_iter().map(|v| f64::from(v) * f64::from(i + 1) + f64::from(i) * 0.1);
        numbers.collect::<Vec<_>>().chunks(20).map(<[f64]>::to_vec).collect()
    };
    near(frechet::distance(&set(0), &set(1)), &figures()["frechet"], 1e-6, "Fréchet");
    assert!(frechet::distance(&set(0), &set(0)).abs() < 1e-9);
}

#[test]
fn pooling_takes_the_largest() {
    let place = place();
    let x = place.tensor((0..35).map(|i| (i * 8 % 13) as f32).collect(), [1, 1, 5, 7]);
    let pooled: Vec<f64> = max_pool(x, 3, 2).into_data().iter::<f64>().collect();
    let at = |y: usize, x: usize| ((y * 7 + x) * 8 % 13) as f64;
    let most = |y: usize, x: usize| (0..9).map(|i| at(y + i / 3, x + i % 3)).fold(0.0, f64::max);
    let expected: Vec<f64> = [(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)].map(|(y, x)| most(y, x)).into();
    assert_eq!(pooled, expected);
}
