//! Three servers beside a Redis primary with two replicas: all writes go to one, and the time ends
//! when the others have applied the last. Everything is on one processor, so it is the work of all
//! three that counts.
//!
//! Redis's replicas tell the primary once a second how far they are; they are asked themselves.

use std::time::Instant;

use super::clients::in_turn;
use super::process::{Load, Redis, offset};
use crate::lab::bench::Bench;
use crate::lab::bench::figures::length;
use crate::lab::bench::load;
use crate::lab::bench::machine::Pinned;
use crate::lab::bench::table::{Goal, Unit};
use crate::lab::bench::wire::Wire;

/// Depth, writes, and what is to be reached.
const CASES: [(u32, usize, (f64, f64)); 3] =
    [(1, 30_000, (0.85, 0.90)), (16, 200_000, (1.50, 1.80)), (64, 400_000, (1.90, 2.50))];

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = Pinned::pin()?;
    for (depth, requests, (at_least, aim)) in CASES {
        let requests = bench.size(requests);
        let load = Load { test: "set", depth, clients: 50, requests, value_bytes: 3 };
        let mut ratios = Vec::new();
        for repetition in 1..=bench.repeat() {
            let (here, there) = in_turn(repetition, || ours(bench, load), || redis(bench, load))?;
            bench.say(&format!(
                "{repetition}: converged, depth {depth}: {here:.0} writes a second, Redis {there:.0}"
            ));
            ratios.push(here / there);
        }
        let row = format!("3 servers converged, depth {depth}");
        bench.table.add(&row, Unit::Times, Some(Goal::above(at_least, aim)), &ratios);
    }
    drop(pinned);
    Ok(())
}

/// Writes a second, until all three have them.
fn ours(bench: &Bench<'_>, load: Load) -> Result<f64, String> {
    let (children, mut wires) = bench.servers(3, &[])?;
    let began = Instant::now();
    load.run(children.port(0))?;
    let last = load::own_last(&mut wires[0], 1)?;
    load::wait_until_applied(&mut wires[1..], &[last])?;
    Ok(length(load.requests) / began.elapsed().as_secs_f64())
}

/// The same for Redis.
fn redis(bench: &Bench<'_>, load: Load) -> Result<f64, String> {
    let primary = Redis::start(bench.folder, &["--repl-diskless-sync-delay", "0"])?;
    let port = primary.port().to_string();
    let follow = ["--replicaof", "127.0.0.1", &port];
    let replicas = [Redis::start(bench.folder, &follow)?, Redis::start(bench.folder, &follow)?];
    let mut wires = [replicas[0].wire()?, replicas[1].wire()?];
    let mut first = primary.wire()?;
    for wire in &mut wires {
        load::wait_until("a replica is linked", || Ok(wire.info("master_link_status")? == "up"))?;
    }
    // A link that is up may still be about to start.
    first.ask(&["SET", "first", "write"])?;
    wait_for_replicas(&mut first, &mut wires)?;
    let began = Instant::now();
    load.run(primary.port())?;
    wait_for_replicas(&mut first, &mut wires)?;
    Ok(length(load.requests) / began.elapsed().as_secs_f64())
}

/// Waits until all replicas have applied what the primary has written so far.
fn wait_for_replicas(primary: &mut Wire, replicas: &mut [Wire]) -> Result<(), String> {
    let written = offset(primary, "master_repl_offset")?;
    for wire in replicas {
        load::wait_until("a replica has applied all", || {
            Ok(offset(wire, "slave_repl_offset")? >= written)
        })?;
    }
    Ok(())
}
