//! Errors that the GPU reports asynchronously: rejected shaders, failed allocations, the loss of the device. In the
//! browser no call returns them, and a run would go on with garbage; here the first report is kept, and ends the run.

use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

static FAULTS: Faults = Faults(Mutex::new(None));

/// An error report, classified by what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A kernel could not be compiled, and never will be.
    Kernel(String),
    /// An invalid object was used. Another report says why, or the device is gone; Firefox reports this before the loss.
    Invalid(String),
    /// The device is gone for good.
    Lost(String),
    /// There is no memory left.
    Memory,
    /// A buffer is larger than the device allows.
    TooLarge(String),
    /// Anything else.
    Other(String),
}

impl Fault {
    /// Classifies a device error by its message. Browsers name the call that failed: "… While calling
    /// \[Device\].CreateShaderModule(…)"; what uses an invalid pipeline later names that pipeline.
    pub fn of_message(message: &str) -> Self {
        let said = short(message);
        let words = message.to_lowercase();
        let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
        // Wordings of cubecl, wgpu, and the browsers.
        if has(&["out of memory", "out-of-memory", "out of device memory", "not enough memory"]) {
            Self::Memory
        } else if has(&[" is invalid"]) {
            Self::Invalid(said)
        } else if has(&["can't allocate"]) || has(&["buffer"]) && has(&["exceeds the max", "larger than the max"]) {
            Self::TooLarge(said)
        } else if has(&["shader", "pipeline", "wgsl"]) {
            Self::Kernel(said)
        } else if has(&["poisoned", "device was lost", "device is lost"]) {
            Self::Lost(said)
        } else {
            Self::Other(said)
        }
    }

    /// As [`Fault::of_message`], for the reason of a failed computation: a heading, then causes, then a backtrace.
    pub fn of_execution(reason: &str) -> Self {
        let headings = ["Caused by:", "An error happened", "The device is poisoned"];
        let tells = |line: &&str| !line.is_empty() && !headings.iter().any(|heading| line.starts_with(heading));
        let said = reason.lines().map(str::trim).find(tells).unwrap_or(reason);
        match Self::of_message(reason) {
            Self::TooLarge(_) => Self::TooLarge(short(said)),
            Self::Kernel(_) => Self::Kernel(short(said)),
            Self::Invalid(_) => Self::Invalid(short(said)),
            Self::Lost(_) => Self::Lost(short(said)),
            Self::Other(_) => Self::Other(short(said)),
            Self::Memory => Self::Memory,
        }
    }

    /// Whether the fault persists. Of two such faults the first says more; the second may only follow from it.
    fn lasts(&self) -> bool {
        self.is_cause() || matches!(self, Self::Invalid(_))
    }

    /// Whether other reports follow from this one.
    fn is_cause(&self) -> bool {
        matches!(self, Self::Kernel(_) | Self::Lost(_))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Kernel(said) | Fault::Invalid(said) => Self::Unsupported(format!(
                "This GPU cannot run one of the program's kernels ({said}), so there is no result; update the browser and \
                 the graphics driver, or use another browser."
            )),
            Fault::Lost(said) => Self::Device(format!(
                "The GPU was lost ({said}): it was reset, unplugged or kept busy for too long; start again."
            )),
            Fault::Memory => Self::Memory(
                "The GPU's memory ran out; try the weights q4 or a smaller size, or close what else uses the GPU."
                    .into(),
            ),
            Fault::TooLarge(said) => Self::Memory(format!(
                "The run needs a larger piece of memory than this GPU gives ({said}); try the weights q4 or a smaller size."
            )),
            Fault::Other(said) => {
                Self::Device(format!("The GPU reported an error ({said}); try a smaller size, then restart."))
            }
        }
    }
}

/// The first line that is not empty: messages have many lines, and whole shaders in them.
fn short(message: &str) -> String {
    /// Maximum number of characters to quote.
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
        let says_more = |first: &Fault| !first.lasts() && fault.lasts() || !first.is_cause() && fault.is_cause();
        if first.as_ref().is_none_or(says_more) {
            *first = Some(fault);
        }
    }

    fn lacks_cause(&self) -> bool {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*first, Some(Fault::Invalid(_)))
    }

    fn check(&self) -> Result<()> {
        // A poisoned lock means that a reporter panicked while writing; what it wrote is still worth reading.
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = if first.as_ref().is_some_and(Fault::lasts) { first.clone() } else { first.take() };
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }
}

