//! Attention kernels, compared with a plain computation in f64, on the Vulkan device of this machine.

use burn::tensor::{DType, Device, Tensor, TensorData};
use styleid::device;
use styleid::ops::Kernels;
use styleid::ops::attention::{Attend, Groups, attention};

use crate::support::{self, Chosen};

/// Tolerances relative to the largest value.
const F32_TOLERANCE: f64 = 1e-4;
const F16_TOLERANCE: f64 = 5e-3;

/// Sizes and settings of one attention.
#[derive(Debug, Clone, Copy)]
struct Case {
    batch: usize,
    heads: usize,
    head_dim: usize,
    queries: usize,
    keys: usize,
    /// γ of a blend of two queries, γ · other + (1 − γ) · q.
    blend: Option<f32>,
    temperature: f32,
    /// Queries are within ±this, keys and values within ±1.
    magnitude: f32,
    /// Every `every`-th query is checked.
    every: usize,
    /// Number of groups that the keys are divided into, in order; 0 for attention without groups.
    groups: usize,
}

impl Case {
    fn scale(&self) -> f32 {
        self.temperature / (self.head_dim as f32).sqrt()
    }
}

const PLAIN: Case = Case {
    batch: 1,
    heads: 2,
    head_dim: 40,
    queries: 143,
    keys: 143,
    blend: None,
    temperature: 1.0,
    magnitude: 4.0,
    every: 1,
    groups: 0,
};

/// The logarithm of each group's weight for a query. Some queries see only one group, others all but one.
fn logs(query: usize, groups: usize) -> Vec<f32> {
    (0..groups)
        .map(|group| match (query % 4, (query / 4 + group) % groups) {
            (0, i) => (0.3 + 0.4 * i as f32).ln(),
            (1, 0) => 1e-3f32.ln(),
            (2, i) if i > 0 => -1e30,
            (3, 0) => -1e30,
            (3, _) => -2.0,
            _ => 0.0,
        })
        .collect()
}

/// The group of a key: the first has twice as many keys as each of the others.
fn group_of(key: usize, keys: usize, groups: usize) -> usize {
    let from_the_end = (keys - 1 - key) * (groups + 1) / keys;
    groups.saturating_sub(1 + from_the_end)
}

fn groups(case: &Case, device: &Device) -> Option<Groups> {
    let count = case.groups;
    let columns = Groups::columns(count);
    let tensor = |rows: usize, row: &dyn Fn(usize) -> Vec<f32>| {
        let wide = |i: usize| row(i).into_iter().chain(std::iter::repeat(0.0)).take(columns);
        let values: Vec<f32> = (0..rows).flat_map(wide).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, rows, columns]), (device, DType::F32))
    };
    let member = |key| (0..count).map(|group| f32::from(group == group_of(key, case.keys, count))).collect();
    let logs = |query| logs(query, count);
    (count > 0).then(|| Groups { logs: tensor(case.queries, &logs), members: tensor(case.keys, &member) })
}

