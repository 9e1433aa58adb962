//! The run itself.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sha2::{Digest, Sha256};
use styleid::picture::{Crop, check_whole};
use styleid::platform::Here;
use styleid::styleid::plan::Plan;
use styleid::styleid::{Caption, MadeOf};
use styleid::weights::checkpoint::stream::hex;
use styleid::{Control, Error, Params, Result, Session};

use super::BatchArgs;
use super::report::{Event, Report};
use super::share::{Pair, order};
use crate::cli::engine::{EngineArgs, picture_of, prepare_results, read_file, write_file};
use crate::cli::stop::Stop;
use crate::cli::styles::StyleArgs;

/// One result.
#[derive(Debug, Clone)]
pub struct Job {
    /// By the places of its pictures.
    pub pair: Pair,
    /// The photo.
    pub content: PathBuf,
    /// The styles that are blended in it.
    pub styles: Vec<PathBuf>,
    /// Where it goes.
    pub out: PathBuf,
}

impl Job {
    /// Why it failed, with the name of a picture in it.
    fn named(&self, why: String) -> String {
        let names: Vec<String> =
            std::iter::once(&self.content).chain(&self.styles).map(|path| path.display().to_string()).collect();
        if names.iter().any(|name| why.contains(name)) { why } else { format!("{}: {why}", names.join(" in ")) }
    }
}

/// What makes many results.
pub struct Batch<'a> {
    /// The model and the device.
    pub engine: &'a EngineArgs,
    /// What goes with the styles.
    pub styles: &'a StyleArgs,
    /// The settings.
    pub params: &'a Params,
    /// The part of each photo to use.
    pub crop: Option<Crop>,
    /// What is kept.
    pub batch: &'a BatchArgs,
    /// Whether programs listen.
    pub json: bool,
    /// Whether to say at the end what was called how often.
    pub stats: bool,
}

/// What became of a result.
enum Outcome {
    Made {
        png: Vec<u8>,
        size: (u32, u32),
        content_bytes: u64,
    },
    /// It was there.
    Kept,
}

/// Files that were read, by their hashes or by why they could not be.
#[derive(Default)]
struct Hashes(BTreeMap<PathBuf, Result<String, Rc<str>>>);

impl Hashes {
    fn of(&mut self, path: &Path) -> Result<String> {
        let hash = || read_file(path).map(|bytes| sha(&bytes)).map_err(|error| Rc::from(error.to_string()));
        let known = self.0.entry(path.into()).or_insert_with(hash);
        known.clone().map_err(|why| Error::File(why.to_string()))
    }
}

