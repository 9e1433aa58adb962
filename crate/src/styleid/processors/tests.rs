//! When features are fetched, and what the network gets from them.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::{Bank, Capture, CaptureBoth, Inject, Injection, Key, KeyValue, LayerMix, Params, Query};
use crate::device::{self, Place, Precision};
use crate::model::attention::{AttentionProcessor, Qkv, SelfAttention};
use crate::styleid::Blend;
use crate::styleid::bank::Keeping;
use crate::styleid::blend::{Mix, StylePart};
use crate::styleid::curve::{Curve, Shape};

fn full(value: f32) -> Tensor<4> {
    Tensor::full([1, 2, 3, 4], value, &device::cpu())
}

fn first(x: Tensor<4>) -> f32 {
    x.into_data().iter::<f32>().next().expect("it is not empty")
}

#[test]
fn the_next_layer_is_on_its_way_before_a_layer_computes() {
    let (mut queries, mut keys_values) = (Bank::<Query>::default(), Bank::<KeyValue>::default());
    for layer in [7, 8] {
        let key = Key { layer, level: 3 };
        queries.insert(key, Query(full(layer as f32)));
        keys_values.insert(key, KeyValue { k: full(10.0 * layer as f32), v: full(100.0 * layer as f32) });
    }
    let params = Params {
        gamma_by_layer: Some(BTreeMap::from([(8, 0.5)])),
        gamma_curve: Some(Curve { curve: Shape::Linear, end: 0.25 }),
        temperature_curve: Some(Curve { curve: Shape::Linear, end: 1.0 }),
        ..Params::default()
    };
    let injection = |layers: &[usize]| Injection {
        content: &queries,
        styles: vec![&keys_values],
        others: Vec::new(),
        mixes: layers.iter().map(|&layer| (layer, LayerMix::default())).collect(),
        params: &params,
    };
    assert!(Inject::new(&injection(&[7, 9]), 3, 0.0).is_err(), "layer 9 was never captured");
    let injection = injection(&[7, 8]);
    let mut inject = Inject::new(&injection, 3, 0.5).expect("all were captured");
    let coming = |inject: &Inject| inject.next.as_ref().map(|source| source.layer);
    let mut through = |layer: usize| {
        let injected = inject.injected(layer, &full(4.0));
        let coming = coming(&inject);
        let own = KeyValue { k: full(1.0), v: full(2.0) };
        let (qkv, share) = injected.unwrap_or((Qkv::plain(full(4.0), own), None));
        let Qkv { q, blend, k, v, temperature, groups } = qkv;
        assert!(groups.is_none() && share.is_none());
        let blend = blend.map(|(query, gamma)| (first(query), gamma));
        (coming, [first(q), first(k), first(v)], blend, temperature)
    };
    assert_eq!(through(6), (Some(7), [4.0, 1.0, 2.0], None, 1.0), "a layer that is not injected keeps its own");
    assert_eq!(through(7), (Some(8), [4.0, 70.0, 700.0], Some((7.0, 0.5)), 1.25));
    assert_eq!(through(8), (None, [4.0, 80.0, 800.0], Some((8.0, 0.375)), 1.25));
    assert_eq!(through(9), (None, [4.0, 1.0, 2.0], None, 1.0));
}

/// Values of one head of width 4, by a formula.
fn tokens(count: usize, seed: usize) -> Vec<f32> {
    (0..4 * count).map(|i| ((i * 29 + seed * 17) % 23) as f32 / 8.0 - 1.25).collect()
}

/// Attention over several sides, written out: exp(T·q̂·k/√d) times a side's share, divided by its number of keys. A side is
/// its keys, its values and its share.
fn plain(q: &[f32], sides: &[(&[f32], &[f32], f64)], temperature: f64) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let mut out = Vec::new();
    for query in q.chunks(4) {
        let (mut sums, mut total) = ([0.0; 4], 0.0);
        for (keys, values, share) in sides {
            let each = share / (keys.len() / 4) as f64;
            for (key, value) in keys.chunks(4).zip(values.chunks(4)) {
                let weight = each * (temperature * dot(query, key) / 2.0).exp();
                total += weight;
                sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight * f64::from(*value));
            }
        }
        out.extend(sums.map(|sum| sum / total));
    }
    out
}

