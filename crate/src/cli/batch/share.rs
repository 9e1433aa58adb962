//! Which pairs of pictures a run makes, and in which order: so that few pictures are inverted twice.

use std::collections::BTreeSet;
use std::str::FromStr;

/// A content and a style, by their places among all.
pub type Pair = (usize, usize);

/// One of several runs that share the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            _ => Err("a share is K/N, such as 2/8: the second of eight".into()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// This share's pairs, of all pairs of `contents` contents and `styles` styles. They depend on these numbers alone.
    pub fn pairs(self, contents: usize, styles: usize) -> Vec<Pair> {
        let cut = |strips: usize| shares(contents, styles, self.of, strips);
        // An inversion takes as long as a reverse pass. The share that takes longest decides, then all together.
        let work = |pairs: &Vec<Pair>| {
            let distinct = |of: fn(&Pair) -> usize| pairs.iter().map(of).collect::<BTreeSet<_>>().len();
            pairs.len() + distinct(|pair| pair.0) + distinct(|pair| pair.1)
        };
        let cost = |strips: &usize| {
            let works: Vec<usize> = cut(*strips).iter().map(work).collect();
            (works.iter().max().copied(), works.iter().sum::<usize>())
        };
        let most = contents.min(self.of).clamp(1, MOST_STRIPS);
        let strips = (1..=most).min_by_key(cost).unwrap_or(1);
        cut(strips).swap_remove(self.number - 1)
    }
}

/// More strips of contents are not tried.
const MOST_STRIPS: usize = 64;

/// All pairs in `of` shares: contents in so many strips, each with its part of the shares, which go through its styles.
fn shares(contents: usize, styles: usize, of: usize, strips: usize) -> Vec<Vec<Pair>> {
    let mut shares = Vec::with_capacity(of);
    for strip in 0..strips {
        let [from, to] = [strip, strip + 1].map(|strip| contents * strip / strips);
        let parts = of * (strip + 1) / strips - of * strip / strips;
        let pairs: Vec<Pair> = (0..styles).flat_map(|style| (from..to).map(move |content| (content, style))).collect();
        for part in 0..parts {
            let [from, to] = [part, part + 1].map(|part| pairs.len() * part / parts);
            shares.push(pairs[from..to].to_vec());
        }
    }
    shares
}

/// Brings pairs into the order in which a run goes that can keep `kept` contents: so many at a time, through all styles.
pub fn order(pairs: &mut [Pair], kept: usize) {
    let contents: BTreeSet<usize> = pairs.iter().map(|pair| pair.0).collect();
    let contents: Vec<usize> = contents.into_iter().collect();
    let place = |content: usize| contents.binary_search(&content).unwrap_or_default();
    pairs.sort_by_key(|&(content, style)| (place(content) / kept.max(1), style, content));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inverted(pairs: &[Pair]) -> usize {
        let distinct = |of: fn(&Pair) -> usize| pairs.iter().map(of).collect::<BTreeSet<_>>().len();
        distinct(|pair| pair.0) + distinct(|pair| pair.1)
    }

    #[test]
    fn shares_have_every_pair_once_and_are_alike() {
        for (contents, styles, of) in [(3, 4, 1), (3, 4, 3), (20, 40, 7), (20, 40, 8), (1, 5, 3), (5, 1, 3), (2, 2, 9)]
        {
            let shares: Vec<_> = (1..=of).map(|number| Shard { number, of }.pairs(contents, styles)).collect();
            let all: BTreeSet<Pair> = shares.iter().flatten().copied().collect();
            assert_eq!(all.len(), contents * styles);
            assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), contents * styles);
            let [least, most] = [shares.iter().map(Vec::len).min(), shares.iter().map(Vec::len).max()];
            assert!(most <= least.map(|least| least + 1 + contents * styles / of / 3), "{contents} {styles} {of}");
        }
    }

    #[test]
    fn a_share_inverts_few_pictures() {
        let inverted =
            |of: usize| (1..=of).map(|number| inverted(&Shard { number, of }.pairs(20, 40))).max().expect("a share");
        assert_eq!(inverted(1), 60);
        // Ten photos with ten paintings each, where whole columns would be twenty with five.
        assert_eq!(inverted(8), 20);
        assert!(inverted(7) <= 27);
        assert_eq!(inverted(800), 2);
    }

    #[test]
    fn contents_come_back_while_they_are_kept() {
        let mut pairs = Shard { number: 1, of: 1 }.pairs(4, 3);
        order(&mut pairs, 2);
        let expected: Vec<Pair> =
            [0, 2].iter().flat_map(|&from| (0..3).flat_map(move |style| [(from, style), (from + 1, style)])).collect();
        assert_eq!(pairs, expected);
        order(&mut pairs, 100);
        assert_eq!(pairs[..5], [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]);
    }

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!("2/8".parse(), Ok(Shard { number: 2, of: 8 }));
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
