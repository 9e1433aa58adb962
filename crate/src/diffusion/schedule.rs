//! The noise schedule ᾱ and the grid of timesteps.

use crate::weights::config::{SchedulerConfig, TimestepSpacing};
use crate::{Error, Result};

/// Type in which the product ᾱ is accumulated. The two reference implementations differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphas {
    /// diffusers: f32.
    F32,
    /// The paper's LDM: f64 with one rounding at the end.
    F64,
}

/// How a reference implementation builds its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// How ᾱ is computed.
    pub alphas: Alphas,
    /// The fewest steps that it can run.
    pub least_steps: usize,
}

/// ᾱ at every training timestep, and the timesteps of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// ᾱ of each training timestep, descending from nearly 1.
    pub alphas_cumprod: Vec<f32>,
    /// The timesteps of a run, ascending.
    pub timesteps: Vec<usize>,
    /// Distance between neighbours in `timesteps`, as DDIM computes it.
    pub ratio: usize,
    /// ᾱ before the first timestep.
    first: f32,
}

impl Schedule {
    /// The schedule of `steps` DDIM steps on the `grid` of a reference implementation. The paper's has its own timesteps
    /// ("leading", offset 1) whatever the config says.
    ///
    /// # Errors
    /// Says how many steps are possible, or that the reference implementation does not support such a schedule.
    pub fn new(config: &SchedulerConfig, grid: Grid, steps: usize) -> Result<Self> {
        let trained = config.num_train_timesteps;
        let least = grid.least_steps;
        // At `trained` steps the grid 1, 2, … would end one beyond the last trained timestep.
        if !(least..trained).contains(&steps) {
            return Err(Error::Settings(format!("Steps must be between {least} and {}, not {steps}.", trained - 1)));
        }
        if config.rescale_betas_zero_snr && grid.alphas == Alphas::F64 {
            return Err(Error::Settings(
                "This model's noise schedule ends in nothing but noise (rescale_betas_zero_snr), which the version ldm does \
                 not know; use the version diffusers."
                    .into(),
            ));
        }
        let alphas_cumprod = match grid.alphas {
            Alphas::F32 => alphas_f32(config),
            Alphas::F64 => alphas_f64(config),
        };
        let timesteps = match grid.alphas {
            Alphas::F32 => spaced(config, steps),
            Alphas::F64 => leading(trained, steps, 1),
        };
        let first = if config.set_alpha_to_one { 1.0 } else { alphas_cumprod[0] };
        Ok(Self { alphas_cumprod, timesteps, ratio: trained / steps, first })
    }

    /// ᾱ at timestep `t`.
    pub fn alpha(&self, t: usize) -> f32 {
        self.alphas_cumprod[t]
    }

    /// ᾱ one step before `t`. At the start of the grid it is ᾱ₀ in this family, or 1 where the config says so
    /// (`set_alpha_to_one`).
    pub fn alpha_before(&self, t: usize) -> f32 {
        t.checked_sub(self.ratio).map_or(self.first, |before| self.alphas_cumprod[before])
    }

    /// The last trained timestep, where the paper's inversion ends.
    pub fn last(&self) -> usize {
        self.alphas_cumprod.len() - 1
    }
}

/// i·⌊N/n⌋ + `offset`, diffusers' "leading".
fn leading(trained: usize, steps: usize, offset: usize) -> Vec<usize> {
    (0..steps).map(|i| i * (trained / steps) + offset).collect()
}

