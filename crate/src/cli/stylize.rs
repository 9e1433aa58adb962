//! `styleid stylize`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ArgAction;
use image::RgbImage;
use indicatif::BinaryBytes;
use styleid::memory;
use styleid::picture::Crop;
use styleid::platform::Here;
use styleid::styleid::session::Outcome;
use styleid::styleid::{Caption, MadeOf};
use styleid::{Control, Error, Params, Result, Session, trace};

use super::bars::Bars;
use super::batch::names::{Template, check_distinct, stem};
use super::batch::pictures::{expand, is_file, pattern};
use super::batch::share::Pair;
use super::batch::{Batch, BatchArgs, Job, sha};
use super::engine::{EngineArgs, PIPE, picture_of, prepare_folder, read_file, write_file};
use super::method::MethodArgs;
use super::stop::Stop;
use super::styles::{StyleArgs, Styles};

/// The underscored aliases are the flags of the authors' Python programs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    /// Picture whose content is kept, or "-" for standard input; several, a folder or a pattern such as 'photos/*.jpg' for
    /// several results.
    // If the flag is given twice, the last counts; all values of one flag count.
    #[arg(long, alias = "cnt_fn", value_name = "PICTURE", required = true, num_args = 1.., action = ArgAction::Set)]
    content: Vec<PathBuf>,
    /// The part of the photo to use, as x,y,width,height in its pixels.
    #[arg(long, value_name = "CROP", allow_hyphen_values = true)]
    crop: Option<Crop>,
    #[command(flatten)]
    styles: StyleArgs,
    /// Where the result goes, as PNG, or "-" for standard output. Several results go to a folder, or where a name says in which
    /// {content}, {style} and {look} stand for theirs; those that are there already are not made again. Without it:
    /// CONTENT_in_STYLE.png in --save-dir, or CONTENT_in_STYLE+STYLE.png.
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Folder for the result where --out is not given.
    #[arg(long, alias = "save_dir", value_name = "DIR", default_value = "results")]
    save_dir: PathBuf,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    batch: BatchArgs,
    /// The photos are the frames of a film, by their numbers: each is painted like the one before. Its attention also sees the
    /// result before, with this weight beside the paintings' 1 [default with the flag alone: 0.001].
    #[arg(long, value_name = "WEIGHT", num_args = 0..=1, default_missing_value = "0.001", value_parser = weight)]
    steady: Option<f32>,
    /// Tell programs on standard output what happens, one JSON object a line: started, step, done, failed.
    #[arg(long)]
    json_lines: bool,
    /// Say at the end how often the UNet was called, and how much of the GPU's memory the run took.
    #[arg(long)]
    stats: bool,
    /// Also write every intermediate tensor to this file.
    #[arg(long, value_name = "FILE.safetensors")]
    trace: Option<PathBuf>,
}

/// Memory that a run took, for measurements.
fn stats(outcome: &Outcome) -> String {
    let (on_device, in_main) = outcome.feature_bytes;
    let memory = match memory::peak() {
        Some(peak) => format!("at most {} in use, {} reserved", BinaryBytes(peak.in_use), BinaryBytes(peak.reserved)),
        None => "none, the run was on the processor".into(),
    };
    format!(
        "UNet evaluations: {}\nfeatures: {} on the device, {} in main memory\nGPU memory: {memory}",
        outcome.unet_calls,
        BinaryBytes(on_device),
        BinaryBytes(in_main)
    )
}

/// The styles of each result.
fn sets(flags: &[Vec<PathBuf>]) -> Result<Vec<Vec<PathBuf>>> {
    match flags {
        [one] => Ok(expand(one)?.into_iter().map(|style| vec![style]).collect()),
        several => {
            let is_one = |files: &Vec<PathBuf>| matches!(&files[..], [file] if is_file(file));
            if !several.iter().all(is_one) {
                return Err(Error::Settings(
                    "Several flags --style are blended in one result, so each must name one file; for a result in each style \
                     give one --style with all of them."
                        .into(),
                ));
            }
            Ok(vec![several.iter().flatten().cloned().collect()])
        }
    }
}

fn weight(text: &str) -> std::result::Result<f32, String> {
    let weight = text.parse().ok().filter(|weight| *weight > 0.0 && *weight <= 100.0);
    weight.ok_or_else(|| "a weight is above 0 and at most 100; the paintings' is 1".into())
}

fn names(styles: &[PathBuf]) -> String {
    styles.iter().map(|style| stem(style)).collect::<Vec<_>>().join("+")
}

