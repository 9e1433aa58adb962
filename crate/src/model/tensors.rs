//! The named tensors of one network, taken one by one while it is built: first in a dry run that records requests, then for
//! real.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use burn::tensor::Tensor;

use crate::device::Place;
use crate::ops::weight::Weight;
use crate::weights::format::compact::convert;
use crate::weights::format::{blocks, shown};
use crate::weights::{Compact, TensorRequest, WeightType};
use crate::{Error, Result};

/// A tensor that is ready to be built into a network.
#[derive(Debug)]
pub enum Ready {
    /// A matrix, already on its device.
    Weight(Box<Weight>),
    /// Anything else.
    Small(Compact),
}

impl Ready {
    /// A tensor as `request` says, uploaded to `place` if it is a matrix.
    ///
    /// # Errors
    /// Names a tensor whose bytes do not fit its shape.
    pub fn new(compact: Compact, request: &TensorRequest, place: &Place) -> Result<Self> {
        Ok(if request.is_weight { Self::Weight(Box::new(Weight::new(compact, place)?)) } else { Self::Small(compact) })
    }
}

/// Where tensors come from.
enum TensorSource {
    /// Tensors in memory.
    Loaded(BTreeMap<String, Ready>),
    /// Dry run: only shapes are known. Requests are recorded, and single zeros stand in for tensors.
    Planned { shapes: BTreeMap<String, Vec<usize>>, requests: Rc<RefCell<Vec<TensorRequest>>> },
    /// A formula generates any requested tensor.
    Formula(Formula, WeightType),
}

/// Generates a tensor's values from its name and shape.
pub type Formula = Box<dyn FnMut(&str, &[usize]) -> Vec<f32>>;

/// The tensors of one network. Each can be taken once; what is left at the end does not belong to the model.
pub struct Tensors {
    network: String,
    origin: TensorSource,
}

/// Whether a stored shape fits: the same number of values, and the same number of rows unless it is flat. Formats differ in
/// dimensions of 1; packs flatten convolutions, and flatten whole matrices whose rows are no multiple of a block.
pub(super) fn fits(stored: &[usize], wanted: &[usize]) -> bool {
    let is_flat = stored.len() == 1;
    (is_flat || stored.first() == wanted.first())
        && stored.iter().product::<usize>() == wanted.iter().product::<usize>()
}

impl Tensors {
    /// Tensors in memory. `network` is its name in messages.
    pub fn loaded(network: &str, tensors: BTreeMap<String, Ready>) -> Self {
        Self { network: network.to_string(), origin: TensorSource::Loaded(tensors) }
    }

    /// A dry run with shapes alone, which records in `requests` what the network takes.
    pub fn planned(
        network: &str,
        shapes: BTreeMap<String, Vec<usize>>,
        requests: Rc<RefCell<Vec<TensorRequest>>>,
    ) -> Self {
        Self { network: network.to_string(), origin: TensorSource::Planned { shapes, requests } }
    }

    /// Tensors from a formula, stored as `weights`: a full-size model without its file.
    pub fn from_formula(network: &str, weights: WeightType, formula: Formula) -> Self {
        Self { network: network.to_string(), origin: TensorSource::Formula(formula, weights) }
    }

    /// Takes the tensor `name` of `shape` as floats.
    ///
    /// # Errors
    /// Names the tensor if it is missing, has another shape, or is damaged.
    pub fn take<const D: usize>(&mut self, name: &str, shape: [usize; D], place: &Place) -> Result<Tensor<D>> {
        self.take_any(name, &shape, None).map(|values| {
            values.map_or_else(|| place.tensor(vec![0.0], [1; D]), |values| place.allocate_exact(values, shape))
        })
    }

    /// Takes `rows` of the table `name` of `shape`.
    ///
    /// # Errors
    /// As [`Tensors::take`].
    pub fn take_rows(&mut self, name: &str, shape: [usize; 2], rows: &[usize], place: &Place) -> Result<Tensor<2>> {
        let values = self.take_any(name, &shape, Some(rows))?;
        let taken = [rows.len(), shape[1]];
        Ok(values.map_or_else(|| place.tensor(vec![0.0], [1; 2]), |values| place.allocate_exact(values, taken)))
    }