#[test]
fn shares_of_content_and_frame_before_are_what_their_keys_weigh() {
    let place = Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64");
    let tensor = |values: &[f32]| place.tensor(values.to_vec(), [1, 1, values.len() / 4, 4]);
    let (photo, painting) = ([2, 3], [1, 4]);
    let before = [2, 4];
    let [q, photos, k, v, own_k, own_v] =
        [(6, 1), (6, 2), (4, 3), (4, 4), (6, 5), (6, 6)].map(|(count, seed)| tokens(count, seed));
    let [before_k, before_v] = [(8, 7), (8, 8)].map(|(count, seed)| tokens(count, seed));
    let key = Key { layer: 7, level: 0 };
    let params = Params { content_share: 0.4, gamma: 0.25, temperature: 1.5, ..Params::default() };
    // Numbers that f16 represents exactly.
    for (halves, device_bytes) in [(false, u64::MAX), (false, 0), (true, u64::MAX), (true, 0)] {
        let keeping = Keeping { halves, device_bytes };
        let mut queries = Bank::new(keeping);
        let [mut style, mut own, mut frame, mut captured] = std::array::from_fn(|_| Bank::new(keeping));
        queries.insert(key, Query(tensor(&photos)));
        style.insert(key, KeyValue { k: tensor(&k), v: tensor(&v) });
        own.insert(key, KeyValue { k: tensor(&own_k), v: tensor(&own_v) });
        frame.insert(key, KeyValue { k: tensor(&before_k), v: tensor(&before_v) });
        for bank in [&mut style, &mut own, &mut frame] {
            pollster::block_on(bank.enforce_budget()).expect("the processor gives its memory");
        }
        let part = StylePart { weight: 1.0, map: None, latents: painting };
        let mix = Mix::new(Blend::Together, vec![part], photo).expect("one style").sharing(params.content_share);
        let mix = mix.following(Some((before, 0.7)));
        let injection = |own| Injection {
            content: &queries,
            styles: vec![&style],
            others: vec![own, &frame],
            mixes: BTreeMap::from([(7, mix.layer(0, &place))]),
            params: &params,
        };
        let empty = Bank::default();
        assert!(Inject::new(&injection(&empty), 0, 0.0).is_err(), "the content's own were never captured");
        let injection = injection(&own);
        let mut inject = Inject::new(&injection, 0, 0.0).expect("all were captured").capturing(Some(&mut captured));
        let result = || KeyValue { k: tensor(&v), v: tensor(&k) };
        let ours = inject.attend(7, SelfAttention::new(tensor(&q), &result));
        let blended: Vec<f32> = q.iter().zip(&photos).map(|(own, photo)| 0.25 * photo + 0.75 * own).collect();
        let expected = plain(&blended, &[(&k, &v, 1.0), (&own_k, &own_v, 0.4), (&before_k, &before_v, 0.7)], 1.5);
        for (ours, expected) in ours.into_data().iter::<f64>().zip(expected) {
            assert!((ours - expected).abs() < 1e-6, "{ours} is not {expected}");
        }
        let kept = captured.fetch(key).expect("it was captured").feature().expect("two tensors");
        let numbers = |x: Tensor<4>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!((numbers(kept.k), numbers(kept.v)), (v.clone(), k.clone()), "the result's own keys and values");
    }
}

#[test]
fn a_content_s_keys_and_values_are_captured_where_they_are_wanted() {
    let batch = |at: f32| Tensor::cat(vec![full(at), full(at + 0.5)], 0);
    let [mut alone, mut paired] = [Bank::<KeyValue>::default(), Bank::<KeyValue>::default()];
    let (mut queries, mut style) = (Bank::<Query>::default(), Bank::<KeyValue>::default());
    let keys_values = || KeyValue { k: batch(2.0), v: batch(3.0) };
    let capture = Capture { layers: &[7], level: 0, bank: &mut queries, own: Some(&mut paired) };
    let of_style = Capture { layers: &[7], level: 0, bank: &mut style, own: None };
    let mut both = CaptureBoth { content: capture, style: of_style };
    both.attend(7, SelfAttention::new(batch(1.0), &keys_values));
    both.attend(8, SelfAttention::new(batch(1.0), &keys_values));
    let mut queries = Bank::<Query>::default();
    let mut one = Capture { layers: &[7], level: 0, bank: &mut queries, own: Some(&mut alone) };
    one.attend(7, SelfAttention::new(full(1.0), &|| KeyValue { k: full(2.0), v: full(3.0) }));
    let kept = |bank: &Bank<KeyValue>, layer| {
        let feature = bank.fetch(Key { layer, level: 0 }).ok()?.feature()?;
        Some((feature.k.dims(), first(feature.k), first(feature.v)))
    };
    assert_eq!(kept(&paired, 7), Some(([1, 2, 3, 4], 2.0, 3.0)));
    assert_eq!(kept(&alone, 7), kept(&paired, 7));
    assert_eq!(kept(&style, 7), Some(([1, 2, 3, 4], 2.5, 3.5)));
    assert_eq!(kept(&paired, 8), None);
}