/// Keeps `fault` for the next [`check`], unless the fault that is already kept says more.
pub fn remember(fault: Fault) {
    FAULTS.remember(fault);
}

/// Fails if a fault was reported since the last check, or if an earlier one persists.
///
/// # Errors
/// One sentence.
pub fn check() -> Result<()> {
    FAULTS.check()
}

/// Whether the kept report is a consequence of another one that is still to come.
pub fn lacks_cause() -> bool {
    FAULTS.lacks_cause()
}

/// Drops all reports: what they are about, a GPU or a kernel, is given up, and they do not concern what replaces it.
#[cfg(any(feature = "gpu", not(target_arch = "wasm32")))]
pub fn forget() {
    *FAULTS.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Reads the log for errors that the GPU runtime only logs in the browser: why a shader could not be compiled, and the
/// loss of the device.
#[cfg(target_arch = "wasm32")]
pub struct Listener;

#[cfg(target_arch = "wasm32")]
impl Listener {
    /// Starts to listen, unless the program around this crate has its own logger. Then only the errors that follow from
    /// such a shader reveal it.
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

/// Parses an error that cubecl-wgpu logs: "\[cubecl-wgpu\] WGSL compilation failed for kernel `name`:", then the
/// browser's message, then the shader; or "the wgpu device was lost (why): more".
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
        assert_eq!(Fault::of_message(invalid), Fault::Invalid("[Invalid ShaderModule \"main\"] is invalid".into()));
        let firefox = "ComputePipeline with 'product_l_f32' label is invalid";
        assert_eq!(Fault::of_message(firefox), Fault::Invalid(firefox.into()));
        assert!(matches!(Fault::of_message("Buffer size (1) exceeds the max buffer size (0)."), Fault::TooLarge(_)));
        assert_eq!(Fault::of_message("Out of memory while creating a pipeline."), Fault::Memory);
        assert!(matches!(Fault::of_message("Copy range is odd."), Fault::Other(_)));
        let long = Fault::of_message(&"é".repeat(1000));
        assert!(matches!(long, Fault::Other(said) if said.chars().count() == 161));
    }

    #[test]
    fn a_failed_computation_tells_memory_from_a_lost_device() {
        let of = |reason: &str| {
            let error = Error::from(Fault::of_execution(reason));
            assert!(!error.to_string().contains('\n'), "{error}");
            (error.kind(), error.to_string())
        };
        assert_eq!(of("An error happened during execution\nCaused by:\n  invalid shader").0, "unsupported");
        let memory =
            "An error happened during execution\nCaused by:\n  out of device memory allocating 4096 bytes\n   0: f";
        assert_eq!(of(memory).0, "memory");
        let large = "An error happened during execution\nCaused by:\n  can't allocate buffer of size: 9\n   0: f";
        let (kind, said) = of(large);
        assert_eq!(kind, "memory");
        assert!(said.contains("(can't allocate buffer of size: 9); try the weights q4 or a smaller size"), "{said}");
        let (kind, said) = of("The device is poisoned\nCaused by:\n  gone");
        assert_eq!(kind, "device");
        assert!(said.starts_with("The GPU was lost (gone)"), "{said}");
        assert_eq!(of("An error happened during execution\nCaused by:\n  something else").0, "device");
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
        faults.remember(Fault::of_message("[Invalid ComputePipeline] is invalid"));
        for _ in 0..2 {
            assert!(faults.check().is_err_and(|error| error.to_string().contains("`halve_f32`")));
        }
    }

    #[test]
    fn what_is_invalid_gives_way_to_its_cause_whenever_that_is_told() {
        let faults = Faults(Mutex::new(None));
        assert!(!faults.lacks_cause());
        faults.remember(Fault::Other("first".into()));
        faults.remember(Fault::of_message("ComputePipeline with 'product_l_f32' label is invalid"));
        assert!(faults.lacks_cause());
        assert!(faults.check().is_err_and(|error| error.to_string().contains("kernels (ComputePipeline with")));
        faults.remember(of_log("the wgpu device was lost (Destroyed): x"));
        faults.remember(Fault::of_message("CommandBuffer with '' label is invalid"));
        assert!(!faults.lacks_cause());
        assert!(faults.check().is_err_and(|error| error.to_string().starts_with("The GPU was lost (Destroyed")));
    }
}
