//! Films: the frames' order, and which of them a repeated run has to paint again. Each frame depends on all before it.

use std::cmp::Ordering;
use std::path::Path;

use styleid::styleid::FilmCaption;

use super::job::{Job, sha};

/// Brings jobs into the order in which films are painted: one after another, each from its first frame on.
pub fn order(jobs: &mut [Job]) {
    jobs.sort_by(|a, b| a.pair.1.cmp(&b.pair.1).then_with(|| natural(&a.content, &b.content)));
}

/// Compares names as people number them: frame 2 comes before frame 10.
fn natural(a: &Path, b: &Path) -> Ordering {
    let [a, b] = [a, b].map(|path| path.to_string_lossy().into_owned());
    let (mut a, mut b) = (a.as_str(), b.as_str());
    loop {
        let [(text_a, number_a, rest_a), (text_b, number_b, rest_b)] = [a, b].map(part);
        // A number without its leading zeros is larger if it has more digits.
        let order = text_a
            .cmp(text_b)
            .then_with(|| number_a.len().cmp(&number_b.len()))
            .then_with(|| number_a.cmp(number_b))
            .then_with(|| (rest_a.len() + number_a.len()).cmp(&(rest_b.len() + number_b.len())));
        let is_end = rest_a.is_empty() || rest_b.is_empty();
        if text_a != text_b || number_a != number_b || is_end {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// What stands before the first number, this number without leading zeros, and the rest.
fn part(name: &str) -> (&str, &str, &str) {
    let start = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (text, rest) = name.split_at(start);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    (text, number.trim_start_matches('0'), rest)
}

/// Where a run is in its films.
pub struct Films {
    weight: f32,
    /// The styles of the film in hand.
    set: Option<usize>,
    /// A hash of the frames so far; `None` before the first.
    before: Option<String>,
    /// The place of the last job of this film that is not there yet; all jobs before it have to be painted.
    last: Option<usize>,
}

impl Films {
    /// Before the first film; attention gives the frame before this weight.
    pub fn new(weight: f32) -> Self {
        Self { weight, set: None, before: None, last: None }
    }

    /// Weight of the frame before.
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// Whether `job` begins another film.
    pub fn is_next(&self, job: &Job) -> bool {
        self.set != Some(job.pair.1)
    }

    /// Begins the film of `job`, whose last job that is not there yet has the place `last`.
    pub fn begin(&mut self, job: &Job, last: Option<usize>) {
        *self = Self { set: Some(job.pair.1), last, ..Self::new(self.weight) };
    }

    /// Whether the job at this place has to be painted, for itself or for a later one.
    pub fn needs(&self, at: usize) -> bool {
        self.last.is_some_and(|last| at <= last)
    }

    /// What the caption of the next frame says.
    pub fn caption(&self) -> FilmCaption {
        FilmCaption { weight: self.weight, before: self.before.clone() }
    }

    /// Adds a frame with this hash of its picture.
    pub fn add(&mut self, content: &str) {
        let before = self.before.as_deref().unwrap_or_default();
        self.before = Some(sha(format!("{before} {content}").as_bytes()));
    }

    /// Forgets the frames so far, after another device took over: the next frame does not see them.
    pub fn forget(&mut self) {
        self.before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_in_the_order_of_their_numbers() {
        let sorted =
            ["f/1.png", "f/2.png", "f/010.png", "f/10b.png", "f/11.png", "f/x1y2.png", "f/x1y10.png", "g/0.png"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(natural(Path::new(a), Path::new(b)), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(natural(Path::new("07"), Path::new("7")), Ordering::Equal, "{}", "a sort keeps their order");
    }

    #[test]
    fn films_are_painted_one_after_another_from_their_first_frame() {
        let job = |pair, content: &str| Job { pair, content: content.into(), styles: vec![], out: "".into() };
        let mut jobs = vec![job((0, 0), "f10"), job((0, 1), "f10"), job((1, 0), "f9"), job((1, 1), "f9")];
        order(&mut jobs);
        let pairs: Vec<_> = jobs.iter().map(|job| job.pair).collect();
        assert_eq!(pairs, [(1, 0), (0, 0), (1, 1), (0, 1)]);
    }

    #[test]
    fn a_frame_s_caption_names_all_frames_before_it() {
        let mut films = Films::new(0.5);
        assert_eq!(films.caption(), FilmCaption { weight: 0.5, before: None });
        films.add("a");
        let after_a = films.caption();
        films.add("b");
        let after_b = films.caption();
        assert!(after_a.before.is_some() && after_a != after_b);
        let mut others = Films::new(0.5);
        others.add("b");
        others.add("a");
        assert_ne!(others.caption(), after_b, "the order counts");
        let job = Job { pair: (0, 3), content: "f".into(), styles: vec![], out: "".into() };
        assert!(films.is_next(&job));
        films.begin(&job, Some(4));
        assert!(!films.is_next(&job) && films.caption().before.is_none());
        assert!(films.needs(4) && !films.needs(5));
    }
}