/// SHA-256 as lowercase hexadecimal.
pub fn sha(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The bytes of a picture of which nothing is missing.
fn read_whole(path: &Path) -> Result<Vec<u8>> {
    let bytes = read_file(path)?;
    check_whole(&path.display().to_string(), &bytes)?;
    Ok(bytes)
}

impl Batch<'_> {
    /// Makes those of `jobs` that are not there yet, and says at the end which could not be made.
    ///
    /// # Errors
    /// Nothing can be made at all, or nothing more; some could not be made.
    pub async fn run(&self, mut jobs: Vec<Job>) -> Result<()> {
        let folders: BTreeSet<&Path> = jobs.iter().filter_map(|job| job.out.parent()).collect();
        for folder in folders {
            prepare_results(folder)?;
        }
        let stop = Stop::listen();
        let report = Report::new(self.json, jobs.len());
        let on_progress = |progress| report.step(progress);
        let on_notice = |notice: &str| report.say(notice);
        let cancelled = || stop.is_asked();
        let control = Control::new(&Here, &on_progress, &cancelled).with_notices(&on_notice);
        let mut options = self.engine.options();
        // Whether two pictures are inverted in one batch depends on what is kept already, and rounding with it: a result shall
        // not depend on which others were made before.
        options.memory.pairs = Some(false);
        let shelf = self.batch.shelf()?;
        let session = self.engine.session_with(options, &control).await?.with_shelf(shelf);
        // What the model cannot do would fail as often as there are results.
        Plan::new(&session.pipeline.model, self.params)?;
        let mut session = Some(session);

        self.sort(&mut jobs, usize::MAX);
        report.expect(self.steps(&jobs));
        let mut hashes = Hashes::default();
        // Why pictures cannot be used, with the results that they leave out.
        let mut failures: BTreeMap<String, usize> = BTreeMap::new();
        let (made, total) = (Cell::new(0_usize), jobs.len());
        let mut at = 0;
        while at < jobs.len() {
            let job = jobs[at].clone();
            let began = report.seconds();
            let (number, of) = (at + 1, total);
            let Job { content, styles, out, .. } = &job;
            let started = Event::Started { content, style: styles, out, number, of, seconds: began };
            report.tell(&started, "");
            let Some(mut runs) = session.take() else { break };
            let mut outcome = self.make(&mut runs, &job, &mut hashes, &control).await;
            if let Err(error) = outcome {
                // A picture that is too large is no reason to give up a GPU that made others.
                let is_lost = matches!(error, Error::Device(_) | Error::Unsupported(_));
                if (made.get() == 0 || is_lost) && self.engine.may_give_up(&runs, &error) {
                    match self.engine.after_failure(runs, &error, options, &control).await {
                        Ok(again) => {
                            runs = again.with_shelf(self.batch.shelf()?);
                            outcome = self.make(&mut runs, &job, &mut hashes, &control).await;
                        }
                        Err(error) => {
                            report.end();
                            return Err(error);
                        }
                    }
                } else {
                    outcome = Err(error);
                }
            }
            session = Some(runs);
            at += 1;
            let seconds = report.seconds();
            match outcome {
                Ok(Outcome::Kept) => report.tell(&Event::Done { out, made: false, seconds }, ""),
                Ok(Outcome::Made { png, size: (width, height), content_bytes }) => {
                    if let Err(error) = write_file(out, &png) {
                        // The next one would not fare better.
                        report.end();
                        return Err(error);
                    }
                    let sentence = format!("{} ({width} × {height}) in {:.1} s", out.display(), seconds - began);
                    report.tell(&Event::Done { out, made: true, seconds }, &sentence);
                    made.set(made.get() + 1);
                    if made.get() == 1 {
                        // How much a content takes is known now.
                        self.sort(&mut jobs[at..], self.batch.contents(content_bytes));
                    }
                }
                Err(Error::Cancelled) => {
                    report.end();
                    eprintln!("{} of {total} results were made; the same command makes the rest.", made.get());
                    return Err(Error::Cancelled);
                }
                Err(error) => {
                    let sentence = error.to_string();
                    report.tell(&Event::Failed { content, out, error: &sentence, seconds }, "");
                    *failures.entry(job.named(sentence)).or_default() += 1;
                }
            }
            report.finished(self.steps(&jobs[at..]));
        }
        report.end();
        self.conclude(total, made.get(), &failures, session.as_ref(), &report)
    }

    /// Says what came of it all.
    fn conclude(
        &self,
        total: usize,
        made: usize,
        failures: &BTreeMap<String, usize>,
        session: Option<&Session>,
        report: &Report,
    ) -> Result<()> {
        let failed: usize = failures.values().sum();
        let there = total - made - failed;
        let out = |line: String| if self.json { eprintln!("{line}") } else { println!("{line}") };
        out(format!("{made} results made, {there} were there already, in {:.1} s", report.seconds()));
        if let Some(session) = session.filter(|_| self.stats) {
            let counters = session.counters();
            out(format!("UNet evaluations: {}", counters.unet_calls()));
            out(format!("inversions: {}, reverse passes: {}", counters.inversions(), counters.reverse_passes()));
        }
        for (why, results) in failures {
            eprintln!("failed: {why} ({results} {})", if *results == 1 { "result" } else { "results" });
        }
        match failed {
            0 => Ok(()),
            failed => Err(Error::Picture(format!("{failed} of {total} results could not be made, as said above."))),
        }
    }

    fn sort(&self, jobs: &mut [Job], kept: usize) {
        let mut pairs: Vec<Pair> = jobs.iter().map(|job| job.pair).collect();
        order(&mut pairs, kept);
        let places: BTreeMap<Pair, usize> = pairs.into_iter().enumerate().map(|(place, pair)| (pair, place)).collect();
        jobs.sort_by_key(|job| places.get(&job.pair).copied());
    }

    /// Steps that these take if nothing is inverted yet.
    fn steps(&self, jobs: &[Job]) -> u64 {
        let contents: BTreeSet<&PathBuf> = jobs.iter().map(|job| &job.content).collect();
        let styles: BTreeSet<&PathBuf> = jobs.iter().flat_map(|job| &job.styles).collect();
        ((jobs.len() + contents.len() + styles.len()) * self.params.steps()) as u64
    }

    /// Makes one result, if it is not there.
    async fn make(
        &self,
        session: &mut Session,
        job: &Job,
        hashes: &mut Hashes,
        control: &Control<'_>,
    ) -> Result<Outcome> {
        control.yield_and_check().await?;
        let made_of = MadeOf {
            model: session.pipeline.model.fingerprint.clone(),
            content: hashes.of(&job.content)?,
            styles: job.styles.iter().map(|style| hashes.of(style)).collect::<Result<_>>()?,
            masks: self.styles.masks().map(|mask| hashes.of(mask)).collect::<Result<_>>()?,
            precision: self.engine.asked_precision(),
        };
        let caption = Caption::of_run(
            &session.pipeline.model.info,
            self.engine.options().weights,
            self.params,
            self.crop,
            self.styles.captions(job.styles.len()),
        )
        .with_made_of(made_of);
        if std::fs::read(&job.out).is_ok_and(|file| caption.is_of(&file)) {
            return Ok(Outcome::Kept);
        }
        let content = picture_of(&job.content, &read_whole(&job.content)?, None)?;
        let files = job.styles.iter().map(|style| read_whole(style)).collect::<Result<Vec<_>>>()?;
        let files: Vec<(&Path, &[u8])> =
            job.styles.iter().zip(&files).map(|(style, bytes)| (style.as_path(), bytes.as_slice())).collect();
        let styles = self.styles.read(&files, self.crop.as_ref(), content.dimensions())?;
        let content = match &self.crop {
            Some(crop) => crop.cut(&job.content.display().to_string(), &content)?,
            None => content,
        };
        let outcome = session.run(&content, &styles.borrowed(), self.params, control).await?;
        let (on_device, in_main) = outcome.content.feature_bytes();
        let content_bytes = on_device + in_main;
        Ok(Outcome::Made { png: caption.png(&outcome.image)?, size: outcome.image.dimensions(), content_bytes })
    }
}
