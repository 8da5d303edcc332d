//! How often a request asks for memory, in the steady state: `valgrind` counts.
//!
//! A server that only overwrites or reads keys that are there already is compared with one that
//! ended before that.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::lab::stage;
use crate::protocol::encode::array_into;

use super::Bench;
use super::figures::{float, length};
use super::load::{self, Batch, key};
use super::machine;
use super::table::Unit;
use super::wire::Wire;

const KEYS: usize = 1_000;
const REQUESTS: usize = 20_000;
const DEPTH: usize = 16;
const VALUE: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    if !machine::has("valgrind") {
        // It is a figure more, and nothing that must be reached.
        bench.say("allocations are NOT counted: valgrind is missing; apt-get install valgrind");
        return Ok(());
    }
    let nothing = count(bench, &[])?;
    for (name, batch) in [("SET", Batch::sets(0, DEPTH, VALUE)), ("GET", gets())] {
        let batches = vec![batch; REQUESTS / DEPTH];
        let asked = (count(bench, &batches)? - nothing) / length(REQUESTS);
        bench.table.add(&format!("allocations of a {name}, depth 16"), Unit::Count, None, &[asked]);
        bench.say(&format!("{asked:.2} allocations a {name}"));
    }
    Ok(())
}

fn gets() -> Batch {
    let mut bytes = Vec::new();
    for number in 0..DEPTH {
        array_into(&mut bytes, &["GET", &key(number)]);
    }
    Batch { bytes, requests: DEPTH }
}

/// How often a server asks for memory in a life with these requests.
fn count(bench: &Bench<'_>, batches: &[Batch]) -> Result<f64, String> {
    let report = bench.folder.join("valgrind.txt");
    let mut child = Counted(start(&report.display().to_string())?);
    let errors = child.0.stderr.take().ok_or("a server has no standard error")?;
    let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
    let port = lines.find_map(|line| line.rsplit_once(" listening on port ")?.1.parse().ok());
    let port: u16 = port.ok_or("a server under valgrind does not listen")?;
    let mut wire = Wire::connect(&format!("127.0.0.1:{port}"))?;
    load::wait_until("a server takes writes", || Ok(wire.info("loading")? == "0"))?;
    load::fill(&mut wire, KEYS, VALUE, DEPTH)?;
    batches.iter().try_for_each(|batch| batch.play(&mut wire))?;
    let mut last = Vec::new();
    array_into(&mut last, &["SHUTDOWN"]);
    wire.send(&last)?;
    child.0.wait().map_err(|error| error.to_string())?;
    let text = fs::read_to_string(&report).map_err(|error| error.to_string())?;
    total(&text).ok_or_else(|| format!("valgrind does not say how much was allocated: {text}"))
}

fn start(report: &str) -> Result<Child, String> {
    let mut command = Command::new("valgrind");
    command.args(["--leak-check=no", "--undef-value-errors=no"]);
    command.arg(format!("--log-file={report}")).arg(stage::beside("causal-server")?);
    command.args(["--id", "1", "--port", "0", "--quiet", "--until-eof"]).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|error| format!("cannot start valgrind: {error}"))
}

/// The number in `total heap usage: 1,234 allocs, ...`.
fn total(report: &str) -> Option<f64> {
    let (_, behind) = report.split_once("total heap usage: ")?;
    behind.split_once(" allocs")?.0.replace(',', "").parse().ok().map(float)
}

/// A server that is killed if it was not waited for.
struct Counted(Child);

impl Drop for Counted {
    fn drop(&mut self) {
        // Both fail only for what has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        let text = "==1== HEAP SUMMARY:\n==1==   total heap usage: 1,234 allocs, 9 frees\n";
        assert_eq!(total(text).map(f64::to_bits), Some(1234f64.to_bits()));
        assert_eq!(total("==1== Killed"), None);
    }
}
