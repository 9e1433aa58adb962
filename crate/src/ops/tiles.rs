//! Which tiles the kernels for GPUs run with, by class of shapes: what a trial on this GPU found best, or else a rule.

use std::sync::atomic::{AtomicU8, Ordering};

/// Shapes for which the same tiles are best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Attention with heads of up to 40 numbers.
    Heads40,
    /// Attention with heads of up to 64 numbers.
    Heads64,
    /// Attention with heads of up to 80 numbers.
    Heads80,
    /// Attention with heads of up to 160 numbers.
    Heads160,
    /// Convolutions whose result has some large blocks, but too few to fill the largest GPUs.
    Convolutions,
    /// Convolutions whose result has a few large blocks.
    SmallConvolutions,
    /// Linear layers with as many blocks as [`Class::Convolutions`].
    Linears,
    /// Linear layers with as many blocks as [`Class::SmallConvolutions`].
    SmallLinears,
}

/// Invocations of attention along queries and keys; each has four of either.
pub const ATTENTION: [[usize; 2]; 3] = [[16, 10], [16, 8], [8, 16]];

/// Names of [`ATTENTION`]'s tiles, as queries by keys.
const HEADS: [&str; 3] = ["64 × 40", "64 × 32", "32 × 64"];

/// Names of a product's tiles, as rows by columns.
const PRODUCT: [&str; 3] = ["64 × 64", "128 × 128", "64 × 128"];

impl Class {
    /// All of them, those first that a run spends most time in.
    pub const ALL: [Self; 8] = [
        Self::Heads40,
        Self::Convolutions,
        Self::Linears,
        Self::SmallConvolutions,
        Self::SmallLinears,
        Self::Heads80,
        Self::Heads160,
        Self::Heads64,
    ];

    /// Its name in reports and where choices are kept.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heads40 => "attention 40",
            Self::Heads64 => "attention 64",
            Self::Heads80 => "attention 80",
            Self::Heads160 => "attention 160",
            Self::Convolutions => "convolution",
            Self::SmallConvolutions => "small convolution",
            Self::Linears => "linear",
            Self::SmallLinears => "small linear",
        }
    }

    /// The class of heads of `width` vectors of four, or none: wider ones have tiles by rule.
    pub const fn of_heads(width: usize) -> Option<Self> {
        match width {
            0..=10 => Some(Self::Heads40),
            11..=16 => Some(Self::Heads64),
            17..=20 => Some(Self::Heads80),
            21..=40 => Some(Self::Heads160),
            _ => None,
        }
    }

    /// Names of the tiles it can have.
    pub const fn tiles(self) -> &'static [&'static str] {
        match self {
            Self::Heads40 | Self::Heads64 | Self::Heads80 | Self::Heads160 => &HEADS,
            Self::Convolutions | Self::SmallConvolutions | Self::Linears | Self::SmallLinears => &PRODUCT,
        }
    }

    /// The tiles that a trial gave it, as an index into [`Class::tiles`], or none.
    pub fn chosen(self) -> Option<usize> {
        CHOSEN[self as usize].load(Ordering::Relaxed).checked_sub(1).map(usize::from)
    }

    /// Gives it other tiles, for all threads and devices; `None` leaves them to the rule.
    pub fn choose(self, index: Option<usize>) {
        let after = index.filter(|&index| index < self.tiles().len()).map_or(0, |index| index as u8 + 1);
        CHOSEN[self as usize].store(after, Ordering::Relaxed);
    }
}

/// For each class the index of its tiles, plus one; 0 for those of the rule.
static CHOSEN: [AtomicU8; Class::ALL.len()] = [const { AtomicU8::new(0) }; Class::ALL.len()];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_names_of_their_own_and_every_tile_has_one() {
        let names: std::collections::BTreeSet<_> = Class::ALL.map(Class::name).into();
        assert_eq!(names.len(), Class::ALL.len());
        for ([rows, columns], name) in ATTENTION.into_iter().zip(HEADS) {
            assert_eq!(format!("{} × {}", 4 * rows, 4 * columns), name);
        }
    }
}
