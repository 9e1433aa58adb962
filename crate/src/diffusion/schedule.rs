//! The noise schedule ᾱ and the grid of timesteps.

use crate::weights::config::SchedulerConfig;
use crate::{Error, Result};

/// In which type ᾱ is multiplied up. The two reference implementations differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphas {
    /// diffusers: f32.
    F32,
    /// The paper's LDM: f64 with one rounding at the end.
    F64,
}

/// What a reference implementation says about its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// How ᾱ is computed.
    pub alphas: Alphas,
    /// The fewest steps that it can run.
    pub least_steps: usize,
}

/// ᾱ at every training timestep, and the "leading" grid of the steps that are run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// ᾱ of each training timestep, descending from nearly 1.
    pub alphas_cumprod: Vec<f32>,
    /// The timesteps of a run, ascending: 1, 1 + ratio, … ("leading", offset 1).
    pub timesteps: Vec<usize>,
    /// Distance between neighbours in `timesteps`.
    pub ratio: usize,
}

impl Schedule {
    /// The schedule of `steps` DDIM steps on the `grid` of a reference implementation.
    ///
    /// # Errors
    /// Says how many steps are possible.
    pub fn new(config: &SchedulerConfig, grid: Grid, steps: usize) -> Result<Self> {
        let trained = config.num_train_timesteps;
        let least = grid.least_steps;
        // At `trained` steps the grid 1, 2, … would end one beyond the last trained timestep.
        if !(least..trained).contains(&steps) {
            return Err(Error::Settings(format!("Steps must be between {least} and {}, not {steps}.", trained - 1)));
        }
        let alphas_cumprod = match grid.alphas {
            Alphas::F32 => alphas_f32(config),
            Alphas::F64 => alphas_f64(config),
        };
        let ratio = trained / steps;
        Ok(Self { alphas_cumprod, timesteps: (0..steps).map(|i| i * ratio + 1).collect(), ratio })
    }

    /// ᾱ at timestep `t`.
    pub fn alpha(&self, t: usize) -> f32 {
        self.alphas_cumprod[t]
    }

    /// ᾱ one step before `t`; at the start of the grid ᾱ₀, since `set_alpha_to_one` is false in this family.
    pub fn alpha_before(&self, t: usize) -> f32 {
        self.alphas_cumprod[t.saturating_sub(self.ratio)]
    }

    /// The last trained timestep, where the paper's inversion ends.
    pub fn last(&self) -> usize {
        self.alphas_cumprod.len() - 1
    }
}

/// `torch.linspace(√β₀, √β₁, n)²` in f32, filled from both ends as torch does; the product runs in f64 and rounds at
/// every entry, which is torch's `cumprod` on the CPU.
fn alphas_f32(config: &SchedulerConfig) -> Vec<f32> {
    let n = config.num_train_timesteps;
    let (start, end) = (config.beta_start.sqrt() as f32, config.beta_end.sqrt() as f32);
    let step = (end - start) / (n - 1) as f32;
    let mut product = 1f64;
    (0..n)
        .map(|i| {
            let root = if i < n / 2 { start + step * i as f32 } else { end - step * (n - 1 - i) as f32 };
            product *= f64::from(1.0 - root * root);
            product as f32
        })
        .collect()
}

fn alphas_f64(config: &SchedulerConfig) -> Vec<f32> {
    let n = config.num_train_timesteps;
    let (start, end) = (config.beta_start.sqrt(), config.beta_end.sqrt());
    let step = (end - start) / (n - 1) as f64;
    let mut product = 1f64;
    (0..n)
        .map(|i| {
            let root = if i < n / 2 { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 };
            product *= 1.0 - root * root;
            product as f32
        })
        .collect()
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
}