/// The timesteps of diffusers' `DDIMScheduler.set_timesteps`, ascending, rounded as numpy does: halves to the even number.
fn spaced(config: &SchedulerConfig, steps: usize) -> Vec<usize> {
    let trained = config.num_train_timesteps;
    let (n, of) = (steps as f64, trained as f64);
    match config.timestep_spacing {
        TimestepSpacing::Leading => leading(trained, steps, config.steps_offset),
        TimestepSpacing::Linspace if steps == 1 => vec![0],
        TimestepSpacing::Linspace => {
            (0..steps).map(|i| ((of - 1.0) / (n - 1.0) * i as f64).round_ties_even() as usize).collect()
        }
        // Counted down from the last one, which is always used.
        TimestepSpacing::Trailing => {
            (0..steps).rev().map(|i| (of - i as f64 * (of / n)).round_ties_even() as usize - 1).collect()
        }
    }
}

/// Every β of the config in f32: `torch.linspace(√β₀, √β₁, n)²`, filled from both ends as torch does.
fn betas_f32(config: &SchedulerConfig) -> Vec<f32> {
    if let Some(betas) = &config.trained_betas {
        return betas.iter().map(|&beta| beta as f32).collect();
    }
    let n = config.num_train_timesteps;
    let (start, end) = (config.beta_start.sqrt() as f32, config.beta_end.sqrt() as f32);
    let step = (end - start) / (n - 1) as f32;
    let root = |i: usize| if i < n / 2 { start + step * i as f32 } else { end - step * (n - 1 - i) as f32 };
    (0..n).map(|i| root(i) * root(i)).collect()
}

/// The cumulative product of 1 − β. It is accumulated in f64 and rounded at every entry, as in torch's `cumprod` on the
/// CPU.
fn cumprod(betas: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut product = 1f64;
    betas
        .map(|beta| {
            product *= f64::from(1.0 - beta);
            product as f32
        })
        .collect()
}

fn alphas_f32(config: &SchedulerConfig) -> Vec<f32> {
    let alphas = cumprod(betas_f32(config).into_iter());
    if !config.rescale_betas_zero_snr {
        return alphas;
    }
    // Lin et al. 2024, algorithm 1, as diffusers computes it: √ᾱ is shifted to end at 0, then scaled to its first value.
    let roots: Vec<f32> = alphas.iter().map(|alpha| alpha.sqrt()).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let scale = first / (first - last);
    let squares: Vec<f32> = roots.iter().map(|root| (root - last) * scale).map(|root| root * root).collect();
    let ratios = squares.iter().enumerate().map(|(i, &now)| if i == 0 { now } else { now / squares[i - 1] });
    cumprod(ratios.map(|alpha| 1.0 - alpha))
}

fn alphas_f64(config: &SchedulerConfig) -> Vec<f32> {
    product_f64(config).into_iter().map(|alpha| alpha as f32).collect()
}

/// ᾱ in f64, without rescaling to zero terminal SNR.
fn product_f64(config: &SchedulerConfig) -> Vec<f64> {
    let n = config.num_train_timesteps;
    let (start, end) = (config.beta_start.sqrt(), config.beta_end.sqrt());
    let step = (end - start) / (n - 1) as f64;
    let root = |i: usize| if i < n / 2 { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 };
    let beta = |i: usize| config.trained_betas.as_ref().map_or_else(|| root(i) * root(i), |betas| betas[i]);
    let mut product = 1f64;
    (0..n)
        .map(|i| {
            product *= 1.0 - beta(i);
            product
        })
        .collect()
}