/// Cases so large that kernels are launched in parts: by heads, by queries, and by both.
const LARGE: [Case; 2] = [
    Case { heads: 3, queries: 4100, keys: 4100, every: 37, ..PLAIN },
    Case { heads: 1, head_dim: 512, queries: 700, keys: 4200, blend: Some(0.5), every: 13, ..PLAIN },
];

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (8, 40, 300, 300),
        (2, 64, 143, 143),
        (2, 80, 65, 129),
        (2, 160, 64, 256),
        (1, 512, 77, 300),
        (1, 512, 1, 33),
        (2, 8, 257, 31),
        (2, 24, 100, 40),
        (3, 36, 41, 81),
        (2, 7, 50, 61),
        (1, 4, 33, 1),
        (1, 1, 3, 2),
        (2, 40, 1, 1),
        (1, 100, 70, 45),
        (1, 320, 35, 70),
        (8, 40, 300, 77),
        (2, 160, 64, 77),
    ]
    .map(|(heads, head_dim, queries, keys)| Case { heads, head_dim, queries, keys, ..PLAIN })
    .into();
    cases.extend([
        Case { blend: Some(0.75), ..PLAIN },
        Case { blend: Some(0.3), head_dim: 160, temperature: 1.5, ..PLAIN },
        Case { blend: Some(1.0), head_dim: 7, ..PLAIN },
        Case { temperature: 1.5, keys: 77, ..PLAIN },
        Case { temperature: 0.1, head_dim: 512, heads: 1, ..PLAIN },
        Case { batch: 2, heads: 3, blend: Some(0.5), ..PLAIN },
        Case { batch: 3, heads: 1, head_dim: 512, queries: 37, ..PLAIN },
        // Scores of some hundreds: exp() would overflow if the largest score were not subtracted.
        Case { magnitude: 1024.0, ..PLAIN },
        Case { magnitude: 512.0, head_dim: 160, temperature: 1.5, ..PLAIN },
    ]);
    cases
}

/// Pseudo-random numbers (xorshift) within ±`magnitude`, in steps of `magnitude` / 64, which f16 holds exactly. Sums of
/// their products are exact in f32, so that a large score is rounded only when it is scaled.
fn numbers(count: usize, magnitude: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) % 129) as f32 / 64.0 * magnitude - magnitude
    })
    .take(count)
    .collect()
}

