//! What the GPU reports outside of any call: shaders that it refuses, allocations that fail, the loss of the device.
//! In the browser nothing else says so, and a run would go on with garbage; here the first report is kept, and ends it.

use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

static FAULTS: Faults = Faults(Mutex::new(None));

/// A report, by what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A kernel could not be compiled, and never will be.
    Kernel(String),
    /// The device is gone for good.
    Lost(String),
    /// There is no memory left.
    Memory,
    /// Anything else.
    Other(String),
}

impl Fault {
    /// What an error of the device is, by its words. Browsers name what was called: "… While calling
    /// \[Device\].CreateShaderModule(…)"; whatever uses an invalid pipeline later names that.
    pub fn of_message(message: &str) -> Self {
        let said = short(message);
        if ["shader", "pipeline", "wgsl"].iter().any(|word| message.to_lowercase().contains(word)) {
            Self::Kernel(said)
        } else {
            Self::Other(said)
        }
    }

    /// Reports of faults that stay. More is said by the first of two: what follows from it is less to the point.
    fn lasts(&self) -> bool {
        matches!(self, Self::Kernel(_) | Self::Lost(_))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Device(match fault {
            Fault::Kernel(said) => format!(
                "This GPU cannot run one of the program's kernels ({said}), so there is no result; update the browser and \
                 the graphics driver, or use another browser."
            ),
            Fault::Lost(said) => {
                format!("The GPU was lost ({said}): it was reset, unplugged or kept busy for too long; start again.")
            }
            Fault::Memory => "The GPU has no memory left; try a smaller size, or close what else uses it.".into(),
            Fault::Other(said) => format!("The GPU reported an error ({said}); try a smaller size, then restart."),
        })
    }
}

/// The first line that says something: messages run over many, with whole shaders in them.
fn short(message: &str) -> String {
    /// Characters that a sentence has room for.
    const ROOM: usize = 160;
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("without a word");
    let mut said: String = line.trim_end_matches(['.', ':']).chars().take(ROOM).collect();
    if line.chars().count() > ROOM {
        said.push('…');
    }
    said
}

/// The first fault that was reported, unless a later one says more.
struct Faults(Mutex<Option<Fault>>);

impl Faults {
    fn remember(&self, fault: Fault) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|first| !first.lasts() && fault.lasts()) {
            *first = Some(fault);
        }
    }

    fn check(&self) -> Result<()> {
        // A poisoned lock means that a reporter panicked while writing; what it wrote is still worth reading.
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = if first.as_ref().is_some_and(Fault::lasts) { first.clone() } else { first.take() };
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }
}

/// Keeps `fault` for the next [`check`], unless one is there that says more.
pub fn remember(fault: Fault) {
    FAULTS.remember(fault);
}

/// Fails if anything was reported since the last time, or if it was something that lasts.
///
/// # Errors
/// One sentence.
pub fn check() -> Result<()> {
    FAULTS.check()
}

/// Reads the log for what the GPU's runtime only writes there in the browser: why a shader could not be compiled, and that
/// the device is gone.
#[cfg(target_arch = "wasm32")]
pub struct Listener;

#[cfg(target_arch = "wasm32")]
impl Listener {
    /// Begins to listen, unless the program around this crate has a logger of its own: then the errors that follow from
    /// such a shader tell of it.
    pub fn install() {
        if log::set_logger(&Self).is_ok() {
            log::set_max_level(log::LevelFilter::Error);
        }
    }
}

#[cfg(target_arch = "wasm32")]
impl log::Log for Listener {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error && metadata.target().starts_with("cubecl_wgpu")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            remember(of_log(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// What cubecl-wgpu logs as an error: "\[cubecl-wgpu\] WGSL compilation failed for kernel `name`:", then the browser's
/// words, then the shader; or "the wgpu device was lost (why): more".
#[cfg(any(test, target_arch = "wasm32"))]
fn of_log(message: &str) -> Fault {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    if let Some((_, said)) = first.split_once("device was lost (") {
        return Fault::Lost(short(&said.replacen(')', "", 1)));
    }
    let first = first.trim_start_matches("[cubecl-wgpu] ");
    let why = if rest.is_empty() { String::new() } else { format!(": {}", short(rest)) };
    Fault::Kernel(format!("{}{why}", short(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILATION: &str = "[cubecl-wgpu] WGSL compilation failed for kernel `halve_f32`:\n\
        Error while parsing WGSL: :12:5 error: unresolved value 'oops'\n    oops;\n\
        --- shader source (40 bytes) ---\nfn main() {}\n--- end shader ---";

    fn sentence(fault: Fault) -> String {
        Error::from(fault).to_string()
    }

    #[test]
    fn what_is_logged_becomes_one_sentence() {
        assert_eq!(
            of_log(COMPILATION),
            Fault::Kernel(
                "WGSL compilation failed for kernel `halve_f32`: Error while parsing WGSL: :12:5 error: unresolved value \
                 'oops'"
                    .into()
            )
        );
        assert_eq!(
            of_log("the wgpu device was lost (Unknown): GPU process crashed."),
            Fault::Lost("Unknown: GPU process crashed".into())
        );
        for fault in [of_log(COMPILATION), of_log("the wgpu device was lost (Unknown): x"), Fault::Memory] {
            let said = sentence(fault);
            assert!(said.ends_with('.') && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let invalid = "[Invalid ShaderModule \"main\"] is invalid.\n - While validating compute stage";
        assert_eq!(Fault::of_message(invalid), Fault::Kernel("[Invalid ShaderModule \"main\"] is invalid".into()));
        assert!(matches!(Fault::of_message("Buffer size (1) exceeds the max buffer size (0)."), Fault::Other(_)));
        let long = Fault::of_message(&"é".repeat(1000));
        assert!(matches!(long, Fault::Other(said) if said.chars().count() == 161));
    }

    #[test]
    fn a_refused_kernel_outranks_and_outlasts_what_follows_from_it() {
        let faults = Faults(Mutex::new(None));
        faults.remember(Fault::Memory);
        assert!(faults.check().is_err());
        assert!(faults.check().is_ok(), "memory may be there the next time");
        faults.remember(Fault::Other("first".into()));
        faults.remember(Fault::Other("second".into()));
        assert!(faults.check().is_err_and(|error| error.to_string().contains("first")));
        faults.remember(Fault::Other("something followed".into()));
        faults.remember(of_log(COMPILATION));
        faults.remember(Fault::Kernel("[Invalid ComputePipeline] is invalid".into()));
        for _ in 0..2 {
            assert!(faults.check().is_err_and(|error| error.to_string().contains("`halve_f32`")));
        }
    }
}