/// ᾱ at each trained timestep, in f64 throughout: near timestep 0, f32 would leave 1 − ᾱ only five digits.
pub(super) fn alphas_exact(config: &SchedulerConfig) -> Vec<f64> {
    let alphas = product_f64(config);
    if !config.rescale_betas_zero_snr {
        return alphas;
    }
    // As in `alphas_f32`: √ᾱ is shifted to end at 0, then scaled to its first value.
    let root = |alpha: f64| alpha.sqrt();
    let (first, last) = (root(alphas[0]), root(alphas[alphas.len() - 1]));
    let scale = first / (first - last);
    alphas.into_iter().map(|alpha| ((root(alpha) - last) * scale).powi(2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFUSERS: Grid = Grid { alphas: Alphas::F32, least_steps: 1 };
    const LDM: Grid = Grid { alphas: Alphas::F64, least_steps: 2 };

    #[test]
    fn the_grid_is_leading_with_offset_one() {
        let config = SchedulerConfig::default();
        let schedule = Schedule::new(&config, DIFFUSERS, 20).expect("20 steps are possible");
        assert_eq!(schedule.timesteps[..3], [1, 51, 101]);
        assert_eq!(schedule.timesteps[19], 951);
        assert_eq!(schedule.alpha_before(51), schedule.alpha(1));
        assert_eq!(schedule.alpha_before(1), schedule.alpha(0));
        let odd = Schedule::new(&config, LDM, 3).expect("3 steps are possible");
        assert_eq!(odd.timesteps, [1, 334, 667]);
    }

    #[test]
    fn impossible_steps_are_refused() {
        let config = SchedulerConfig::default();
        for (grid, steps) in [(DIFFUSERS, 0), (DIFFUSERS, 1000), (LDM, 1)] {
            let error = Schedule::new(&config, grid, steps).expect_err("out of range");
            assert!(error.to_string().contains("Steps must be between"), "{error}");
        }
        assert!(Schedule::new(&config, DIFFUSERS, 999).is_ok());
    }

    #[test]
    fn timesteps_are_spaced_as_diffusers_does() {
        let of = |timestep_spacing, steps_offset, steps| {
            let config = SchedulerConfig { timestep_spacing, steps_offset, ..SchedulerConfig::default() };
            Schedule::new(&config, DIFFUSERS, steps).expect("possible").timesteps
        };
        // numpy: np.arange(1000, 0, -250).round() - 1 and np.linspace(0, 999, 4).round().
        assert_eq!(of(TimestepSpacing::Trailing, 1, 4), [249, 499, 749, 999]);
        assert_eq!(of(TimestepSpacing::Trailing, 1, 3), [332, 666, 999]);
        assert_eq!(of(TimestepSpacing::Linspace, 1, 4), [0, 333, 666, 999]);
        assert_eq!(of(TimestepSpacing::Linspace, 1, 1), [0]);
        assert_eq!(of(TimestepSpacing::Leading, 0, 4), [0, 250, 500, 750]);
        let trailing = SchedulerConfig { timestep_spacing: TimestepSpacing::Trailing, ..SchedulerConfig::default() };
        let paper = Schedule::new(&trailing, LDM, 4).expect("possible");
        assert_eq!(paper.timesteps, [1, 251, 501, 751], "the paper's code has timesteps of its own");
    }

    #[test]
    fn a_schedule_can_end_in_nothing_but_noise() {
        let config = SchedulerConfig {
            rescale_betas_zero_snr: true,
            timestep_spacing: TimestepSpacing::Trailing,
            set_alpha_to_one: true,
            ..SchedulerConfig::default()
        };
        let schedule = Schedule::new(&config, DIFFUSERS, 4).expect("possible");
        assert_eq!(schedule.alpha(999), 0.0);
        // diffusers' own value.
        assert!((schedule.alpha(951) - 0.000_559_591_2).abs() < 1e-9, "{}", schedule.alpha(951));
        assert_eq!(schedule.alpha_before(249), 1.0);
        let error = Schedule::new(&config, LDM, 4).expect_err("the paper's code does not know it");
        assert!(error.to_string().contains("use the version diffusers"), "{error}");
    }

    #[test]
    fn betas_can_be_given_one_by_one() {
        let config = SchedulerConfig {
            trained_betas: Some(vec![0.5, 0.5, 0.75]),
            num_train_timesteps: 3,
            ..SchedulerConfig::default()
        };
        for grid in [DIFFUSERS, LDM] {
            assert_eq!(Schedule::new(&config, grid, 2).expect("possible").alphas_cumprod, [0.5, 0.25, 0.0625]);
        }
    }
}
