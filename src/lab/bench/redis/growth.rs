//! The worst that a reader sees while the store grows, beside Redis: one client writes new keys,
//! another one reads the same key again and again and looks how long each answer takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::process::Redis;
use crate::lab::bench::Bench;
use crate::lab::bench::figures::{ms, percentile};
use crate::lab::bench::load;
use crate::lab::bench::table::{Goal, Unit};
use crate::lab::bench::wire::Wire;
use crate::protocol::encode::array_into;

const KEYS: usize = 2_000_000;
const VALUE: &str = "0123456789abcdef0123456789abcdef";
const DEPTH: usize = 64;
/// Between two reads: short beside any pause that somebody would notice.
const PAUSE: Duration = Duration::from_micros(200);

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for repetition in 1..=bench.repeat() {
        let (children, mut wires) = bench.servers(1, &[])?;
        let here = play(&mut wires[0], Wire::connect(&children.address(0))?)?;
        drop(children);
        let redis = Redis::start(bench.folder, &[])?;
        let there = play(&mut redis.wire()?, redis.wire()?)?;
        for (name, times_ms) in [("ours", &here), ("Redis", &there)] {
            let (p99, worst) = (percentile(times_ms, 0.99), percentile(times_ms, 1.0));
            bench.say(&format!("{repetition}: GET, {name}: p99 {p99:.2} ms, worst {worst:.2} ms"));
        }
        ours.push(percentile(&here, 1.0));
        theirs.push(percentile(&there, 1.0));
    }
    let row = "worst GET while the store grows to 2 M keys";
    bench.table.add(row, Unit::Ms, Some(Goal::below(20.0, 5.0)), &ours);
    bench.table.add(&format!("{row}, Redis"), Unit::Ms, None, &theirs);
    Ok(())
}

/// How long each read took, in milliseconds.
fn play(writer: &mut Wire, reader: Wire) -> Result<Vec<f64>, String> {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| read(reader, &enough));
        let filled = load::fill(writer, KEYS, VALUE, DEPTH);
        enough.store(true, Ordering::Relaxed);
        let times_ms = reading.join().map_err(|_| "the reader panicked".to_owned())?;
        filled.and(times_ms)
    })
}

fn read(mut wire: Wire, enough: &AtomicBool) -> Result<Vec<f64>, String> {
    let mut request = Vec::new();
    array_into(&mut request, &["GET", &load::key(0)]);
    let mut times_ms = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let began = Instant::now();
        wire.send(&request)?;
        wire.replies(1)?;
        times_ms.push(ms(began.elapsed()));
        thread::sleep(PAUSE);
    }
    Ok(times_ms)
}