/// Operands as the network has them: `[batch, tokens, heads·head_dim]`.
struct Operands {
    q: Vec<f32>,
    other: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Operands {
    fn of(case: &Case) -> Self {
        let count = |tokens| case.batch * tokens * case.heads * case.head_dim;
        let queries = |seed| numbers(count(case.queries), case.magnitude, seed);
        let others = |seed| numbers(count(case.keys), 1.0, seed);
        Self { q: queries(1), other: queries(2), k: others(3), v: others(4) }
    }
}

/// Attention by the definition, one query at a time: `[batch, checked queries, heads·head_dim]`.
fn expected(case: &Case, operands: &Operands) -> Vec<f64> {
    let &Case { batch, heads, head_dim, queries, keys, every, .. } = case;
    let width = heads * head_dim;
    let scale = f64::from(case.scale());
    let gamma = f64::from(case.blend.unwrap_or(0.0));
    let mut out = Vec::new();
    let tokens = (0..batch).flat_map(|b| (0..queries).step_by(every).map(move |t| (b, t)));
    for (b, t, h) in tokens.flat_map(|(b, t)| (0..heads).map(move |h| (b, t, h))) {
        let query_at = (b * queries + t) * width + h * head_dim;
        let key_at = |key| (b * keys + key) * width + h * head_dim;
        let query: Vec<f64> = (query_at..query_at + head_dim)
            .map(|i| gamma * f64::from(operands.other[i]) + (1.0 - gamma) * f64::from(operands.q[i]))
            .collect();
        let logs = logs(t, case.groups);
        let scores: Vec<f64> = (0..keys)
            .map(|key| {
                let products = query.iter().zip(&operands.k[key_at(key)..]).map(|(q, k)| q * f64::from(*k));
                let log = logs.get(group_of(key, keys, case.groups)).copied().unwrap_or(0.0);
                products.sum::<f64>() * scale + f64::from(log)
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut row = vec![0.0; head_dim];
        for (key, weight) in weights.iter().enumerate() {
            for (sum, value) in row.iter_mut().zip(&operands.v[key_at(key)..]) {
                *sum += weight / total * f64::from(*value);
            }
        }
        out.extend(row);
    }
    out
}

/// The output of the kernels `which` on `device`, in the order of [`expected`].
fn computed(case: &Case, operands: &Operands, which: Kernels, device: &Device, dtype: DType) -> Vec<f64> {
    let &Case { batch, heads, head_dim, queries, keys, every, .. } = case;
    let split = |values: &[f32], tokens| {
        let data = TensorData::new(values.to_vec(), [batch, tokens, heads * head_dim]);
        Tensor::<3>::from_data(data, (device, dtype)).reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2)
    };
    let _chosen = Chosen::new(which);
    let out = attention(Attend {
        q: split(&operands.q, queries),
        blend: case.blend.map(|gamma| (split(&operands.other, queries), gamma)),
        k: split(&operands.k, keys),
        v: split(&operands.v, keys),
        scale: case.scale(),
        groups: groups(case, device),
    });
    assert_eq!((out.dims(), out.dtype()), ([batch, heads, queries, head_dim], dtype), "{case:?}");
    let numbers: Vec<f64> = out.swap_dims(1, 2).into_data().iter::<f64>().collect();
    numbers
        .chunks(queries * heads * head_dim)
        .flat_map(|batch| batch.chunks(heads * head_dim).step_by(every).flatten())
        .copied()
        .collect()
}

/// Asserts that the implementations are close enough to the definition, on the GPU also in f16 if its shaders have it.
fn check(case: &Case, on_cpu: bool, on_gpu: &[Kernels]) {
    let operands = Operands::of(case);
    let expected = expected(case, &operands);
    let largest = expected.iter().fold(0f64, |max, x| max.max(x.abs()));
    let close = |which, device: &Device, dtype| {
        let ours = computed(case, &operands, which, device, dtype);
        assert_eq!(ours.len(), expected.len());
        // A NaN is beyond any tolerance.
        let furthest = |max: f64, x: f64| if x <= max { max } else { x };
        let worst = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, furthest);
        let tolerance = if dtype == DType::F16 { F16_TOLERANCE } else { F32_TOLERANCE };
        assert!(worst <= tolerance * largest, "{which:?} {dtype:?}: {worst:e} off of {largest} for {case:?}");
    };
    if on_cpu {
        close(Kernels::Reference, &device::cpu(), DType::F32);
    }
    let Some((gpu, adapter)) = support::gpu() else { return };
    for which in on_gpu {
        close(*which, gpu, DType::F32);
        if adapter.shader_f16 {
            close(*which, gpu, DType::F16);
        }
    }
}

#[test]
fn attention_is_the_definition() {
    for case in cases() {
        check(&case, true, &[Kernels::Reference, Kernels::Software, Kernels::Hardware]);
    }
}

#[test]
fn groups_of_keys_weigh_as_they_should() {
    let grouped = Case { groups: 2, ..PLAIN };
    // Four styles and the content: more columns than one vec4 has.
    let five = Case { groups: 5, blend: Some(0.75), temperature: 1.5, ..PLAIN };
    for case in [
        grouped,
        Case { head_dim: 64, keys: 97, blend: Some(0.75), temperature: 1.5, ..grouped },
        Case { head_dim: 7, batch: 2, heads: 3, blend: Some(1.0), ..grouped },
        Case { head_dim: 160, queries: 50, keys: 60, ..grouped },
        Case { head_dim: 512, heads: 1, queries: 33, keys: 40, ..grouped },
        // The score that stands for a weight of 0 must be far below all other scores, whatever the scale.
        Case { temperature: 100.0, ..grouped },
        Case { temperature: 0.01, ..grouped },
        Case { temperature: 1e-4, head_dim: 160, ..grouped },
        five,
        Case { head_dim: 64, keys: 97, batch: 2, ..five },
        Case { head_dim: 160, queries: 50, keys: 60, ..five },
        Case { head_dim: 7, blend: None, keys: 33, ..five },
        Case { head_dim: 504, heads: 1, queries: 33, keys: 40, ..five },
        Case { temperature: 100.0, ..five },
    ] {
        check(&case, true, &[Kernels::Reference, Kernels::Software, Kernels::Hardware]);
    }
}

#[test]
fn attention_in_parts_is_the_definition() {
    for case in LARGE {
        check(&case, false, &[Kernels::Software, Kernels::Hardware]);
    }
}