impl Args {
    /// Whether one photo gets one result in one file, as `--out` names it.
    fn is_single(&self) -> bool {
        let styles = &self.styles.style.0;
        let is_one = |files: &[PathBuf]| matches!(files, [file] if is_file(file));
        let is_folder = self.out.as_ref().is_some_and(|out| {
            let name = out.to_string_lossy();
            out.is_dir() || name.ends_with(['/', std::path::MAIN_SEPARATOR]) || name.contains('{')
        });
        is_one(&self.content) && (styles.len() > 1 || styles.iter().all(|files| is_one(files))) && !is_folder
    }

    fn target(&self, content: &Path, styles: &[PathBuf]) -> PathBuf {
        let name = || {
            let content = if content == Path::new(PIPE) { "stdin".into() } else { stem(content) };
            self.save_dir.join(format!("{content}_in_{}.png", names(styles)))
        };
        self.out.clone().unwrap_or_else(name)
    }

    /// The results to make: those of this shard.
    fn jobs(&self) -> Result<Vec<Job>> {
        let (contents, sets) = (expand(&self.content)?, sets(&self.styles.style.0)?);
        if contents.iter().chain(sets.iter().flatten()).any(|path| path == Path::new(PIPE)) {
            return Err(Error::Settings(
                "Standard input is one picture without a name; give --out a file or -, and leave out --json-lines."
                    .into(),
            ));
        }
        let job = |pair @ (content, set): Pair, out| Job {
            pair,
            content: contents[content].clone(),
            styles: sets[set].clone(),
            out,
        };
        let names_png = |out: &PathBuf| {
            let name = out.to_string_lossy().to_lowercase();
            name.ends_with(".png") && !name.contains('{') && !out.is_dir()
        };
        // A folder or a pattern may match one picture.
        let is_one = contents.len() == 1 && sets.len() == 1 && self.out.as_ref().is_some_and(names_png);
        if is_one || self.is_single() {
            self.batch.refuse()?;
            return Ok(vec![job((0, 0), self.target(&contents[0], &sets[0]))]);
        }
        let out = self.out.as_ref().unwrap_or(&self.save_dir);
        if out.is_file() || names_png(out) {
            return Err(Error::Settings(format!(
                "Several results do not go into one file, {}; give --out a folder, or a name with {{content}} and {{style}}.",
                out.display()
            )));
        }
        let (template, look) = (Template::new(&out.to_string_lossy())?, self.method.name());
        let file = |(content, set): Pair| template.file(&stem(&contents[content]), &names(&sets[set]), &look);
        let all = || (0..contents.len()).flat_map(|content| (0..sets.len()).map(move |set| (content, set)));
        let files: Vec<(PathBuf, String)> = all()
            .map(|pair| (file(pair), format!("{} in {}", contents[pair.0].display(), names(&sets[pair.1]))))
            .collect();
        self.refuse_own_results(out, files.iter().map(|(file, _)| file.as_path()))?;
        check_distinct(files.iter().map(|(file, pair)| (file.as_path(), pair.clone())))?;
        let pairs = self.batch.shard.map_or_else(|| all().collect(), |shard| shard.pairs(contents.len(), sets.len()));
        Ok(pairs.into_iter().map(|pair| job(pair, file(pair))).collect())
    }

