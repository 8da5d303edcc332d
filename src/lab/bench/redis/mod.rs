//! The store beside Redis: the same load on both, in turn, in one run.

mod clients;
mod converge;
mod disk;
mod growth;
mod memory;
mod process;

use super::machine;
use super::{Bench, arguments};

/// A part of what is measured here, and what it needs.
struct Part {
    name: &'static str,
    programs: &'static [&'static str],
    measure: fn(&mut Bench<'_>) -> Result<(), String>,
}

const SERVER: &[&str] = &["redis-server"];
const ALL: &[&str] = &["redis-server", "redis-benchmark", "taskset"];

const PARTS: [Part; 5] = [
    Part { name: "clients beside Redis", programs: ALL, measure: clients::measure },
    Part { name: "three servers beside Redis", programs: ALL, measure: converge::measure },
    Part { name: "data directory beside Redis", programs: ALL, measure: disk::measure },
    Part { name: "memory beside Redis", programs: SERVER, measure: memory::measure },
    Part { name: "a growing store beside Redis", programs: SERVER, measure: growth::measure },
];

/// Measures all parts for which everything is there.
pub(super) fn measure(bench: &mut Bench<'_>) {
    let missing: Vec<&str> = ALL.iter().copied().filter(|program| !machine::has(program)).collect();
    if !missing.is_empty() {
        let why = format!(
            "MISSING: {}; get it with: apt-get install redis-server redis-tools util-linux",
            missing.join(", ")
        );
        arguments::complain("causal-lab", &why);
    }
    if let Some(version) = machine::said("redis-server", &["--version"]) {
        bench.machine.push(format!("beside: {version}"));
    }
    for Part { name, programs, measure } in PARTS {
        match programs.iter().find(|program| missing.contains(program)) {
            Some(program) => bench.miss(name, &format!("{program} is missing")),
            None => bench.try_to(name, measure),
        }
    }
}
