//! What tensors a network is built from.

use std::cell::RefCell;
use std::rc::Rc;

use styleid::Result;
use styleid::model::tensors::Tensors;
use styleid::weights::WeightType;

/// Names and shapes of the tensors that `build` takes, in its order.
pub fn shapes(build: impl FnOnce(Tensors) -> Result<()>) -> Result<Vec<(String, Vec<usize>)>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let notes = seen.clone();
    let note = move |name: &str, shape: &[usize]| {
        notes.borrow_mut().push((name.to_string(), shape.to_vec()));
        vec![0.0; shape.iter().product()]
    };
    build(Tensors::from_formula("network", WeightType::Q4, Box::new(note)))?;
    Ok(seen.take())
}
