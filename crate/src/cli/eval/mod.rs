//! `styleid eval`.

mod figures;
mod measures;
mod reuse;
mod settings;

use std::path::{Path, PathBuf};

use image::RgbImage;
use styleid::eval::round_trip::round_trip;
use styleid::eval::sheet::contact_sheet;
use styleid::model::LoadOptions;
use styleid::picture::to_png;
use styleid::platform::Here;
use styleid::styleid::Caption;
use styleid::styleid::plan::Plan;
use styleid::{Control, Error, Params, Pipeline, Result, Session, Style};

use self::figures::{Figures, RoundTrip};
use self::measures::EvalMeasures;
use self::reuse::Reused;
use self::settings::Setting;
use super::bars::Bars;
use super::batch::BatchArgs;
use super::engine::{EngineArgs, prepare_folder, read_picture, write_file};
use super::method::MethodArgs;

/// Side of a picture on the contact sheet.
const CELL: u32 = 192;

/// Measures results: every content of a folder in every style of another. A result is CONTENT_in_STYLE.png in --results;
/// those that are missing are made first.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    batch: BatchArgs,
    /// Folder of content pictures.
    #[arg(long, alias = "cnt", value_name = "DIR")]
    content: PathBuf,
    /// Folder of style pictures.
    #[arg(long, alias = "sty", value_name = "DIR")]
    style: PathBuf,
    /// Folder of results; missing ones are made and written here, and those that are there must have been made likewise.
    #[arg(long, alias = "output_path", value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Compare settings: [{"name": NAME, "settings": {"gamma": 0.5, ...}}, ...], named as on the page, a look by "look": NAME; what
    /// they leave out is as the other flags say. Results are in a folder NAME of --results. Where an entry has no settings, they are only measured.
    #[arg(long, value_name = "FILE.json")]
    compare: Option<PathBuf>,
    /// Make nothing, and measure what is there however it was made: a missing result is an error. After runs with --shard this
    /// measures all results.
    #[arg(long, conflicts_with = "shard")]
    measure_only: bool,
    /// Also invert each content and sample it again without any style, and measure how much of it comes back.
    #[arg(long, conflicts_with_all = ["measure_only", "shard"])]
    round_trip: bool,
    /// Write the table as CSV.
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Write all figures as JSON.
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
    /// Write a contact sheet, in a comparison one for each setting, its NAME before the extension.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// Other weights of LPIPS with AlexNet, as safetensors [default: version 0.1 as f16, built in].
    #[arg(long, value_name = "FILE.safetensors")]
    lpips: Option<PathBuf>,
    /// torchvision's VGG-19 as safetensors: also measure CFSD.
    #[arg(long, value_name = "FILE.safetensors")]
    vgg: Option<PathBuf>,
    /// Inception v3 as safetensors (ArtFID's own for its figures): also measure FID and ArtFID.
    #[arg(long, value_name = "FILE.safetensors")]
    inception: Option<PathBuf>,
}

/// A picture of one of the folders.
struct NamedPicture {
    name: String,
    picture: RgbImage,
}

