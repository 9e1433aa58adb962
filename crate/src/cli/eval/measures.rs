//! What `styleid eval` measures results with.

use std::path::PathBuf;

use image::RgbImage;
use styleid::Result;
use styleid::device::{Place, Precision, cpu};
use styleid::eval::cfsd::Cfsd;
use styleid::eval::frechet;
use styleid::eval::histogram::Histogram;
use styleid::eval::inception::Inception;
use styleid::eval::lpips::{Lpips, Seen};
use styleid::picture::Frame;

use super::figures::{Row, Set};
use super::{Args, NamedPicture};
use crate::cli::engine::read_file;

/// LPIPS's weights as f16.
const LPIPS: &[u8] = include_bytes!("../../../metrics/lpips-alex-f16.safetensors");

/// Inception sees pictures with this short side, as in `ArtFID`.
const INCEPTION_SIDE: u32 = 512;

/// What measures.
pub struct EvalMeasures {
    lpips: Lpips,
    cfsd: Option<Cfsd>,
    inception: Option<Inception>,
}

impl EvalMeasures {
    /// # Errors
    /// Names a file of weights that cannot be used.
    pub fn new(args: &Args) -> Result<Self> {
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

    async fn row(
        &self,
        content: &NamedPicture,
        style: &NamedPicture,
        seen: &StyleSeen,
        result: &RgbImage,
    ) -> Result<Row> {
        let content_picture = Frame::middle(content.picture.dimensions(), result.dimensions()).fit(&content.picture);
        let result_seen = self.lpips.see(result)?;
        let content_seen = self.lpips.see(&content_picture)?;
        let cfsd = match &self.cfsd {
            Some(cfsd) => Some(cfsd.distance(&content_picture, result).await?),
            None => None,
        };
        Ok(Row {
            content: content.name.clone(),
            style: style.name.clone(),
            lpips: self.lpips.distance(&content_seen, &result_seen).await?,
            histogram: seen.histogram.distance(&Histogram::new(result)),
            style_distance: seen.seen.style_distance(&result_seen).await?,
            cfsd,
        })
    }

    /// Measures `results[content][style]`, styles first.
    ///
    /// # Errors
    /// Says which result is too small, or that the device failed.
    pub async fn set(
        &self,
        contents: &[NamedPicture],
        styles: &[NamedPicture],
        results: &[Vec<RgbImage>],
    ) -> Result<Set> {
        let mut rows = Vec::new();
        let (mut made, mut wanted) = (frechet::Rows::new(), frechet::Rows::new());
        for (i, style) in styles.iter().enumerate() {
            let mut seen: Option<((u32, u32), StyleSeen)> = None;
            for (content, results) in contents.iter().zip(results) {
                let result = &results[i];
                let size = result.dimensions();
                let fits = seen.take().filter(|(of, _)| *of == size);
                let (_, style_seen) = match fits {
                    Some(fits) => seen.insert(fits),
                    None => {
                        let fitted = Frame::middle(style.picture.dimensions(), size).fit(&style.picture);
                        seen.insert((size, StyleSeen::new(self, &fitted)?))
                    }
                };
                rows.push(self.row(content, style, style_seen, result).await?);
                made.extend(self.features(result).await?);
            }
            wanted.extend(self.features(&style.picture).await?);
        }
        let fid = self.inception.is_some().then(|| frechet::distance(&made, &wanted));
        Ok(Set::new(rows, fid))
    }
}

/// A style as the measures see it, at its results' size.
struct StyleSeen {
    seen: Seen,
    histogram: Histogram,
}

impl StyleSeen {
    fn new(measures: &EvalMeasures, picture: &RgbImage) -> Result<Self> {
        Ok(Self { seen: measures.lpips.see(picture)?, histogram: Histogram::new(picture) })
    }
}
