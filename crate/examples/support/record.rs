//! What a file of measurements says about itself.

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;
use styleid::{Error, Result};

/// The processor and its cores.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}

/// Programs that wanted the processor on average in the last minute, where the system tells.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Seconds since 1970, which the report writes as a date.
pub fn time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Writes what was measured.
pub fn write(path: &Path, run: &Value) -> Result<()> {
    std::fs::write(path, format!("{run:#}\n"))
        .map_err(|error| Error::File(format!("{} cannot be written ({error}).", path.display())))
}