    /// Without this check a repeated run would take its own results for photos.
    fn refuse_own_results<'a>(&self, out: &Path, mut results: impl Iterator<Item = &'a Path>) -> Result<()> {
        let named = || self.content.iter().chain(self.styles.style.0.iter().flatten());
        let out = out.canonicalize().unwrap_or_else(|_| out.into());
        let is_among = named().filter(|named| named.is_dir()).filter_map(|named| named.canonicalize().ok());
        let patterns: Vec<_> = named().filter(|named| !is_file(named)).filter_map(|named| pattern(named)).collect();
        if is_among.into_iter().any(|folder| folder == out)
            || results.any(|result| patterns.iter().any(|pattern| pattern.matches_path(result)))
        {
            return Err(Error::Settings(format!(
                "The results would lie among the pictures in {}; give --out a folder of its own.",
                out.display()
            )));
        }
        Ok(())
    }

    async fn run_many(&self) -> Result<()> {
        if self.trace.is_some() {
            return Err(Error::Settings(
                "A trace is of one result; name one photo and one painting for --trace.".into(),
            ));
        }
        let params = self.method.params()?;
        let jobs = self.jobs()?;
        if let Some(job) = jobs.first() {
            self.styles.check(job.styles.len())?;
        }
        if self.steady.is_some() && self.batch.shard.is_some() {
            return Err(Error::Settings(
                "The frames of a film depend on each other and cannot be shared out; leave out --shard, or run a command for                  each painting."
                    .into(),
            ));
        }
        let batch = Batch {
            engine: &self.engine,
            styles: &self.styles,
            params: &params,
            crop: self.crop,
            batch: &self.batch,
            steady: self.steady,
            json: self.json_lines,
            stats: self.stats,
        };
        batch.run(jobs).await
    }

    async fn run_one(&self) -> Result<()> {
        let started = Instant::now();
        self.batch.refuse()?;
        if self.steady.is_some() {
            return Err(Error::Settings("One picture is no film; name the folder of its frames for --steady.".into()));
        }
        let params = self.method.params()?;
        // One photo, as `is_single` found.
        let path = &self.content[0];
        let bytes = read_file(path)?;
        let content = picture_of(path, &bytes, None)?;
        let paths: Vec<&PathBuf> = self.styles.style.0.iter().flatten().collect();
        let files = paths.iter().map(|style| read_file(style)).collect::<Result<Vec<_>>>()?;
        let files: Vec<(&Path, &[u8])> =
            paths.iter().zip(&files).map(|(path, bytes)| (path.as_path(), bytes.as_slice())).collect();
        let styles = self.styles.read(&files, self.crop.as_ref(), content.dimensions())?;
        let content = match &self.crop {
            Some(crop) => crop.cut(&path.display().to_string(), &content)?,
            None => content,
        };
        let target = self.target(path, &paths.into_iter().cloned().collect::<Vec<_>>());
        prepare_folder(&target)?;
        if let Some(trace) = &self.trace {
            prepare_folder(trace)?;
        }

        let stop = Stop::listen();
        let bars = Bars::new();
        let on_progress = |progress| bars.show(progress);
        let on_notice = |notice: &str| bars.say(notice);
        let cancelled = || stop.is_asked();
        let control = Control::new(&Here, &on_progress, &cancelled).with_notices(&on_notice);
        let made_of = MadeOf {
            model: None,
            content: sha(&bytes),
            styles: files.iter().map(|(_, bytes)| sha(bytes)).collect(),
            masks: self.styles.masks().map(|mask| Ok(sha(&read_file(mask)?))).collect::<Result<_>>()?,
            precision: self.engine.asked_precision(),
        };
        let one = One { content, styles, params, made_of };
        let options = self.engine.options(self.trace.is_some());
        let session = self.engine.session(options, &control).await?;
        // An inversion from the folder has no latents between the picture and the noise, which a trace needs.
        let mut session = if self.trace.is_some() { session } else { session.with_shelf(self.batch.shelf()?) };
        let (png, mut said) = match self.make(&mut session, &one, &control).await {
            Err(error) if self.engine.may_give_up(&session, &error) => {
                session = self.engine.after_failure(session, &error, options, &control).await?;
                self.make(&mut session, &one, &control).await?
            }
            made => made?,
        };
        if target == Path::new(PIPE) {
            let failed = |error| Error::File(format!("Standard output cannot be written: {error}."));
            let mut out = std::io::stdout().lock();
            out.write_all(&png).and_then(|()| out.flush()).map_err(failed)?;
        } else {
            write_file(&target, &png)?;
        }
        let name = if target == Path::new(PIPE) { "standard output".into() } else { target.display().to_string() };
        said[0] = format!("{name} ({}) in {:.1} s", said[0], started.elapsed().as_secs_f32());
        for line in said {
            // A pipe gets the picture alone.
            if target == Path::new(PIPE) { eprintln!("{line}") } else { println!("{line}") }
        }
        Ok(())
    }

    /// The result as PNG, and lines about it of which the first is its size.
    async fn make(&self, session: &mut Session, one: &One, control: &Control<'_>) -> Result<(Vec<u8>, Vec<String>)> {
        // The session lends its inversions to the outcome, so the trace gets a handle of the pipeline of its own.
        let pipeline = session.pipeline.clone();
        session.trace(self.trace.is_some());
        memory::begin();
        let outcome = session.run(&one.content, &one.styles.borrowed(), &one.params, control).await?;
        let captions = self.styles.captions(one.made_of.styles.len());
        let (model, weights) = (&pipeline.model, self.engine.options(false).weights);
        let made_of = MadeOf { model: model.fingerprint.clone(), ..one.made_of.clone() };
        let caption = Caption::of_run(&model.info, weights, &one.params, self.crop, captions).with_made_of(made_of);
        let png = caption.png(&outcome.image)?;
        if let Some(trace) = &self.trace {
            trace::write(trace, &pipeline, &outcome).await?;
        }
        let (width, height) = outcome.image.dimensions();
        let mut said = vec![format!("{width} × {height}")];
        if self.stats {
            said.push(stats(&outcome));
        }
        Ok((png, said))
    }
}

/// What one result is made of.
struct One {
    content: RgbImage,
    styles: Styles,
    params: Params,
    made_of: MadeOf,
}

pub async fn run(args: Args) -> Result<()> {
    if args.is_single() && !args.json_lines { args.run_one().await } else { args.run_many().await }
}