    /// Takes the matrix or convolution `name` of `shape` in its stored form.
    ///
    /// # Errors
    /// As [`Tensors::take`].
    pub fn take_weight(&mut self, name: &str, shape: &[usize], place: &Place) -> Result<Weight> {
        let network = &self.network;
        match &mut self.origin {
            TensorSource::Planned { shapes, requests } => {
                plan(network, shapes, requests, name, shape, None, true)?;
                Ok(Weight::dense(place.tensor(vec![0.0], [1; 2])))
            }
            TensorSource::Formula(formula, weights) => {
                let compact = convert(name, shape, &formula(name, shape), *weights);
                Weight::new(compact, place)
            }
            TensorSource::Loaded(tensors) => match tensors.remove(name) {
                Some(Ready::Weight(weight)) => Ok(*weight),
                Some(Ready::Small(compact)) => Weight::new(compact, place),
                None => Err(missing(network, name, shape)),
            },
        }
    }

    /// The values, or `None` in a dry run.
    fn take_any(&mut self, name: &str, shape: &[usize], rows: Option<&[usize]>) -> Result<Option<Vec<f32>>> {
        let network = &self.network;
        match &mut self.origin {
            TensorSource::Planned { shapes, requests } => {
                plan(network, shapes, requests, name, shape, rows, false)?;
                Ok(None)
            }
            TensorSource::Formula(formula, _) => {
                let values = formula(name, shape);
                let width = shape.iter().skip(1).product::<usize>();
                Ok(Some(match rows {
                    Some(rows) => rows.iter().flat_map(|row| values[row * width..][..width].to_vec()).collect(),
                    None => values,
                }))
            }
            TensorSource::Loaded(tensors) => match tensors.remove(name) {
                Some(Ready::Small(compact)) => {
                    let mut values = Vec::new();
                    blocks::dequantise(compact.dtype, &compact.bytes, &mut values);
                    let count = rows.map_or(shape.first().copied().unwrap_or(1), <[usize]>::len)
                        * shape.iter().skip(1).product::<usize>();
                    if values.len() != count {
                        return Err(Error::Model(format!("Tensor {name} of {network} is damaged; load it again.")));
                    }
                    Ok(Some(values))
                }
                _ => Err(missing(network, name, shape)),
            },
        }
    }

    /// Ends the building of the network.
    ///
    /// # Errors
    /// Names the tensors that were not taken: the model does not match its config.
    pub fn finish(self) -> Result<()> {
        let left: Vec<String> = match self.origin {
            TensorSource::Loaded(tensors) => tensors.into_keys().collect(),
            TensorSource::Planned { shapes, .. } => shapes.into_keys().collect(),
            TensorSource::Formula(..) => return Ok(()),
        };
        if left.is_empty() {
            return Ok(());
        }
        let more = if left.len() > 3 { format!(" and {} more", left.len() - 3) } else { String::new() };
        let first = left.iter().take(3).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        Err(Error::Model(format!("{} has tensors that its config does not account for: {first}{more}.", self.network)))
    }
}

fn missing(network: &str, name: &str, shape: &[usize]) -> Error {
    Error::Model(format!("{network} has no tensor {name} of shape {shape:?}."))
}

fn plan(
    network: &str,
    shapes: &mut BTreeMap<String, Vec<usize>>,
    requests: &RefCell<Vec<TensorRequest>>,
    name: &str,
    shape: &[usize],
    rows: Option<&[usize]>,
    is_weight: bool,
) -> Result<()> {
    let stored = shapes.remove(name).ok_or_else(|| missing(network, name, shape))?;
    if !fits(&stored, shape) {
        return Err(Error::Model(format!(
            "Tensor {name} of {network} has shape {stored:?}, but the model's config asks for {shape:?}."
        )));
    }
    let request =
        TensorRequest { name: name.into(), shape: shape.into(), rows: rows.map(<[usize]>::to_vec), is_weight };
    requests.borrow_mut().push(request);
    Ok(())
}
