//! `styleid eval`.

use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::Serialize;
use styleid::device::{Place, Precision, cpu};
use styleid::eval::cfsd::Cfsd;
use styleid::eval::frechet;
use styleid::eval::histogram::Histogram;
use styleid::eval::inception::Inception;
use styleid::eval::lpips::{Lpips, Seen};
use styleid::eval::sheet::contact_sheet;
use styleid::picture::{Frame, to_png};
use styleid::{Control, Error, Params, Result, Style};

use super::bars::Bars;
use super::engine::{EngineArgs, prepare_folder, read_file, read_picture, write_file};
use super::method::MethodArgs;

/// LPIPS's weights as f16.
const LPIPS: &[u8] = include_bytes!("../../metrics/lpips-alex-f16.safetensors");

/// Side of a picture on the contact sheet.
const CELL: u32 = 192;

/// Inception sees pictures with this short side, as in `ArtFID`.
const INCEPTION_SIDE: u32 = 512;

/// Measures results: every content of a folder in every style of another. A result is CONTENT_in_STYLE.png in --results;
/// those that are missing are made first.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    method: MethodArgs,
    /// Folder of content pictures.
    #[arg(long, value_name = "DIR")]
    content: PathBuf,
    /// Folder of style pictures.
    #[arg(long, value_name = "DIR")]
    style: PathBuf,
    /// Folder of results; missing ones are made and written here.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Make nothing: a missing result is an error.
    #[arg(long)]
    measure_only: bool,
    /// Write the table as CSV.
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Write all figures as JSON.
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
    /// Write a contact sheet.
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

/// One result's figures.
#[derive(Debug, Clone, Serialize)]
struct Row {
    content: String,
    style: String,
    /// Content against result.
    lpips: f64,
    /// Style against result.
    histogram: f64,
    /// Style against result.
    style_distance: f64,
    /// Content against result.
    #[serde(skip_serializing_if = "Option::is_none")]
    cfsd: Option<f64>,
}

/// The means of all results, and what only a set of results has.
#[derive(Debug, Clone, Serialize)]
struct Summary {
    results: usize,
    lpips: f64,
    histogram: f64,
    style_distance: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cfsd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fid: Option<f64>,
    /// (1 + LPIPS)·(1 + FID).
    #[serde(skip_serializing_if = "Option::is_none")]
    art_fid: Option<f64>,
}

/// What goes into a JSON file. As a value of `serde_json`, numbers would be widened and γ = 0.6 no longer be 0.6.
#[derive(Serialize)]
struct Figures<'a> {
    settings: &'a Params,
    results: &'a [Row],
    mean: &'a Summary,
}

/// A picture of one of the folders.
struct Source {
    name: String,
    picture: RgbImage,
}

/// The pictures of a folder by name.
fn sources(folder: &Path) -> Result<Vec<Source>> {
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
        Ok(Source { name, picture: read_picture(path, None)? })
    };
    let sources: Vec<Source> = paths.iter().map(source).collect::<Result<_>>()?;
    if let Some([first, _]) = sources.array_windows().find(|[a, b]| a.name == b.name) {
        return Err(Error::File(format!(
            "Two pictures in {} are called {}, and so would their results; rename one.",
            folder.display(),
            first.name
        )));
    }
    Ok(sources)
}

/// What measures.
struct Measures {
    lpips: Lpips,
    cfsd: Option<Cfsd>,
    inception: Option<Inception>,
}

impl Measures {
    fn new(args: &Args) -> Result<Self> {
        let place = Place::new(cpu(), Precision::F32, 0)?;
        let own = args.lpips.as_deref().map(read_file).transpose()?;
        let bytes = |path: &Option<PathBuf>| path.as_deref().map(read_file).transpose();
        Ok(Self {
            lpips: Lpips::new(own.as_deref().unwrap_or(LPIPS), &place)?,
            cfsd: bytes(&args.vgg)?.map(|bytes| Cfsd::new(&bytes, &place)).transpose()?,
            inception: bytes(&args.inception)?.map(|bytes| Inception::new(&bytes, &place)).transpose()?,
        })
    }

