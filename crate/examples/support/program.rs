//! A measuring program's arguments and its end.

use std::process::ExitCode;

use styleid::Result;
use styleid::weights::WeightType;

/// A kind of weights by its name.
pub fn weights(text: &str) -> std::result::Result<WeightType, String> {
    [WeightType::Exact, WeightType::F16, WeightType::Q8, WeightType::Q4]
        .into_iter()
        .find(|weights| weights.name() == text)
        .ok_or_else(|| "one of exact, f16, q8, q4".into())
}

/// The program's end: an error is said.
pub fn end(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
