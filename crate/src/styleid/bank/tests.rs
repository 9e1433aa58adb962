//! A bank gives back what was inserted, wherever it was stored meanwhile.

use burn::tensor::Tensor;

use super::{Bank, Keeping};
use crate::device::{self, Place, Precision};
use crate::styleid::features::{Key, KeyValue, Query};

const STEPS: usize = 3;
const LAYERS: [usize; 2] = [7, 8];

fn place(precision: Precision) -> Place {
    Place::new(device::cpu(), precision, 0).expect("the processor computes in both")
}

/// Numbers of many magnitudes, including f16 subnormals. Their count is odd.
fn features(level: usize, layer: usize, precision: Precision) -> KeyValue {
    let tensor = |seed: usize| -> Tensor<4> {
        let value = |i: usize| ((i * 37 + seed) % 101) as f32 * 1.000_123 * 10f32.powi((i % 9) as i32 - 8) - 1e-4;
        place(precision).tensor((0..3 * 5 * 7).map(value).collect(), [1, 3, 5, 7])
    };
    KeyValue { k: tensor(level), v: tensor(layer + 50) }
}

fn filled(keeping: Keeping, precision: Precision) -> Bank<KeyValue> {
    let mut bank = Bank::new(keeping);
    for level in 0..STEPS {
        for layer in LAYERS {
            bank.insert(Key { layer, level }, features(level, layer, precision));
        }
        pollster::block_on(bank.enforce_budget()).expect("the processor gives its memory");
    }
    bank
}

fn bits(x: &Tensor<4>) -> (Vec<f64>, burn::tensor::DType) {
    (x.to_data().iter::<f64>().collect(), x.dtype())
}

fn assert_same(ours: &Bank<KeyValue>, other: &Bank<KeyValue>) {
    for level in 0..STEPS {
        for layer in LAYERS {
            let of = |bank: &Bank<KeyValue>| {
                let feature = bank.fetch(Key { layer, level }).expect("captured").feature().expect("two tensors");
                (bits(&feature.k), bits(&feature.v))
            };
            assert_eq!(of(ours), of(other));
        }
    }
}

#[test]
fn spilled_features_are_the_same_bits() {
    for precision in [Precision::F32, Precision::F64] {
        for halves in [true, false] {
            let whole = filled(Keeping { halves, device_bytes: u64::MAX }, precision);
            let (all, none) = whole.bytes();
            assert_eq!(none, 0);
            let value = if halves { 2 } else { place(precision).dtype().size() } as u64;
            // An odd number of halves is padded by one.
            let each = if halves { 106 } else { 105 };
            assert_eq!(all, (STEPS * LAYERS.len() * 2) as u64 * each * value);
            for device_bytes in [0, all / 2, all - 1] {
                let spilled = filled(Keeping { halves, device_bytes }, precision);
                let (held, main) = spilled.bytes();
                assert!(held <= device_bytes && held + main == all, "{held} of {device_bytes}, {main} of {all}");
                assert_same(&spilled, &whole);
            }
        }
    }
}

#[test]
fn exact_features_are_what_was_captured_and_halves_its_nearest() {
    for precision in [Precision::F32, Precision::F64] {
        let exact = filled(Keeping { halves: false, device_bytes: 0 }, precision);
        let halves = filled(Keeping { halves: true, device_bytes: 0 }, precision);
        let given = features(1, 8, precision).k;
        let key = Key { layer: 8, level: 1 };
        let k = |bank: &Bank<KeyValue>| bank.fetch(key).expect("captured").feature().expect("two tensors").k;
        assert_eq!(bits(&k(&exact)), bits(&given));
        let nearest = |x: &f64| half::f16::from_f64(*x).to_f64();
        assert_eq!(bits(&k(&halves)).0, bits(&given).0.iter().map(nearest).collect::<Vec<_>>());
        assert_eq!(k(&halves).dtype(), given.dtype());
    }
}

#[test]
fn what_the_reverse_pass_needs_first_stays_on_the_device() {
    let all = filled(Keeping::EXACT, Precision::F32).bytes().0;
    let bank = filled(Keeping { halves: false, device_bytes: all / STEPS as u64 }, Precision::F32);
    let on_device = |level| {
        let parts = LAYERS.iter().flat_map(|&layer| bank.parts(Key { layer, level }).expect("captured"));
        parts.filter(|part| matches!(part, super::Location::Device(_))).count()
    };
    assert_eq!([on_device(0), on_device(1), on_device(2)], [0, 0, 4]);
}

#[test]
fn what_was_never_captured_is_named() {
    let bank = filled(Keeping::EXACT, Precision::F32);
    let error = bank.fetch(Key { layer: 9, level: 1 }).expect_err("layer 9 is not there");
    assert!(error.to_string().contains("style was inverted without layer 9 at noise level 1"), "{error}");
    let bank = Bank::<Query>::default();
    let error = bank.check(Key { layer: 7, level: 0 }).expect_err("nothing is there");
    assert!(error.to_string().contains("content"), "{error}");
}
