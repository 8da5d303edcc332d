//! `--data-dir` beside Redis's append-only file, with the same promise of when it is synced.

use super::clients::in_turn;
use super::process::{Load, Redis};
use crate::lab::bench::Bench;
use crate::lab::bench::machine::Pinned;
use crate::lab::bench::table::{Goal, Unit};

/// Our word, Redis's word, writes, and what is to be reached.
const CASES: [(&str, &str, usize, (f64, f64)); 2] =
    [("interval", "everysec", 250_000, (1.0, 1.3)), ("always", "always", 100_000, (1.0, 1.5))];

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = Pinned::pin()?;
    for (fsync, appendfsync, requests, (at_least, aim)) in CASES {
        let requests = bench.size(requests);
        let load = Load { test: "set", depth: 16, clients: 50, requests, value_bytes: 3 };
        let mut ratios = Vec::new();
        for repetition in 1..=bench.repeat() {
            let data = bench.folder.join(format!("data-{fsync}-{repetition}"));
            let data = data.display().to_string();
            let (children, _wires) = bench.servers(1, &["--data-dir", &data, "--fsync", fsync])?;
            let appends = ["--appendonly", "yes", "--appendfsync", appendfsync];
            let redis = Redis::start(bench.folder, &appends)?;
            let ours = children.port(0);
            let (here, there) = in_turn(repetition, || load.run(ours), || load.run(redis.port()))?;
            bench.say(&format!("{repetition}: {fsync}: {here:.0} a second, Redis {there:.0}"));
            ratios.push(here / there);
        }
        let row = format!("`--data-dir`, `{fsync}` against AOF {appendfsync}, SET depth 16");
        bench.table.add(&row, Unit::Times, Some(Goal::above(at_least, aim)), &ratios);
    }
    drop(pinned);
    Ok(())
}
