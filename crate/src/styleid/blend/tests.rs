//! What the shares of several styles add up to, and areas without a style.

use burn::tensor::Tensor;

use super::{Blend, Map, Mix, Style, StylePart};
use crate::device::{self, Place, Precision};
use crate::model::attention::KeyValue;
use crate::ops::attention::Groups;

fn place() -> Place {
    Place::new(device::cpu(), Precision::F64, 0).expect("the processor computes in f64")
}

const GRID: [usize; 2] = [2, 3];

fn map(values: [f32; 6]) -> Option<Map> {
    Some(Map { grid: GRID, values: values.into() })
}

fn part(weight: f32, map: Option<Map>) -> StylePart {
    StylePart { weight, map, latents: GRID }
}

fn mix(parts: Vec<StylePart>) -> Mix {
    Mix::new(Blend::Together, parts, GRID).expect("they can be attended together")
}

fn numbers(x: Tensor<4>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

#[test]
fn only_the_proportions_of_weights_count() {
    let shares = |weights: [f32; 2]| mix(weights.map(|weight| part(weight, None)).into()).shares(0);
    assert_eq!(shares([0.25, 0.75]), [[0.25], [0.75]]);
    assert_eq!(shares([2.0, 6.0]), shares([0.25, 0.75]));
    let alone = mix(vec![part(0.3, None)]);
    assert_eq!(alone.shares(0), [[1.0]]);
    assert!(alone.layer(0, &place()).groups().is_none(), "one style has no groups");
}

#[test]
fn masks_share_each_cell_and_leave_the_rest_plain() {
    let two =
        mix(vec![part(1.0, map([1.0, 1.0, 0.5, 0.0, 0.0, 0.25])), part(3.0, map([0.0, 1.0, 0.0, 0.0, 1.0, 0.25]))]);
    assert_eq!(two.shares(0), [[1.0, 0.25, 1.0, 0.25, 0.0, 0.25], [0.0, 0.75, 0.0, 0.75, 1.0, 0.75]]);
    let covered = two.coverage(0, &place()).expect("not everything is covered");
    assert_eq!((covered.dims(), numbers(covered)), ([1, 1, 2, 3], vec![1.0, 1.0, 0.5, 0.0, 1.0, 0.5]));
    let layer = two.layer(1, &place());
    let own =
        || KeyValue { k: Tensor::ones([1, 1, 2, 4], &device::cpu()), v: Tensor::ones([1, 1, 2, 4], &device::cpu()) };
    let replacement = layer.replacement(vec![own(), own()], Vec::new()).expect("two of two");
    assert_eq!(replacement.keys_values.k.dims(), [1, 1, 4, 4]);
    let share = replacement.share.expect("not everything is covered");
    assert_eq!((share.dims(), numbers(share)), ([1, 1, 2, 1], vec![0.75, 0.5]), "columns 0 to 1, then column 2");
    let groups = layer.groups().expect("two groups");
    assert_eq!(groups.members.dims(), [1, 1, 4, 4]);
    assert_eq!(numbers(groups.members)[..12], [1., 0., 0., 0., 1., 0., 0., 0., 0., 1., 0., 0.]);
    // Means of the masks: 0.5 and 0.5, then 0.375 and 0.125; times the weights 0.5 to 1.5, then 0.375 to 0.375.
    let expected = [0.25f32.ln(), 0.75f32.ln(), 0.0, 0.0, 0.5f32.ln(), 0.5f32.ln(), 0.0, 0.0];
    for (ours, expected) in numbers(groups.logs).iter().zip(expected) {
        assert!((ours - expected).abs() < 1e-6, "{ours} is not {expected}");
    }
}

#[test]
fn a_mask_of_all_ones_is_no_mask() {
    let masked = mix(vec![part(1.0, map([1.0; 6])), part(1.0, map([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]))]);
    assert!(masked.coverage(0, &place()).is_none() && masked.coverage(1, &place()).is_none());
    let ones = mix(vec![part(1.0, map([1.0; 6]))]);
    assert!(ones.parts[0].map.is_none());
    let halves = mix(vec![part(1.0, map([0.5; 6])), part(1.0, map([0.75; 6]))]);
    assert!(halves.coverage(0, &place()).is_none(), "masks that add up to more than 1 cover all");
    assert!(!part(1.0, map([0.0; 6])).counts() && !part(0.0, None).counts() && part(1e-9, None).counts());
}

#[test]
fn a_share_is_a_share_whatever_the_size() {
    let small = StylePart { latents: [1, 3], ..part(1.0, None) };
    let mix = mix(vec![part(1.0, None), small]);
    let groups = mix.layer(0, &place()).groups().expect("two are together");
    let (logs, members) = (numbers(groups.logs), numbers(groups.members));
    let weight = |style: usize| members.chunks(4).map(|key| key[style] * logs[style].exp()).sum::<f32>();
    assert_eq!(members.len(), 4 * (6 + 3));
    assert!((weight(0) - weight(1)).abs() < 1e-6, "{} and {}", weight(0), weight(1));
}

/// The attention that each group's keys get together from the query `row`.
fn weights(groups: &Groups, count: usize, row: usize) -> Vec<f32> {
    let columns = Groups::columns(count);
    let (logs, members) = (numbers(groups.logs.clone()), numbers(groups.members.clone()));
    let keys = |group: usize| members.chunks(columns).map(|key| key[group]).sum::<f32>();
    (0..count).map(|group| keys(group) * logs[row * columns + group].exp()).collect()
}

#[test]
fn the_content_is_one_more_group_and_the_styles_stay_what_they_are() {
    let own = |keys, value| {
        let x = Tensor::full([1, 1, keys, 4], value, &device::cpu());
        KeyValue { k: x.clone(), v: x }
    };
    let other = StylePart { latents: [1, 3], ..part(1.0, None) };
    for (blend, parts, expected) in [
        (Blend::Together, vec![part(1.0, None)], vec![1.0]),
        (Blend::Together, vec![other.clone()], vec![1.0]),
        (Blend::Together, vec![part(1.0, None), part(3.0, None), other, part(2.0, None)], vec![1.0, 3.0, 1.0, 2.0]),
        (Blend::Average, vec![part(1.0, None)], vec![1.0]),
        (Blend::Average, vec![part(1.0, None), part(3.0, None)], vec![1.0]),
    ] {
        let styles: Vec<KeyValue> = parts.iter().map(|part| own(part.latents.iter().product(), 1.0)).collect();
        let mix = Mix::new(blend, parts, GRID).expect("of one size").sharing(0.25);
        let layer = mix.layer(0, &place());
        let groups = layer.groups().expect("beside the styles there is the content");
        let ours = weights(&groups, expected.len() + 1, 0);
        let total: f32 = expected.iter().sum();
        let all: f32 = ours[..expected.len()].iter().sum();
        for (ours, expected) in ours.iter().zip(expected.iter().chain(&[0.25 * total])) {
            assert!((ours / all - expected / total).abs() < 1e-6, "{ours} of {all} is not {expected} of {total}");
        }
        let KeyValue { k, .. } = layer.replacement(styles, vec![own(6, 2.0)]).expect("all are there").keys_values;
        let keys = groups.members.dims()[2];
        assert_eq!(k.dims()[2], keys, "a row of members for each key");
        assert!(numbers(k)[4 * (keys - 6)..].iter().all(|&x| x == 2.0), "the content's are last");
    }
    // With masks the content has its share in every cell.
    let two =
        mix(vec![part(1.0, map([1.0, 1.0, 0.5, 0.0, 0.0, 0.25])), part(3.0, map([0.0, 1.0, 0.0, 0.0, 1.0, 0.25]))]);
    let (plain, shared) = (two.layer(0, &place()), two.sharing(0.5).layer(0, &place()));
    let (plain, shared) = (plain.groups().expect("two"), shared.groups().expect("three"));
    for row in 0..6 {
        let (before, after) = (weights(&plain, 2, row), weights(&shared, 3, row));
        assert_eq!(before, after[..2]);
        assert!((after[2] - 0.5 * (before[0] + before[1])).abs() < 1e-5, "{after:?}");
    }
    let unshared = mix(vec![part(0.3, None)]).sharing(0.0);
    assert!(unshared.layer(0, &place()).groups().is_none(), "a share of 0 is none");
}

#[test]
fn what_cannot_be_averaged_gets_a_sentence() {
    let average = |parts| Mix::new(Blend::Average, parts, GRID).map_err(|error| error.to_string());
    let other = StylePart { latents: [3, 3], ..part(1.0, None) };
    assert!(average(vec![part(1.0, None), other.clone()]).is_err_and(|said| said.contains("one size")));
    let masked = part(1.0, map([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
    assert!(average(vec![part(1.0, None), masked.clone()]).is_err_and(|said| said.contains("masks")));
    assert!(average(vec![masked]).is_ok() && average(vec![other]).is_ok(), "one is not averaged");
    assert!(average(vec![part(1.0, None), part(1.0, map([1.0; 6]))]).is_ok());
}

#[test]
fn wrong_numbers_of_styles_and_weights_get_a_sentence() {
    let picture = image::RgbImage::new(1, 1);
    let style = |weight| Style { weight, ..Style::alone(&picture) };
    for (styles, part) in [
        (vec![], "1 to 4 styles, not 0"),
        (vec![style(1.0); 5], "not 5"),
        (vec![style(1.0), style(-0.5)], "not -0.5"),
        (vec![style(f32::NAN)], "not NaN"),
        (vec![style(f32::INFINITY)], "not inf"),
        (vec![style(0.0), style(0.0)], "weight 0"),
    ] {
        let error = Style::check(&styles).expect_err("wrong");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(Style::check(&[style(0.0), style(3.0)]).is_ok());
}
