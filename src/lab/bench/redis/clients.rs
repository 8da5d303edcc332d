//! Throughput of one server beside Redis, by `redis-benchmark`, server and client on one processor.

use super::process::{Load, Redis};
use crate::lab::bench::Bench;
use crate::lab::bench::machine::Pinned;
use crate::lab::bench::table::{Goal, Unit};

/// What there is to read and to overwrite.
pub(super) const FILL: Load =
    Load { test: "set", depth: 64, clients: 20, requests: 300_000, value_bytes: 3 };

/// A load, and what is to be reached.
struct Case {
    name: &'static str,
    load: Load,
    goal: (f64, f64),
}

const fn case(
    name: &'static str,
    (test, value_bytes): (&'static str, u32),
    (depth, clients, requests): (u32, u32, usize),
    goal: (f64, f64),
) -> Case {
    Case { name, load: Load { test, depth, clients, requests, value_bytes }, goal }
}

const GET: (&str, u32) = ("get", 3);
const SET: (&str, u32) = ("set", 3);
const SET_KIB: (&str, u32) = ("set", 1024);

/// In the order in which they are played: what is read is small.
const CASES: [Case; 10] = [
    case("GET depth 1, 1 client", GET, (1, 1, 12_500), (1.02, 1.12)),
    case("GET depth 1, 50 clients", GET, (1, 50, 35_000), (0.82, 0.87)),
    case("GET depth 16, 50 clients", GET, (16, 50, 250_000), (0.95, 1.15)),
    case("GET depth 64, 50 clients", GET, (64, 50, 500_000), (1.15, 1.45)),
    case("SET depth 1, 1 client", SET, (1, 1, 12_500), (0.76, 0.88)),
    case("SET depth 1, 50 clients", SET, (1, 50, 35_000), (0.77, 0.85)),
    case("SET depth 16, 50 clients", SET, (16, 50, 250_000), (1.00, 1.25)),
    case("SET depth 64, 50 clients", SET, (64, 50, 500_000), (1.35, 1.80)),
    case("SET 1 KiB, depth 16", SET_KIB, (16, 50, 100_000), (1.10, 1.40)),
    case("SET 1 KiB, depth 64", SET_KIB, (64, 50, 200_000), (1.50, 2.00)),
];

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = Pinned::pin()?;
    let mut ratios = vec![Vec::new(); CASES.len()];
    for repetition in 1..=bench.repeat() {
        let (children, _wires) = bench.servers(1, &[])?;
        let redis = Redis::start(bench.folder, &[])?;
        let ours = children.port(0);
        FILL.run(ours)?;
        FILL.run(redis.port())?;
        for (case, ratios) in CASES.iter().zip(&mut ratios) {
            let load = Load { requests: bench.size(case.load.requests), ..case.load };
            let (here, there) = in_turn(repetition, || load.run(ours), || load.run(redis.port()))?;
            let name = case.name;
            bench.say(&format!("{repetition}: {name}: {here:.0} a second, Redis {there:.0}"));
            ratios.push(here / there);
        }
    }
    drop(pinned);
    for (case, ratios) in CASES.iter().zip(&ratios) {
        let goal = Some(Goal::above(case.goal.0, case.goal.1));
        bench.table.add(case.name, Unit::Times, goal, ratios);
    }
    Ok(())
}

/// Measures both; whoever comes second is not always the same.
pub(super) fn in_turn(
    repetition: usize,
    mut ours: impl FnMut() -> Result<f64, String>,
    mut redis: impl FnMut() -> Result<f64, String>,
) -> Result<(f64, f64), String> {
    if repetition.is_multiple_of(2) {
        let there = redis()?;
        return Ok((ours()?, there));
    }
    Ok((ours()?, redis()?))
}