    async fn features(&self, picture: &RgbImage) -> Result<Option<Vec<f64>>> {
        let Some(inception) = &self.inception else { return Ok(None) };
        let (width, height) = picture.dimensions();
        let scale = f64::from(INCEPTION_SIDE) / f64::from(width.min(height));
        let scaled = |length: u32| (f64::from(length) * scale).round() as u32;
        let filter = image::imageops::FilterType::Triangle;
        let picture = image::imageops::resize(picture, scaled(width), scaled(height), filter);
        inception.features(&picture).await.map(Some)
    }
}

/// A style as the measures see it, at its results' size.
struct StyleSeen {
    seen: Seen,
    histogram: Histogram,
}

impl StyleSeen {
    fn new(measures: &Measures, picture: &RgbImage) -> Result<Self> {
        Ok(Self { seen: measures.lpips.see(picture)?, histogram: Histogram::new(picture) })
    }
}

async fn measure(
    measures: &Measures,
    content: &Source,
    style: &Source,
    seen: &StyleSeen,
    result: &RgbImage,
) -> Result<Row> {
    let content_picture = Frame::middle(content.picture.dimensions(), result.dimensions()).fit(&content.picture);
    let result_seen = measures.lpips.see(result)?;
    let content_seen = measures.lpips.see(&content_picture)?;
    let cfsd = match &measures.cfsd {
        Some(cfsd) => Some(cfsd.distance(&content_picture, result).await?),
        None => None,
    };
    Ok(Row {
        content: content.name.clone(),
        style: style.name.clone(),
        lpips: measures.lpips.distance(&content_seen, &result_seen).await?,
        histogram: seen.histogram.distance(&Histogram::new(result)),
        style_distance: seen.seen.style_distance(&result_seen).await?,
        cfsd,
    })
}

fn summary(rows: &[Row], fid: Option<f64>) -> Summary {
    let mean = |value: &dyn Fn(&Row) -> f64| rows.iter().map(value).sum::<f64>() / rows.len().max(1) as f64;
    let lpips = mean(&|row| row.lpips);
    Summary {
        results: rows.len(),
        lpips,
        histogram: mean(&|row| row.histogram),
        style_distance: mean(&|row| row.style_distance),
        cfsd: rows.iter().all(|row| row.cfsd.is_some()).then(|| mean(&|row| row.cfsd.unwrap_or_default())),
        fid,
        art_fid: fid.map(|fid| (1.0 + lpips) * (1.0 + fid)),
    }
}

fn table(rows: &[Row], summary: &Summary) -> String {
    let width =
        rows.iter().map(|row| row.content.chars().count() + row.style.chars().count() + 4).max().unwrap_or(0).max(8);
    let line = |name: &str, lpips: f64, histogram: f64, style: f64, cfsd: Option<f64>| {
        let cfsd = cfsd.map(|cfsd| format!("  {cfsd:8.4}")).unwrap_or_default();
        format!("{name:width$}  {lpips:8.4}  {histogram:9.4}  {style:8.4}{cfsd}\n")
    };
    let mut text = format!("{:width$}     LPIPS  histogram     style", "");
    text += if summary.cfsd.is_some() { "      CFSD\n" } else { "\n" };
    for row in rows {
        let name = format!("{} in {}", row.content, row.style);
        text += &line(&name, row.lpips, row.histogram, row.style_distance, row.cfsd);
    }
    text += &line("mean", summary.lpips, summary.histogram, summary.style_distance, summary.cfsd);
    match (summary.fid, summary.art_fid) {
        (Some(fid), Some(art_fid)) => text += &format!("FID {fid:.4}, ArtFID {art_fid:.4}\n"),
        _ => text += "FID and ArtFID need --inception, CFSD needs --vgg.\n",
    }
    text
}

