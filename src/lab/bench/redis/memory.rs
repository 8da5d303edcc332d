//! The memory that a key takes, beside Redis: what a server has more in use with a million of them.
//! Ours has the log's tail in memory, too; it counts.

use std::thread;
use std::time::Duration;

use super::process::Redis;
use crate::lab::bench::Bench;
use crate::lab::bench::figures::{float, length};
use crate::lab::bench::load;
use crate::lab::bench::machine::resident_bytes;
use crate::lab::bench::table::{Goal, Unit};
use crate::lab::bench::wire::Wire;

const KEYS: usize = 1_000_000;
/// 32 bytes.
const VALUE: &str = "0123456789abcdef0123456789abcdef";
const DEPTH: usize = 64;
/// So long it takes until what was used by the way is given back.
const REST: Duration = Duration::from_millis(500);

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 1..=bench.repeat() {
        let (children, mut wires) = bench.servers(1, &[])?;
        let here = fill(children.pid(0).ok_or("the server has ended")?, &mut wires[0])?;
        let log = wires[0].info("used_memory_log")?;
        drop(children);
        let redis = Redis::start(bench.folder, &[])?;
        let there = fill(redis.pid()?, &mut redis.wire()?)?;
        bench.say(&format!(
            "{repetition}: {here:.0} B a key, Redis {there:.0}; ours has {log} B of log"
        ));
        ratios.push(here / there);
        ours.push(here);
        theirs.push(there);
    }
    let row = "resident bytes a key against Redis, 1 M keys of 16 B, values of 32 B";
    bench.table.add(row, Unit::Times, Some(Goal::below(1.30, 1.10)), &ratios);
    bench.table.add("resident bytes a key", Unit::Bytes, None, &ours);
    bench.table.add("resident bytes a key, Redis", Unit::Bytes, None, &theirs);
    Ok(())
}

/// The bytes that a key takes.
fn fill(pid: u32, wire: &mut Wire) -> Result<f64, String> {
    let before = resident_bytes(pid)?;
    load::fill(wire, KEYS, VALUE, DEPTH)?;
    thread::sleep(REST);
    Ok(float(resident_bytes(pid)?.saturating_sub(before)) / length(KEYS))
}
