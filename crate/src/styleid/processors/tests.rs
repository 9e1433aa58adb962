//! When features are fetched, and what the network gets of them.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::{Bank, Inject, Injection, Key, KeyValue, LayerMix, Params, Query};
use crate::device;
use crate::model::attention::Qkv;
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