fn csv(rows: &[Row]) -> String {
    // A name with a comma or a quote goes between quotes, its own doubled (RFC 4180).
    let field = |name: &str| {
        if name.contains([',', '"', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_string() }
    };
    let mut text = String::from("content,style,lpips,histogram,style_distance,cfsd\n");
    for row in rows {
        let cfsd = row.cfsd.map(|cfsd| cfsd.to_string()).unwrap_or_default();
        let names = format!("{},{}", field(&row.content), field(&row.style));
        text += &format!("{names},{},{},{},{cfsd}\n", row.lpips, row.histogram, row.style_distance);
    }
    text
}

pub async fn run(args: Args) -> Result<()> {
    for file in [&args.csv, &args.json, &args.sheet].into_iter().flatten() {
        prepare_folder(file)?;
    }
    let (contents, styles) = (sources(&args.content)?, sources(&args.style)?);
    let measures = Measures::new(&args)?;
    let params = args.method.params()?;
    let file = |content: &Source, style: &Source| args.results.join(format!("{}_in_{}.png", content.name, style.name));
    let missing: Vec<PathBuf> = contents
        .iter()
        .flat_map(|content| styles.iter().map(|style| file(content, style)))
        .filter(|path| !path.exists())
        .collect();
    if let Some(first) = missing.first() {
        if args.measure_only {
            let which = match missing.len() {
                1 => format!("A result is missing: {}; make it", first.display()),
                count => format!("{count} results are missing, the first is {}; make them", first.display()),
            };
            return Err(Error::File(format!("{which}, or leave out --measure-only.")));
        }
        prepare_folder(first)?;
        let bars = Bars::new();
        let on_progress = |progress| bars.show(progress);
        let on_notice = |notice: &str| bars.say(notice);
        let control = Control::new(&on_progress, &|| false).with_notices(&on_notice);
        let mut session = args.engine.session(&control).await?;
        for content in &contents {
            for style in &styles {
                let path = file(content, style);
                if missing.contains(&path) {
                    let styles = [Style::alone(&style.picture)];
                    let outcome = session.run(&content.picture, &styles, &params, &control).await?;
                    write_file(&path, &to_png(&outcome.image, None)?)?;
                }
            }
        }
    }

    let mut rows = Vec::new();
    let mut results: Vec<Vec<Option<RgbImage>>> = contents.iter().map(|_| Vec::new()).collect();
    let (mut made, mut wanted) = (frechet::Rows::new(), frechet::Rows::new());
    for style in &styles {
        let mut seen: Option<((u32, u32), StyleSeen)> = None;
        for (content, results) in contents.iter().zip(&mut results) {
            let result = read_picture(&file(content, style), None)?;
            if seen.as_ref().is_none_or(|(size, _)| *size != result.dimensions()) {
                seen = Some((
                    result.dimensions(),
                    StyleSeen::new(
                        &measures,
                        &Frame::middle(style.picture.dimensions(), result.dimensions()).fit(&style.picture),
                    )?,
                ));
            }
            if let Some((_, seen)) = &seen {
                rows.push(measure(&measures, content, style, seen, &result).await?);
            }
            made.extend(measures.features(&result).await?);
            results.push(Some(result));
        }
        wanted.extend(measures.features(&style.picture).await?);
    }
    let fid = measures.inception.is_some().then(|| frechet::distance(&made, &wanted));
    let summary = summary(&rows, fid);
    print!("{}", table(&rows, &summary));
    if let Some(path) = &args.csv {
        write_file(path, csv(&rows).as_bytes())?;
    }
    if let Some(path) = &args.json {
        let all = Figures { settings: &params, results: &rows, mean: &summary };
        let text = serde_json::to_string_pretty(&all)
            .map_err(|error| Error::File(format!("The figures cannot be written as JSON: {error}.")))?;
        write_file(path, (text + "\n").as_bytes())?;
    }
    if let Some(path) = &args.sheet {
        let pictures = |sources: &[Source]| sources.iter().map(|source| source.picture.clone()).collect::<Vec<_>>();
        let sheet = contact_sheet(&pictures(&contents), &pictures(&styles), &results, CELL);
        write_file(path, &to_png(&sheet, None)?)?;
    }
    Ok(())
}