/// The pictures of a folder by name.
fn sources(folder: &Path) -> Result<Vec<NamedPicture>> {
    let unreadable = |error| Error::File(format!("The folder {} cannot be read: {error}.", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let is_picture = extension
            .is_some_and(|e| ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"].contains(&e.as_str()));
        if is_picture && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::File(format!(
            "There are no pictures in {}; name a folder that has some.",
            folder.display()
        )));
    }
    let source = |path: &PathBuf| {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(NamedPicture { name, picture: read_picture(path, None)? })
    };
    let sources: Vec<NamedPicture> = paths.iter().map(source).collect::<Result<_>>()?;
    if let Some([first, _]) = sources.array_windows().find(|[a, b]| a.name == b.name) {
        return Err(Error::File(format!(
            "Two pictures in {} are called {}, and so would their results; rename one.",
            folder.display(),
            first.name
        )));
    }
    Ok(sources)
}

/// Whose results are made first: where the session keeps features of more layers, or the content's keys and values too, later
/// runs find theirs among them.
fn by_features(settings: &[Setting], pipeline: &Pipeline) -> Result<Vec<usize>> {
    let features =
        |params: &Params| Plan::new(&pipeline.model, params).map(|plan| (plan.layers.len(), plan.shares_content));
    let count = |setting: &Setting| setting.params.as_ref().map_or(Ok((0, false)), features);
    let counts: Vec<(usize, bool)> = settings.iter().map(count).collect::<Result<_>>()?;
    let mut order: Vec<usize> = (0..settings.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(counts[i]));
    Ok(order)
}

impl Args {
    fn settings(&self) -> Result<Vec<Setting>> {
        let params = self.method.params()?;
        match &self.compare {
            Some(path) => settings::read(path, &params, &self.results),
            None => Ok(vec![Setting { name: None, params: Some(params), folder: self.results.clone() }]),
        }
    }

    /// Where a contact sheet goes: among several, the name before the extension.
    fn sheet(&self, setting: &Setting) -> Option<PathBuf> {
        let path = self.sheet.as_ref()?;
        let Some(name) = &setting.name else { return Some(path.clone()) };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
        Some(path.with_file_name(format!("{stem} {name}.png")))
    }

    /// How much of each content comes back with the steps of each setting; nothing where the results are made elsewhere.
    /// In `session` where results were made in one.
    async fn round_trips(
        &self,
        session: Option<Session>,
        contents: &[NamedPicture],
        settings: &[Setting],
    ) -> Result<Vec<Vec<RoundTrip>>> {
        let mut all: Vec<Vec<RoundTrip>> = settings.iter().map(|_| Vec::new()).collect();
        if !self.round_trip {
            return Ok(all);
        }
        let bars = Bars::new();
        let on_progress = |progress| bars.show(progress);
        let control = Control::new(&Here, &on_progress, &|| false);
        let mut session = match session {
            Some(session) => session,
            None => self.session(&control).await?,
        };
        for content in contents {
            for (setting, trips) in settings.iter().zip(&mut all) {
                let Some(params) = &setting.params else { continue };
                let decibels = round_trip(&mut session, &content.picture, params, &control).await?;
                trips.push(RoundTrip { content: content.name.clone(), decibels });
            }
        }
        Ok(all)
    }

    /// What the results that are there say of themselves. Nothing is asked of those that are only measured.
    fn reused(
        &self,
        contents: &[NamedPicture],
        styles: &[NamedPicture],
        settings: &[Setting],
    ) -> Result<Vec<Option<Reused>>> {
        let of = |setting: &Setting| {
            let params = setting.params.as_ref().filter(|_| !self.measure_only)?;
            let all = contents.iter().flat_map(|content| styles.iter().map(move |style| (content, style)));
            let there = all.map(|(content, style)| file(setting, content, style)).filter(|path| path.exists());
            Some(Reused::read(there, params, self.engine.options(false).weights))
        };
        settings.iter().map(|setting| of(setting).transpose()).collect()
    }

    /// Loads the model; its weights are hashed only for a folder of inversions, since no caption here tells of them.
    async fn session(&self, control: &Control<'_>) -> Result<Session> {
        let options = LoadOptions { fingerprint: self.batch.has_folder(), ..self.engine.options(false) };
        self.engine.session(options, control).await
    }

    /// Makes the missing results, if they go with those that are there, and returns the session.
    async fn make(
        &self,
        contents: &[NamedPicture],
        styles: &[NamedPicture],
        settings: &[Setting],
        reused: &[Option<Reused>],
    ) -> Result<Option<Session>> {
        // One style after the other, because inversions are kept.
        let whole = || (0..styles.len()).flat_map(|style| (0..contents.len()).map(move |content| (content, style)));
        let share =
            self.batch.shard.map_or_else(|| whole().collect(), |shard| shard.pairs(contents.len(), styles.len()));
        let pairs = || share.iter().map(|&(content, style)| (&contents[content], &styles[style]));
        let is_missing = |setting: &Setting, (content, style)| !file(setting, content, style).exists();
        let missing = |setting: &Setting| -> Vec<PathBuf> {
            let of = |(content, style)| file(setting, content, style);
            pairs().filter(|&pair| is_missing(setting, pair)).map(of).collect()
        };
        let cannot = |setting: &Setting| self.measure_only || setting.params.is_none();
        let wanted = settings.iter().filter(|setting| cannot(setting)).map(missing).find(|missing| !missing.is_empty());
        if let Some([first, more @ ..]) = wanted.as_deref() {
            let which = match more.len() {
                0 => format!("A result is missing: {}; make it", first.display()),
                more => format!("{} results are missing, the first is {}; make them", more + 1, first.display()),
            };
            let or = if self.measure_only { "leave out --measure-only" } else { "give it settings" };
            return Err(Error::File(format!("{which}, or {or}.")));
        }
        if settings.iter().all(|setting| missing(setting).is_empty()) {
            return Ok(None);
        }
        for setting in settings {
            prepare_folder(&setting.folder.join("result"))?;
        }
        let bars = Bars::new();
        let on_progress = |progress| bars.show(progress);
        let on_notice = |notice: &str| bars.say(notice);
        let control = Control::new(&Here, &on_progress, &|| false).with_notices(&on_notice);
        let mut session = self.session(&control).await?.with_shelf(self.batch.shelf()?);
        let info = session.pipeline.model.info.clone();
        let caption =
            |params: &Params| Caption::of_run(&info, self.engine.options(false).weights, params, None, reuse::style());
        for (setting, reused) in settings.iter().zip(reused) {
            if let (Some(params), Some(reused)) = (&setting.params, reused) {
                reused.fits(&caption(params))?;
            }
        }
        let order = by_features(settings, &session.pipeline)?;
        for pair @ (content, style) in pairs() {
            for setting in order.iter().map(|&i| &settings[i]) {
                let Some(params) = setting.params.as_ref().filter(|_| is_missing(setting, pair)) else { continue };
                let styles = [Style::alone(&style.picture)];
                let outcome = session.run(&content.picture, &styles, params, &control).await?;
                write_file(&file(setting, content, style), &caption(params).png(&outcome.image)?)?;
            }
        }
        Ok(Some(session))
    }
}

fn file(setting: &Setting, content: &NamedPicture, style: &NamedPicture) -> PathBuf {
    setting.folder.join(format!("{}_in_{}.png", content.name, style.name))
}

pub async fn run(args: Args) -> Result<()> {
    for file in [&args.csv, &args.json, &args.sheet].into_iter().flatten() {
        prepare_folder(file)?;
    }
    let (contents, styles) = (sources(&args.content)?, sources(&args.style)?);
    let measures = EvalMeasures::new(&args)?;
    let settings = args.settings()?;
    let reused = args.reused(&contents, &styles, &settings)?;
    let session = args.make(&contents, &styles, &settings, &reused).await?;
    if let Some(shard) = args.batch.shard {
        println!(
            "The results of the share {shard} are there; --measure-only measures all when those of the others are, too."
        );
        return Ok(());
    }
    let round_trips = args.round_trips(session, &contents, &settings).await?;

    let mut sets = Vec::new();
    for (setting, round_trips) in settings.iter().zip(round_trips) {
        let read = |content: &NamedPicture| {
            styles.iter().map(|style| read_picture(&file(setting, content, style), None)).collect::<Result<Vec<_>>>()
        };
        let results = contents.iter().map(read).collect::<Result<Vec<_>>>()?;
        sets.push(measures.set(&contents, &styles, &results).await?.with_round_trips(round_trips));
        if let Some(path) = args.sheet(setting) {
            let [contents, styles] =
                [&contents, &styles].map(|sources| sources.iter().map(|source| &source.picture).collect::<Vec<_>>());
            let sheet = contact_sheet(&contents, &styles, &results, CELL);
            write_file(&path, &to_png(&sheet, &[])?)?;
        }
    }
    let is_known = |reused: &Option<Reused>| reused.as_ref().is_some_and(Reused::is_known);
    let all: Vec<Figures> = settings
        .iter()
        .zip(&reused)
        .zip(&sets)
        .map(|((setting, reused), set)| {
            let settings = setting.params.as_ref().filter(|_| is_known(reused));
            Figures { name: setting.name.as_deref(), settings, set }
        })
        .collect();
    print!("{}", figures::table(&all));
    if let Some(path) = &args.csv {
        write_file(path, figures::csv(&all).as_bytes())?;
    }
    if let Some(path) = &args.json {
        write_file(path, figures::json(&all)?.as_bytes())?;
    }
    Ok(())
}
