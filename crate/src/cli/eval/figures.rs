//! The figures of `styleid eval`, and how they are written.

use serde::Serialize;
use styleid::{Error, Params, Result};

/// One result's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub content: String,
    pub style: String,
    /// Content against result.
    pub lpips: f64,
    /// Style against result.
    pub histogram: f64,
    /// Style against result.
    pub style_distance: f64,
    /// Content against result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfsd: Option<f64>,
}

/// One content inverted and sampled again.
#[derive(Debug, Clone, Serialize)]
pub struct RoundTrip {
    pub content: String,
    /// Signal to noise.
    pub decibels: f64,
}

/// The means of all results, and the figures that only a set of results has.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub results: usize,
    pub lpips: f64,
    pub histogram: f64,
    pub style_distance: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfsd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fid: Option<f64>,
    /// (1 + LPIPS)·(1 + FID).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub art_fid: Option<f64>,
    /// Decibels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<f64>,
}

/// The figures of one way to make the results.
#[derive(Debug, Serialize)]
pub struct Set {
    /// Of each result, styles first.
    pub results: Vec<Row>,
    /// The round trip of each content, if it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub round_trips: Vec<RoundTrip>,
    /// Of all.
    pub mean: Summary,
}

impl Set {
    /// Of the rows, and the FID if there is one.
    pub fn new(rows: Vec<Row>, fid: Option<f64>) -> Self {
        let mean = |value: &dyn Fn(&Row) -> f64| rows.iter().map(value).sum::<f64>() / rows.len().max(1) as f64;
        let lpips = mean(&|row| row.lpips);
        let mean = Summary {
            results: rows.len(),
            lpips,
            histogram: mean(&|row| row.histogram),
            style_distance: mean(&|row| row.style_distance),
            cfsd: rows.iter().all(|row| row.cfsd.is_some()).then(|| mean(&|row| row.cfsd.unwrap_or_default())),
            fid,
            art_fid: fid.map(|fid| (1.0 + lpips) * (1.0 + fid)),
            round_trip: None,
        };
        Self { results: rows, round_trips: Vec::new(), mean }
    }

    /// The same with how much of each content came back.
    pub fn with_round_trips(mut self, round_trips: Vec<RoundTrip>) -> Self {
        if !round_trips.is_empty() {
            let sum: f64 = round_trips.iter().map(|trip| trip.decibels).sum();
            self.mean.round_trip = Some(sum / round_trips.len() as f64);
        }
        Self { round_trips, ..self }
    }
}

/// A set with how it was made. Numbers go from here to JSON as they are: as values of `serde_json` they would be widened, and
/// γ = 0.6 would no longer be 0.6.
#[derive(Debug, Serialize)]
pub struct Figures<'a> {
    /// Its name in a comparison; `None` outside one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// `None` if a result was made elsewhere, or if this was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<&'a Params>,
    /// The figures.
    #[serde(flatten)]
    pub set: &'a Set,
}

/// One set as a line for each result, several as a line for each set's means.
pub fn table(all: &[Figures]) -> String {
    let lines: Vec<(String, [f64; 3], Option<f64>)> = match all {
        [Figures { name: None, set, .. }] => {
            let name = |row: &Row| format!("{} in {}", row.content, row.style);
            let numbers = |row: &Row| (name(row), [row.lpips, row.histogram, row.style_distance], row.cfsd);
            set.results.iter().map(numbers).chain([means("mean", &set.mean)]).collect()
        }
        _ => all.iter().map(|each| means(each.name.unwrap_or_default(), &each.set.mean)).collect(),
    };
    let width = lines.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max(8);
    let has_cfsd = lines.iter().any(|(.., cfsd)| cfsd.is_some());
    let mut text = format!("{:width$}     LPIPS  histogram     style", "");
    text += if has_cfsd { "      CFSD\n" } else { "\n" };
    for (name, [lpips, histogram, style], cfsd) in &lines {
        let cfsd = cfsd.map(|cfsd| format!("  {cfsd:8.4}")).unwrap_or_default();
        text += &format!("{name:width$}  {lpips:8.4}  {histogram:9.4}  {style:8.4}{cfsd}\n");
    }
    for Figures { name, set, .. } in all {
        if let (Some(fid), Some(art_fid)) = (set.mean.fid, set.mean.art_fid) {
            let of = name.map(|name| format!("{name}: ")).unwrap_or_default();
            text += &format!("{of}FID {fid:.4}, ArtFID {art_fid:.4}\n");
        }
    }
    for Figures { name, set, .. } in all {
        let least = set.round_trips.iter().min_by(|a, b| a.decibels.total_cmp(&b.decibels));
        if let (Some(mean), Some(least)) = (set.mean.round_trip, least) {
            let of = name.map(|name| format!("{name}: ")).unwrap_or_default();
            text += &format!("{of}round trip {mean:.2} dB, least {:.2} dB ({})\n", least.decibels, least.content);
        }
    }
    if all.iter().all(|each| each.set.mean.fid.is_none()) {
        text += "FID and ArtFID need --inception, CFSD needs --vgg.\n";
    }
    text
}

fn means(name: &str, mean: &Summary) -> (String, [f64; 3], Option<f64>) {
    (name.to_string(), [mean.lpips, mean.histogram, mean.style_distance], mean.cfsd)
}

/// A line for each result; where there are several sets, each begins with its set's name.
pub fn csv(all: &[Figures]) -> String {
    // A name with a comma or a quote goes between quotes, its own doubled (RFC 4180).
    let field = |name: &str| {
        if name.contains([',', '"', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_string() }
    };
    let is_named = all.iter().any(|each| each.name.is_some());
    let mut text = String::from(if is_named { "name," } else { "" });
    text += "content,style,lpips,histogram,style_distance,cfsd\n";
    for Figures { name, set, .. } in all {
        let of = name.map(|name| field(name) + ",").unwrap_or_default();
        for row in &set.results {
            let cfsd = row.cfsd.map(|cfsd| cfsd.to_string()).unwrap_or_default();
            let names = format!("{of}{},{}", field(&row.content), field(&row.style));
            text += &format!("{names},{},{},{},{cfsd}\n", row.lpips, row.histogram, row.style_distance);
        }
    }
    text
}

/// An object for a set without a name, else an array.
///
/// # Errors
/// Says that a figure cannot be written as JSON.
pub fn json(all: &[Figures]) -> Result<String> {
    let text = match all {
        [alone @ Figures { name: None, .. }] => serde_json::to_string_pretty(alone),
        _ => serde_json::to_string_pretty(all),
    };
    let text = text.map_err(|error| Error::File(format!("The figures cannot be written as JSON: {error}.")))?;
    Ok(text + "\n")
}
