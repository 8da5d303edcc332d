//! How long after a write somebody else sees it at another server.
//!
//! A client at server 1 writes; another one has joined server 2 and is pushed what becomes visible
//! there. The time is from just before the request goes out until the push has been read, less the
//! link's delay. So it includes both clients' connections, and on one machine there is one clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::protocol::encode::array_into;

use super::Bench;
use super::figures::{histogram, ms, percentile};
use super::load::Batch;
use super::table::{Goal, Unit};
use super::wire::Wire;

/// How many writes are watched each time.
const WRITES: usize = 2_000;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(2);
const KEY: &str = "watched";
/// Other writes at the same server: so many at once, each so often. 20,000 a second.
const LOAD: (usize, Duration) = (16, Duration::from_micros(800));
/// So many keys they change.
const LOAD_KEYS: usize = 1_024;
/// The delay of a slow link.
const DELAY_MS: u32 = 20;

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let cases = [
        ("idle", 0, false, Some(Goal::below(2.0, 0.5))),
        ("20,000 writes a second", 0, true, None),
        ("a link of 20 ms, kept to the millisecond", DELAY_MS, false, None),
    ];
    for (name, delay_ms, loaded, goal) in cases {
        let (mut middles, mut tails, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for repetition in 1..=bench.repeat() {
            let times_ms = play(bench, delay_ms, loaded)?;
            let (p50, p99) = (percentile(&times_ms, 0.5), percentile(&times_ms, 0.99));
            bench.say(&format!("{repetition}: {name}: p50 {p50:.3} ms, p99 {p99:.3} ms"));
            middles.push(p50);
            tails.push(p99);
            all.extend(times_ms);
        }
        let row = |part: &str| format!("visibility delay beyond the link's, {name}, {part}");
        bench.table.add(&row("p50"), Unit::Ms, None, &middles);
        bench.table.add(&row("p99"), Unit::Ms, goal, &tails);
        let note = format!("Visibility delay beyond the link's, {name}:\n{}", histogram(&all));
        bench.notes.push(note);
    }
    Ok(())
}

/// The times of all writes, in milliseconds.
fn play(bench: &Bench<'_>, delay_ms: u32, loaded: bool) -> Result<Vec<f64>, String> {
    let delay = format!("2={delay_ms}");
    let (children, mut wires) = bench.servers(2, &["--delay", &delay])?;
    let writes = bench.size(WRITES);
    let mut watcher = Wire::connect(&children.address(1))?;
    watcher.ask(&["JOIN", "9"])?;
    let (address, enough) = (children.address(0), AtomicBool::new(false));
    let (sent, seen) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&mut watcher, writes));
        let loading = loaded.then(|| scope.spawn(|| load(&address, &enough)));
        let sent = write(&mut wires[0], writes);
        let seen = if sent.is_ok() { watching.join() } else { Ok(Ok(Vec::new())) };
        enough.store(true, Ordering::Relaxed);
        let load_done = loading.map_or(Ok(Ok(())), thread::ScopedJoinHandle::join);
        let panicked = |_| "a client panicked".to_owned();
        load_done.map_err(panicked)??;
        Ok::<_, String>((sent?, seen.map_err(panicked)??))
    })?;
    let delay_ms = f64::from(delay_ms);
    let times = sent.iter().zip(&seen);
    Ok(times.map(|(&sent, &seen)| ms(seen.duration_since(sent)) - delay_ms).collect())
}

/// Writes now and then; gives when.
fn write(wire: &mut Wire, writes: usize) -> Result<Vec<Instant>, String> {
    let mut sent = Vec::new();
    for number in 0..writes {
        let mut request = Vec::new();
        array_into(&mut request, &["SET", KEY, &number.to_string()]);
        thread::sleep(PAUSE);
        sent.push(Instant::now());
        wire.send(&request)?;
        wire.replies(1)?;
    }
    Ok(sent)
}

/// Gives when each of the writes was seen.
fn watch(wire: &mut Wire, writes: usize) -> Result<Vec<Instant>, String> {
    let mut seen = Vec::new();
    while seen.len() < writes {
        let push = wire.reply()?;
        let now = Instant::now();
        if let ["push", "replicate", KEY, value, _] = push.texts()[..] {
            if value != seen.len().to_string() {
                return Err(format!("{value} was seen instead of {}", seen.len()));
            }
            seen.push(now);
        }
    }
    Ok(seen)
}

/// Writes other keys at an even pace, until it is enough.
fn load(address: &str, enough: &AtomicBool) -> Result<(), String> {
    let mut wire = Wire::connect(address)?;
    let (count, every) = LOAD;
    let batches: Vec<Batch> =
        (0..LOAD_KEYS).step_by(count).map(|first| Batch::sets(first, count, "load")).collect();
    let mut next = Instant::now();
    for batch in batches.iter().cycle() {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        batch.play(&mut wire)?;
        next += every;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
