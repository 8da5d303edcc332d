//! Throughput under the rule `causal` against the rule `arrival`.
//!
//! Three servers, a client at each that reads and writes the same keys in turn, so that nearly every
//! update depends on one from elsewhere. The time ends when all servers have applied all updates.
//! Both clusters stand side by side and have many short turns, so that a machine that is slower for
//! a while is so for both.

use std::thread;
use std::time::{Duration, Instant};

use crate::lab::children::Children;
use crate::lab::random::Random;

use super::Bench;
use super::figures::length;
use super::load::{self, Batch};
use super::table::{Goal, Unit};
use super::wire::Wire;

const RULES: [&str; 2] = ["causal", "arrival"];
const SERVERS: usize = 3;
const KEYS: usize = 10_000;
const VALUE: &str = "0123456789abcdef";
const DEPTH: usize = 64;
/// How many requests each client makes at a time, and how often that is each rule's turn.
const REQUESTS: usize = 32_000;
const TURNS: usize = 12;
/// How many different batches it has.
const BATCHES: usize = 64;

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = bench.pin();
    let batches: Vec<Vec<Batch>> = (1..=3).map(batches).collect();
    let requests = bench.size(REQUESTS);
    let mut ratios = Vec::new();
    for repetition in 1..=bench.repeat() {
        let mut clusters = [start(bench, RULES[0])?, start(bench, RULES[1])?];
        let mut times = [Duration::ZERO; 2];
        for turn in 0..TURNS {
            // Whoever comes second must not always be the same.
            for place in [turn % 2, 1 - turn % 2] {
                times[place] += play(&mut clusters[place].1, &batches, requests / DEPTH)?;
            }
        }
        let [causal, arrival] =
            times.map(|time| length(SERVERS * requests * TURNS) / time.as_secs_f64());
        bench.say(&format!("{repetition}: {causal:.0} a second, arrival {arrival:.0}"));
        ratios.push(causal / arrival);
    }
    drop(pinned);
    let goal = Some(Goal::above(0.97, 0.99));
    bench.table.add("`causal` against `arrival`", Unit::Times, goal, &ratios);
    Ok(())
}

/// Servers under a rule, all with all keys.
fn start(bench: &Bench<'_>, order: &str) -> Result<(Children, Vec<Wire>), String> {
    let (children, mut wires) = bench.servers(SERVERS, &["--order", order])?;
    load::fill(&mut wires[0], KEYS, VALUE, DEPTH)?;
    let filled = load::own_last(&mut wires[0], 1)?;
    load::wait_until_applied(&mut wires, &[filled])?;
    Ok((children, wires))
}

/// How long servers take for so many rounds.
fn play(wires: &mut [Wire], batches: &[Vec<Batch>], rounds: usize) -> Result<Duration, String> {
    let began = Instant::now();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (wire, batches) in wires.iter_mut().zip(batches) {
            running.push(scope.spawn(move || repeat(wire, batches, rounds)));
        }
        let mut ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended.try_for_each(|done| done.unwrap_or_else(|_| Err("a client panicked".to_owned())))
    })?;
    let mut last = Vec::new();
    for (id, wire) in (1..).zip(&mut *wires) {
        last.push(load::own_last(wire, id)?);
    }
    load::wait_until_applied(wires, &last)?;
    Ok(began.elapsed())
}

fn batches(seed: u64) -> Vec<Batch> {
    let mut random = Random::new(seed);
    (0..BATCHES).map(|_| Batch::mixed(&mut random, DEPTH, KEYS, VALUE)).collect()
}

fn repeat(wire: &mut Wire, batches: &[Batch], rounds: usize) -> Result<(), String> {
    batches.iter().cycle().take(rounds).try_for_each(|batch| batch.play(wire))
}
