//! Noise levels at fractional timesteps, for a solver that is not bound to whole ones.

use super::schedule::alphas_exact;
use crate::weights::config::SchedulerConfig;
use crate::{Error, Result};

/// Exponent ρ of the grid: 1 is even in σ, larger values put more levels at low noise (Karras et al. 2022, equation 5).
const RHO: f64 = 7.0;
/// The noisiest level is that of the first "leading" timestep of DDIM with this many steps, as `StyleID` was tuned: 951 of 1000.
const STEPS_OF_NOISIEST: usize = 20;

/// A noise level, and the timestep that the network gets for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// σ: deviation of the noise relative to clean latents of factor 1.
    pub sigma: f64,
    /// The timestep of this noise: a whole number at trained levels, interpolated in ln σ between them.
    pub timestep: f64,
}

impl Level {
    /// Factor of the clean latents: √ᾱ.
    pub fn signal(self) -> f64 {
        (1.0 + self.sigma * self.sigma).sqrt().recip()
    }

    /// Deviation of the noise in the latents: √(1 − ᾱ).
    pub fn noise(self) -> f64 {
        self.sigma * self.signal()
    }
}

/// The levels of a run, from the least noisy to the noisiest.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels(Vec<Level>);

impl Levels {
    /// `count` levels from that of timestep 0 to the noisiest, ρ-spaced (Karras et al. 2022, equation 5).
    ///
    /// # Errors
    /// Says how many are possible.
    pub fn karras(config: &SchedulerConfig, count: usize) -> Result<Self> {
        let sigmas = sigmas(config);
        let trained = sigmas.len();
        if !(2..trained).contains(&count) {
            return Err(Error::Settings(format!("Steps must be between 2 and {}, not {count}.", trained - 1)));
        }
        let noisiest = (trained - trained / STEPS_OF_NOISIEST + 1).min(trained - 1);
        let root = |timestep: usize| sigmas[timestep].powf(RHO.recip());
        let (first, last) = (root(0), root(noisiest));
        let level = |i: usize| {
            let sigma = (first + i as f64 / (count - 1) as f64 * (last - first)).powf(RHO);
            Level { sigma, timestep: timestep_of(sigma, &sigmas) }
        };
        Ok(Self((0..count).map(level).collect()))
    }

    /// All of them.
    pub fn all(&self) -> &[Level] {
        &self.0
    }
}

/// σ at each trained timestep, ascending. If the schedule ends in pure noise (zero terminal SNR), the last is infinite.
fn sigmas(config: &SchedulerConfig) -> Vec<f64> {
    alphas_exact(config).into_iter().map(|alpha| ((1.0 - alpha) / alpha).sqrt()).collect()
}

/// The fractional timestep of `sigma`, interpolated linearly in ln σ between trained ones (k-diffusion's `sigma_to_t`).
fn timestep_of(sigma: f64, sigmas: &[f64]) -> f64 {
    let after = sigmas.partition_point(|&at| at <= sigma);
    match after.checked_sub(1) {
        None => 0.0,
        Some(before) if after == sigmas.len() => before as f64,
        Some(before) => {
            let [from, to] = [sigmas[before], sigmas[after]].map(f64::ln);
            before as f64 + (sigma.ln() - from) / (to - from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from numpy, by the formulas (tests/fixtures/reference/fast.md).
    #[test]
    fn eleven_levels_are_those_of_the_reference() {
        let levels = Levels::karras(&SchedulerConfig::default(), 11).expect("possible");
        let expected = [
            (0.029_167_158_151_720_38, 0.0),
            (0.070_107_411_878_341_98, 4.710_352_504_009_774),
            (0.152_821_955_185_932_47, 24.402_480_241_673_295),
            (0.308_091_409_385_761_35, 84.255_463_794_607_88),
            (0.582_683_409_466_383_1, 204.608_777_002_005_07),
            (1.044_913_169_281_963, 367.120_528_611_156_1),
            (1.791_367_848_027_984_4, 530.192_630_214_312_3),
            (2.954_905_637_261_195, 669.237_340_841_76),
            (4.714_040_487_720_651, 782.068_730_271_778_5),
            (7.303_823_395_206_769, 874.174_679_978_131_3),
            (11.028_331_164_775_215, 951.0),
        ];
        assert_eq!(levels.all().len(), expected.len());
        for (level, (sigma, timestep)) in levels.all().iter().zip(expected) {
            assert!((level.sigma / sigma - 1.0).abs() < 1e-12, "{level:?}");
            assert!((level.timestep - timestep).abs() < 1e-9, "{level:?}");
            let (signal, noise) = (level.signal(), level.noise());
            assert!((signal * signal + noise * noise - 1.0).abs() < 1e-14);
            assert!((noise / signal / sigma - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_schedule_of_nothing_but_noise_ends_before_it() {
        let config = SchedulerConfig { rescale_betas_zero_snr: true, ..SchedulerConfig::default() };
        let levels = Levels::karras(&config, 10).expect("possible");
        let last = levels.all()[9];
        assert!(last.sigma.is_finite() && (last.timestep - 951.0).abs() < 1e-9, "{last:?}");
    }

    #[test]
    fn impossible_counts_are_refused() {
        for count in [0, 1, 1000] {
            let error = Levels::karras(&SchedulerConfig::default(), count).expect_err("out of range");
            assert!(error.to_string().contains("between 2 and 999"), "{error}");
        }
        let short = SchedulerConfig {
            trained_betas: Some(vec![0.5, 0.5, 0.75]),
            num_train_timesteps: 3,
            ..SchedulerConfig::default()
        };
        let levels = Levels::karras(&short, 2).expect("both ends");
        assert_eq!(levels.all().iter().map(|level| level.timestep).collect::<Vec<_>>(), [0.0, 2.0]);
    }
}
