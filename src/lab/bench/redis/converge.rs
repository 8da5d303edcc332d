//! Three servers beside a Redis primary with two replicas: all writes go to one, and the time ends
//! when the others have applied the last. Everything is on one processor, so it is the work of all
//! three that counts.
//!
//! First the stores are filled, then the same keys are overwritten, as in the measurements of one
//! server. Redis's replicas tell the primary once a second how far they are; they are asked themselves.

use std::time::Instant;

use super::clients::{FILL, in_turn};
use super::process::{Load, Redis, offset};
use crate::lab::bench::Bench;
use crate::lab::bench::figures::length;
use crate::lab::bench::load;
use crate::lab::bench::machine::Pinned;
use crate::lab::bench::table::{Goal, Unit};
use crate::lab::bench::wire::Wire;
use crate::lab::children::Children;

/// Depth, writes, and what is to be reached.
const CASES: [(u32, usize, (f64, f64)); 3] =
    [(1, 35_000, (0.85, 0.90)), (16, 250_000, (1.50, 1.80)), (64, 500_000, (1.90, 2.50))];

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = Pinned::pin()?;
    let mut ratios = vec![Vec::new(); 1 + CASES.len()];
    let sets = |(depth, requests, _)| Load { depth, clients: 50, requests, ..FILL };
    let loads = || std::iter::once(FILL).chain(CASES.map(sets));
    for repetition in 1..=bench.repeat() {
        let (mut ours, mut redis) = (Ours::start(bench)?, Replicated::start(bench)?);
        for ((at, load), ratios) in loads().enumerate().zip(&mut ratios) {
            let requests = if at == 0 { load.requests } else { bench.size(load.requests) };
            let load = Load { requests, ..load };
            let (here, there) = in_turn(repetition, || ours.play(load), || redis.play(load))?;
            let (depth, from) = (load.depth, if at == 0 { ", from empty" } else { "" });
            bench.say(&format!(
                "{repetition}: converged, depth {depth}{from}: {here:.0} writes a second, Redis \
                 {there:.0}"
            ));
            ratios.push(here / there);
        }
    }
    drop(pinned);
    for ((depth, _, (at_least, aim)), ratios) in CASES.into_iter().zip(&ratios[1..]) {
        let row = format!("3 servers converged, depth {depth}");
        bench.table.add(&row, Unit::Times, Some(Goal::above(at_least, aim)), ratios);
    }
    bench.table.add("the same from empty, depth 64, 20 clients", Unit::Times, None, &ratios[0]);
    Ok(())
}

/// Three servers.
struct Ours {
    children: Children,
    wires: Vec<Wire>,
}

impl Ours {
    fn start(bench: &Bench<'_>) -> Result<Self, String> {
        let (children, wires) = bench.servers(3, &[])?;
        Ok(Self { children, wires })
    }

    /// Writes a second, until all three have them.
    fn play(&mut self, load: Load) -> Result<f64, String> {
        let began = Instant::now();
        load.run(self.children.port(0))?;
        let last = load::own_last(&mut self.wires[0], 1)?;
        load::wait_until_applied(&mut self.wires[1..], &[last])?;
        Ok(length(load.requests) / began.elapsed().as_secs_f64())
    }
}

/// A Redis primary with two replicas.
struct Replicated {
    primary: (Redis, Wire),
    replicas: [(Redis, Wire); 2],
}

impl Replicated {
    fn start(bench: &Bench<'_>) -> Result<Self, String> {
        let start = |options: &[&str]| {
            let redis = Redis::start(bench.folder, options)?;
            let wire = redis.wire()?;
            Ok::<_, String>((redis, wire))
        };
        let primary = start(&["--repl-diskless-sync-delay", "0"])?;
        let port = primary.0.port().to_string();
        let follow = ["--replicaof", "127.0.0.1", &port];
        let mut all = Self { replicas: [start(&follow)?, start(&follow)?], primary };
        for (_, wire) in &mut all.replicas {
            let up = || Ok(wire.info("master_link_status")? == "up");
            load::wait_until("a replica is linked", up)?;
        }
        // A link that is up may still be about to start.
        all.primary.1.ask(&["SET", "first", "write"])?;
        all.wait_for_replicas()?;
        Ok(all)
    }

    /// Writes a second, until all three have them.
    fn play(&mut self, load: Load) -> Result<f64, String> {
        let began = Instant::now();
        load.run(self.primary.0.port())?;
        self.wait_for_replicas()?;
        Ok(length(load.requests) / began.elapsed().as_secs_f64())
    }

    /// Waits until all replicas have applied what the primary has written so far.
    fn wait_for_replicas(&mut self) -> Result<(), String> {
        let written = offset(&mut self.primary.1, "master_repl_offset")?;
        for (_, wire) in &mut self.replicas {
            load::wait_until("a replica has applied all", || {
                Ok(offset(wire, "slave_repl_offset")? >= written)
            })?;
        }
        Ok(())
    }
}
