//! Inversions made ahead of a run: the content's here, the styles' by another session of the same model, such as another
//! worker's, which hands them over as files.

use image::RgbImage;

use super::blend::Style;
use super::features::KeyValue;
use super::kept::{KeptInversion, file};
use super::params::Params;
use super::run::Run;
use super::session::Session;
use crate::Result;
use crate::control::Control;

/// Which inversions a session lacks for a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Lacks {
    /// Whether it lacks the content's.
    pub content: bool,
    /// The styles whose inversions it lacks, by their numbers from 0.
    pub styles: Vec<usize>,
}

/// The pictures and settings of a run.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The content.
    pub content: &'a RgbImage,
    /// The styles.
    pub styles: &'a [Style<'a>],
    /// The settings.
    pub params: &'a Params,
}

impl Session {
    /// The inversions that a run lacks here.
    ///
    /// # Errors
    /// A picture or setting that cannot be used.
    pub fn lacks(&self, Wanted { content, styles, params }: Wanted<'_>) -> Result<Lacks> {
        let (plan, pictures) = self.begin(content, styles, params)?;
        let content = !self.content.as_ref().is_some_and(|kept| kept.serves(&pictures.content, &plan, params));
        let is_missing = |number: &usize| {
            let picture = &pictures.styles[*number];
            plan.needs_style(params)
                && pictures.parts[*number].counts()
                && !self.styles.iter().any(|kept| kept.serves(picture, &plan, params))
        };
        Ok(Lacks { content, styles: (0..pictures.styles.len()).filter(is_missing).collect() })
    }

    /// Inverts the content, so that the run finds it. Returns how often the UNet was called.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn invert_content(
        &mut self,
        Wanted { content, styles, params }: Wanted<'_>,
        control: &Control<'_>,
    ) -> Result<usize> {
        let calls = self.counters.unet_calls();
        let (plan, pictures) = self.begin(content, styles, params)?;
        self.change(&pictures, &[], &plan, params).await?;
        let (kept, _) = self.invert(&pictures, &[], &plan, params, control).await?;
        self.content = Some(kept);
        Ok(self.counters.unet_calls() - calls)
    }

    /// Inverts the styles of these numbers, each to a file for [`Session::take_style`]. Keeps none of them. Returns how often
    /// the UNet was called, too.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn invert_styles(
        &self,
        numbers: &[usize],
        Wanted { content, styles, params }: Wanted<'_>,
        control: &Control<'_>,
    ) -> Result<(Vec<Vec<u8>>, usize)> {
        let calls = self.counters.unet_calls();
        let (plan, pictures) = self.begin(content, styles, params)?;
        let wanted: Vec<&RgbImage> = numbers.iter().filter_map(|number| pictures.styles.get(*number)).collect();
        let run = Run { control, counters: &self.counters, traced: false };
        let invert = self.demand(&wanted, &pictures, &plan).invert(&self.pipeline, &plan, params, run);
        let mut made: Vec<KeptInversion<KeyValue>> = Vec::new();
        invert.all(invert.encode_all(wanted).await?, &mut made).await?;
        let mut files = Vec::with_capacity(made.len());
        for kept in &made {
            files.push(file::written(&kept.inversion).await?.unwrap_or_default());
        }
        Ok((files, self.counters.unet_calls() - calls))
    }

    /// Takes the inversion of style `number` from another session's [`Session::invert_styles`]. Bytes that are no such file
    /// are left out: the run then makes its own.
    ///
    /// # Errors
    /// A picture or setting that cannot be used.
    pub fn take_style(
        &mut self,
        number: usize,
        bytes: &[u8],
        Wanted { content, styles, params }: Wanted<'_>,
    ) -> Result<()> {
        let (plan, pictures) = self.begin(content, styles, params)?;
        let inversion = file::read::<KeyValue>(bytes, &self.pipeline, &plan);
        if let (Some(picture), Some(inversion)) = (pictures.styles.get(number), inversion) {
            self.styles.push(KeptInversion::new(picture, &plan, params, inversion));
        }
        Ok(())
    }
}
