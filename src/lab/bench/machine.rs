//! The machine under the figures: what it is, which programs are there, and how to keep to one of
//! its processors.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::figures;

/// Where Linux tells of processes.
const PROCESSES: &str = "/proc";

/// What this machine is, for whoever reads the figures, and how busy others keep it (how many threads
/// ran or wanted to, in the last minute); with a colon behind each name.
pub(super) fn description() -> Vec<String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
    let kernel = said("uname", &["-sr"]).unwrap_or_else(|| "unknown".to_owned());
    let day = said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(|| "unknown".to_owned());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    vec![
        format!("processors: {cpus} x {model}"),
        format!("load when it began: {load}"),
        format!("system: {kernel}"),
        format!("date: {day}"),
        format!("causal-kv: {}", env!("CARGO_PKG_VERSION")),
    ]
}

/// The first line that a program prints; `None` if it is not there or fails.
pub(super) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// Whether a program is on the search path.
pub(super) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether this system tells what processes use.
pub(super) fn tells_of_processes() -> bool {
    Path::new(PROCESSES).join("self/schedstat").exists()
}

/// The processor time that the threads of a process that still run have used so far, in microseconds.
///
/// # Errors
/// The system does not tell.
pub(super) fn cpu_us(pid: u32) -> Result<f64, String> {
    let path = format!("{PROCESSES}/{pid}/task");
    let missing = |error| format!("{path}: {error}; this needs Linux");
    let mut all_ns = 0;
    for thread in fs::read_dir(&path).map_err(missing)? {
        let path = thread.map_err(missing)?.path().join("schedstat");
        // Unlike `stat`, which counts in hundredths of a second, and by samples.
        let Ok(text) = fs::read_to_string(&path) else { continue }; // it has just ended
        let ns = text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok());
        all_ns += ns.ok_or_else(|| format!("{} is not as expected", path.display()))?;
    }
    Ok(figures::float(all_ns) / 1e3)
}

/// The memory of a process that is in use, in bytes.
///
/// # Errors
/// The system does not tell.
pub(super) fn resident_bytes(pid: u32) -> Result<u64, String> {
    let text = told(pid, "status")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = kib.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| format!("/proc/{pid}/status has no VmRSS"))
}

fn told(pid: u32, what: &str) -> Result<String, String> {
    let path = format!("{PROCESSES}/{pid}/{what}");
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}; this needs Linux"))
}

/// While this lives, all of this process, and every program that it starts, keeps to the first
/// processor. So client and server spend from one purse, and no figure depends on where a thread
/// happened to wake up.
#[derive(Debug)]
pub(super) struct Pinned {
    before: String,
}

impl Pinned {
    /// Keeps to one processor from now on.
    ///
    /// # Errors
    /// `taskset` is not there, or fails.
    pub(super) fn pin() -> Result<Self, String> {
        let pid = std::process::id().to_string();
        let line = said("taskset", &["-c", "-p", &pid]).ok_or("taskset is missing")?;
        let before = line.rsplit_once(": ").ok_or(format!("taskset says '{line}'"))?.1.to_owned();
        let first: String = before.chars().take_while(char::is_ascii_digit).collect();
        keep_to(&first)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What could be narrowed can be widened again.
        let _ = keep_to(&self.before);
    }
}

fn keep_to(processors: &str) -> Result<(), String> {
    let pid = std::process::id().to_string();
    let done = said("taskset", &["-a", "-c", "-p", processors, &pid]);
    done.map(drop).ok_or_else(|| format!("taskset cannot keep this process to {processors}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_memory_and_time() {
        if !tells_of_processes() {
            return;
        }
        let own = std::process::id();
        assert!(resident_bytes(own).expect("Linux tells") > 100_000);
        assert!(cpu_us(own).expect("Linux tells") > 0.0);
        assert!(cpu_us(u32::MAX).is_err(), "there is no such process");
    }

    #[test]
    fn a_program_is_there_or_not() {
        assert!(has("sh") && !has("no-such-program-anywhere"));
    }
}
