//! What the process uses of the machine, as Prometheus names it, read from `/proc` when somebody asks.

use std::fs;

/// Sets the `process_*` gauges to their present values. What cannot be read (no `/proc`) keeps its old one.
pub fn measure() {
    if let Some(bytes) = resident_memory_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(as_f64(bytes));
    }
    if let Some(seconds) = cpu_seconds() {
        metrics::gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(as_f64(files.count() as u64));
    }
}

/// Main memory that the process holds.
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    // Not `statm`: that counts pages, whose size it does not say.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Processor time used so far, from the scheduler's own count of nanoseconds over all threads.
fn cpu_seconds() -> Option<f64> {
    let mut nanoseconds: u64 = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else {
            continue;
        };
        nanoseconds += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(as_f64(nanoseconds) / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "a metric may lose what is below a part in 10^15")]
fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_uses_memory() {
        let bytes = super::resident_memory_bytes().unwrap();
        assert!(bytes > 1 << 20, "{bytes}");
    }
}
