//! The run itself.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use styleid::picture::{Crop, check_whole};
use styleid::platform::Here;
use styleid::styleid::plan::Plan;
use styleid::styleid::{Caption, FilmCaption, MadeOf};
use styleid::{Control, Error, Params, Result, Session};

use super::BatchArgs;
use super::film::{self, Films};
use super::job::{Job, sha};
use super::report::{Event, Report};
use super::share::{Pair, order};
use crate::cli::engine::{EngineArgs, picture_of, prepare_results, read_file, write_file};
use crate::cli::stop::Stop;
use crate::cli::styles::StyleArgs;

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
    /// In a film, the weight of the frame before.
    pub steady: Option<f32>,
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
        let mut options = self.engine.options(false);
        // Whether two pictures are inverted in one batch depends on what is kept already, and rounding with it: a result shall
        // not depend on which others were made before.
        options.memory.pairs = Some(false);
        let shelf = self.batch.shelf()?;
        let session = self.engine.session(options, &control).await?.with_shelf(shelf);
        // What the model cannot do would fail as often as there are results.
        Plan::new(&session.pipeline.model, self.params)?;
        let mut session = Some(session);

        let mut films = self.steady.map(Films::new);
        if films.is_some() {
            film::order(&mut jobs);
        } else {
            self.sort(&mut jobs, usize::MAX);
        }
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
            if let Some(films) = films.as_mut().filter(|films| films.is_next(&job)) {
                runs.begin_film(Some(films.weight()));
                let last = self.last_missing(&runs, &jobs[at..], films.weight(), &mut hashes);
                films.begin(&job, last.map(|last| at + last));
            }
            let frame = films.as_ref().map(|films| (films.caption(), films.needs(at)));
            let mut outcome = self.make(&mut runs, &job, frame, &mut hashes, &control).await;
            if let Err(error) = outcome {
                // A picture that is too large is no reason to give up a GPU that made others.
                let is_lost = matches!(error, Error::Device(_) | Error::Unsupported(_));
                if (made.get() == 0 || is_lost) && self.engine.may_give_up(&runs, &error) {
                    match self.engine.after_failure(runs, &error, options, &control).await {
                        Ok(again) => {
                            runs = again.with_shelf(self.batch.shelf()?);
                            let frame = films.as_mut().map(|films| {
                                runs.begin_film(Some(films.weight()));
                                films.forget();
                                (films.caption(), true)
                            });
                            outcome = self.make(&mut runs, &job, frame, &mut hashes, &control).await;
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
            // A picture that cannot be used fails in a repeated run too; what failed otherwise is missing from the chain.
            let is_in_chain = matches!(outcome, Ok(_) | Err(Error::Picture(_)));
            if let (Some(films), true, Ok(hash)) = (&mut films, is_in_chain, hashes.of(&job.content)) {
                films.add(&hash);
            }
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
                    if made.get() == 1 && films.is_none() {
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

    /// The place of the last of the first film's `jobs` that is not there. What cannot be read does not count.
    fn last_missing(&self, session: &Session, jobs: &[Job], weight: f32, hashes: &mut Hashes) -> Option<usize> {
        let mut chain = Films::new(weight);
        let mut last = None;
        for (at, job) in jobs.iter().enumerate().take_while(|(_, job)| job.pair.1 == jobs[0].pair.1) {
            let Ok(hash) = hashes.of(&job.content) else { continue };
            let is_there = self
                .caption(session, job, Some(chain.caption()), hashes)
                .is_ok_and(|caption| std::fs::read(&job.out).is_ok_and(|file| caption.is_of(&file)));
            if !is_there {
                last = Some(at);
            }
            chain.add(&hash);
        }
        last
    }

    /// How a result is made.
    fn caption(&self, session: &Session, job: &Job, film: Option<FilmCaption>, hashes: &mut Hashes) -> Result<Caption> {
        let made_of = MadeOf {
            model: session.pipeline.model.fingerprint.clone(),
            content: hashes.of(&job.content)?,
            styles: job.styles.iter().map(|style| hashes.of(style)).collect::<Result<_>>()?,
            masks: self.styles.masks().map(|mask| hashes.of(mask)).collect::<Result<_>>()?,
            precision: self.engine.asked_precision(),
        };
        let caption = Caption::of_run(
            &session.pipeline.model.info,
            self.engine.options(false).weights,
            self.params,
            self.crop,
            self.styles.captions(job.styles.len()),
        );
        Ok(caption.with_film(film).with_made_of(made_of))
    }

    /// Makes one result, if it is not there. A film's `frame` also comes with whether a later one needs it, even if it is there.
    async fn make(
        &self,
        session: &mut Session,
        job: &Job,
        frame: Option<(FilmCaption, bool)>,
        hashes: &mut Hashes,
        control: &Control<'_>,
    ) -> Result<Outcome> {
        control.yield_and_check().await?;
        let is_needed = frame.as_ref().is_some_and(|(_, is_needed)| *is_needed);
        let caption = self.caption(session, job, frame.map(|(caption, _)| caption), hashes)?;
        let is_there = std::fs::read(&job.out).is_ok_and(|file| caption.is_of(&file));
        if is_there && !is_needed {
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
        if is_there {
            return Ok(Outcome::Kept);
        }
        Ok(Outcome::Made { png: caption.png(&outcome.image)?, size: outcome.image.dimensions(), content_bytes })
    }
}
