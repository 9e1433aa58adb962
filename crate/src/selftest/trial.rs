//! A trial of the tiles of the kernels for GPUs: which are fastest on this one, of those that compute right.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::TOLERANCES;
use super::kernels::{Kernel, attend, conv, plain};
use super::sums;
use super::timing::{Stopwatch, now};
use crate::device::{Place, Precision};
use crate::ops::tiles::Class;
use crate::ops::{self, Kernels};
use crate::{Error, Result, fault};

/// Names of tiles by the name of their [`Class`], as they are kept from one start to the next.
pub type Tiles = BTreeMap<String, String>;

/// Where a class has the tiles of the rule, after a trial that had not the time for all of them or failed.
const RULE: &str = "by rule";

/// Seconds for a trial before a person's first picture: after these no more tiles are tried, but at the next start.
pub const SECONDS: f64 = 0.7;

/// The shape that stands for a class: one of Stable Diffusion's at 512 px, or a smaller one with as many blocks for each unit of
/// a GPU.
fn kernel(class: Class) -> Kernel {
    match class {
        Class::Heads40 => attend(8, 40, [1024, 1024], true),
        Class::Heads64 => attend(5, 64, [1024, 1024], true),
        Class::Heads80 => attend(8, 80, [1024, 1024], true),
        Class::Heads160 => attend(8, 160, [256, 256], true),
        Class::Convolutions => conv([320, 320], 3, 1, 48),
        Class::SmallConvolutions => conv([320, 320], 3, 1, 32),
        Class::Linears => plain([320, 640], 1024),
        Class::SmallLinears => plain([320, 320], 1024),
    }
}

/// Gives the kernels for GPUs the tiles that are `kept` of an earlier trial on the same GPU, and those of other classes after a
/// trial, of which none begins once it took `seconds`. Returns what they have now. Other kernels have nothing to try.
///
/// # Errors
/// The device failed.
pub async fn choose_tiles(device: &Device, kept: &Tiles, seconds: f64) -> Result<Tiles> {
    let mut tiles = Tiles::new();
    if ops::kernels(device) != Kernels::Hardware {
        return Ok(tiles);
    }
    let place = Place::new(device.clone(), Precision::F32, 0)?;
    let watch = Stopwatch::new(&place.tensor(vec![1.0; 64], [1, 1, 8, 8]), 0.0).await?;
    let begun = now();
    for class in Class::ALL {
        let known = kept.get(class.name()).filter(|name| *name == RULE || class.tiles().contains(&name.as_str()));
        let name = match known {
            Some(name) => name.clone(),
            None if now() - begun < seconds => {
                let best = match fastest(class, &place, &watch, begun + seconds).await {
                    // Where a driver or the memory refuses some tiles, the rule decides; if it refuses these too, a run says so.
                    Err(Error::Unsupported(_) | Error::Memory(_)) => {
                        fault::forget();
                        None
                    }
                    best => best?,
                };
                device.memory_cleanup();
                best.map_or(RULE, |index| class.tiles()[index]).to_owned()
            }
            None => continue,
        };
        class.choose(class.tiles().iter().position(|tiles| *tiles == name));
        tiles.insert(class.name().to_owned(), name);
    }
    Ok(tiles)
}

/// The fastest tiles of `class` that compute right, or none if the clock passes `end` before all were tried.
async fn fastest(class: Class, place: &Place, watch: &Stopwatch, end: f64) -> Result<Option<usize>> {
    let prepared = kernel(class).prepare(place, Precision::F32)?;
    let mut best = None;
    for index in 0..class.tiles().len() {
        if now() > end {
            return Ok(None);
        }
        class.choose(Some(index));
        let data = (prepared.run)().into_data_async().await?;
        fault::check()?;
        let ours: Vec<f32> = data.iter::<f32>().collect();
        let [(_, tolerance), _] = TOLERANCES;
        // NaN fails this comparison too.
        if sums::difference(&ours, &prepared.known) <= tolerance {
            let seconds = watch.quick(&prepared.run).await?;
            if best.is_none_or(|(least, _)| seconds < least) {
                best = Some((seconds, index));
            }
        }
    }
    Ok(best.map(|(_, index)| index))
}
