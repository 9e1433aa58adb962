//! When features are fetched, and what the network gets of them.

use burn::tensor::Tensor;

use super::{Bank, Inject, Key, KeyValue, Query};
use crate::device;
use crate::model::attention::{Qkv, SelfAttentionHook};

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
        let key = Key { layer, timestep: 3 };
        queries.insert(key, Query(full(layer as f32)));
        keys_values.insert(key, KeyValue { k: full(10.0 * layer as f32), v: full(100.0 * layer as f32) });
    }
    assert!(Inject::new(&queries, &keys_values, &[7, 9], 3, 0.75, 1.5).is_err(), "layer 9 was never captured");
    let mut inject = Inject::new(&queries, &keys_values, &[7, 8], 3, 0.75, 1.5).expect("all were captured");
    let coming = |inject: &Inject| inject.next.as_ref().map(|source| source.layer);
    let mut through = |layer: usize| {
        let replaced = inject.keys_values(layer);
        let coming = coming(&inject);
        let KeyValue { k, v } = replaced.unwrap_or(KeyValue { k: full(1.0), v: full(2.0) });
        let own = Qkv { q: full(4.0), blend: None, k, v, temperature: 1.0 };
        let Qkv { q, blend, k, v, temperature } = inject.decoder_layer(layer, own);
        let blend = blend.map(|(query, gamma)| (first(query), gamma));
        (coming, [first(q), first(k), first(v)], blend, temperature)
    };
    assert_eq!(through(6), (Some(7), [4.0, 1.0, 2.0], None, 1.0), "a layer that is not injected keeps its own");
    assert_eq!(through(7), (Some(8), [4.0, 70.0, 700.0], Some((7.0, 0.75)), 1.5));
    assert_eq!(through(8), (None, [4.0, 80.0, 800.0], Some((8.0, 0.75)), 1.5));
    assert_eq!(through(9), (None, [4.0, 1.0, 2.0], None, 1.0));
}
