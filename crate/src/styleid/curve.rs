//! Settings that change over the reverse steps.
//!
//! Source of the formulas: Kulkarni 2026, "Scheduled Style Injection", where γ goes from 0.75 to 0.375.

use std::f64::consts::{E, PI};

use serde::{Deserialize, Serialize};

/// How a setting goes from its start, at the first reverse step (a = 0), to its end, at the last (a = 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Shape {
    /// Stays at its start, whatever the end is.
    Constant,
    /// w(a) = a.
    Linear,
    /// w(a) = (1 − cos πa)/2.
    Cosine,
    /// w(a) = √a.
    Sqrt,
    /// w(a) = a².
    Quadratic,
    /// w(a) = (eᵃ − 1)/(e − 1).
    Exponential,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Constant, Self::Linear, Self::Cosine, Self::Sqrt, Self::Quadratic, Self::Exponential];

    /// w(a): the weight of the end value, 0 to 1, at progress `a`, 0 to 1.
    pub fn weight(self, a: f64) -> f64 {
        match self {
            Self::Constant => 0.0,
            Self::Linear => a,
            Self::Cosine => (1.0 - (PI * a).cos()) / 2.0,
            Self::Sqrt => a.sqrt(),
            Self::Quadratic => a * a,
            Self::Exponential => a.exp_m1() / (E - 1.0),
        }
    }
}

/// A setting's way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Curve {
    /// How it goes there.
    pub curve: Shape,
    /// What it is at the last step.
    pub end: f32,
}

impl Curve {
    /// start + (end − start)·w(i/(N − 1)) at reverse step i = `step` of N = `steps`. If the end equals the start, the value
    /// is the start, bit for bit.
    pub fn value(self, start: f32, step: usize, steps: usize) -> f32 {
        self.at(start, if steps > 1 { step as f64 / (steps - 1) as f64 } else { 0.0 })
    }

    /// start + (end − start)·w(a) at progress a = `way` of the reverse pass.
    pub fn at(self, start: f32, way: f64) -> f32 {
        let (from, to) = (f64::from(start), f64::from(self.end));
        (from + (to - from) * self.curve.weight(way)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 6] =
        [Shape::Constant, Shape::Linear, Shape::Cosine, Shape::Sqrt, Shape::Quadratic, Shape::Exponential];

    #[test]
    fn weights_are_those_of_the_paper() {
        for (shape, quarter) in [
            (Shape::Constant, 0.0),
            (Shape::Linear, 0.25),
            (Shape::Cosine, 0.146_446_609_406_726_24),
            (Shape::Sqrt, 0.5),
            (Shape::Quadratic, 0.0625),
            (Shape::Exponential, 0.165_296_176_671_120_04),
        ] {
            assert!((shape.weight(0.25) - quarter).abs() < 1e-12, "{shape:?}: {}", shape.weight(0.25));
        }
    }

    #[test]
    fn a_curve_goes_from_its_start_to_its_end() {
        for shape in ALL {
            let curve = Curve { curve: shape, end: 0.375 };
            assert_eq!(curve.value(0.75, 0, 20), 0.75, "{shape:?}");
            assert_eq!(curve.value(0.75, 19, 20), if shape == Shape::Constant { 0.75 } else { 0.375 }, "{shape:?}");
            assert_eq!(curve.value(0.75, 0, 1), 0.75, "{shape:?} of a single step");
            let values: Vec<f32> = (0..20).map(|step| curve.value(0.75, step, 20)).collect();
            assert!(values.is_sorted_by(|a, b| a >= b), "{shape:?}: {values:?}");
        }
        let curve = Curve { curve: Shape::Cosine, end: 0.375 };
        assert_eq!(curve.value(0.75, 1, 3), 0.5625);
    }

    #[test]
    fn an_end_that_is_the_start_changes_no_bit() {
        for start in [0.75, 0.1, 1.5, 1.0 / 3.0] {
            for (shape, step) in ALL.into_iter().flat_map(|shape| (0..7).map(move |step| (shape, step))) {
                assert_eq!(Curve { curve: shape, end: start }.value(start, step, 7), start);
                assert_eq!(Curve { curve: Shape::Constant, end: 0.9 }.value(start, step, 7), start);
            }
        }
    }
}
