//! What an update costs for each peer, with 3 to 16 servers on one machine: bytes on the links of
//! the server that writes, and processor time of all servers.
//!
//! What one server alone spends on the same writes is not counted: it does not depend on peers. All of
//! them keep to one processor: where one server leaves others idle, it pays for waking them up, and
//! sixteen do not. Bytes are counted in runs of their own, as a tap takes part in the work.

use std::time::Duration;

use super::Bench;
use super::figures::{float, length};
use super::load;
use super::machine;
use super::table::{Goal, Unit};
use super::tap::Tap;
use super::wire::Wire;

const SERVERS: [usize; 3] = [3, 8, 16];
/// They are written once before time is taken, and then in rounds.
const KEYS: usize = 50_000;
const ROUNDS: usize = 4;
/// So many writes go out at once; then their replies are waited for. The fewer there are, the more of
/// the time goes into waking the threads of all servers, one server after the other.
const DEPTHS: [usize; 2] = [64, 256];
const VALUE: &str = "0123456789abcdef0123456789abcdef";
/// So long it takes until whatever the servers do by the way shows in what they have used.
const REST: Duration = Duration::from_millis(50);

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = bench.pin();
    let mut bytes = [const { Vec::new() }; SERVERS.len()];
    let mut cpu_us = [const { [const { Vec::new() }; SERVERS.len()] }; DEPTHS.len()];
    for repetition in 1..=bench.repeat() {
        let alone = times_us(bench, 1)?;
        for (place, count) in SERVERS.into_iter().enumerate() {
            let (times, peers) = (times_us(bench, count)?, length(count - 1));
            let cost = |depth: usize| (times[depth] - alone[depth]) / peers;
            let on_links = link_bytes(bench, count)? / peers;
            bench.say(&format!(
                "{repetition}: {count} servers: {on_links:.0} B, {:.2} and {:.2} us for each peer",
                cost(0),
                cost(1)
            ));
            bytes[place].push(on_links);
            for (depth, cpu_us) in cpu_us.iter_mut().enumerate() {
                cpu_us[place].push(cost(depth));
            }
        }
    }
    drop(pinned);
    add(bench, "bytes", "", Unit::Bytes, &bytes);
    for (depth, cpu_us) in DEPTHS.into_iter().zip(&cpu_us) {
        let at_a_time = format!(", {depth} at a time");
        if machine::tells_of_processes() {
            add(bench, "CPU", &at_a_time, Unit::Us, cpu_us);
        } else {
            bench.miss(&row("CPU", &at_a_time), "this needs Linux");
        }
    }
    Ok(())
}

fn row(what: &str, how: &str) -> String {
    format!("servers 3 -> 16: {what} an update for each peer{how}")
}

/// Adds the rows about one cost, of which there are the numbers for each count of servers.
fn add(bench: &mut Bench<'_>, what: &str, how: &str, unit: Unit, numbers: &[Vec<f64>; 3]) {
    let [three, .., sixteen] = numbers;
    let ratios: Vec<f64> = sixteen.iter().zip(three).map(|(many, few)| many / few).collect();
    bench.table.add(&row(what, how), Unit::Times, Some(Goal::below(1.3, 1.0)), &ratios);
    for (count, numbers) in SERVERS.iter().zip(numbers) {
        bench.table.add(&format!("{what}, {count} servers{how}"), unit, None, numbers);
    }
}

/// The processor time of so many servers for an update, in microseconds, for each depth. Where nothing
/// tells of it, 0.
fn times_us(bench: &Bench<'_>, count: usize) -> Result<[f64; DEPTHS.len()], String> {
    let mut times = [0.0; DEPTHS.len()];
    if !machine::tells_of_processes() {
        return Ok(times);
    }
    let (children, mut wires) = bench.servers(count, &["--no-discovery"])?;
    let pids: Vec<u32> = (0..count).filter_map(|place| children.pid(place)).collect();
    let used = || pids.iter().map(|&pid| machine::cpu_us(pid)).sum::<Result<f64, String>>();
    play(&mut wires, DEPTHS[0])?;
    let rounds = bench.size(ROUNDS);
    for (time, depth) in times.iter_mut().zip(DEPTHS) {
        let before = used()?;
        for _ in 0..rounds {
            play(&mut wires, depth)?;
        }
        *time = (used()? - before) / length(rounds * KEYS);
    }
    Ok(times)
}

/// The bytes on the links of the server that writes, for an update.
fn link_bytes(bench: &Bench<'_>, count: usize) -> Result<f64, String> {
    let mut taps = Vec::new();
    let (_children, mut wires) =
        bench.servers_behind(count, &["--no-discovery"], |place, port| {
            if place > 0 {
                return Ok(port);
            }
            // The first server is dialled by all others, and dials none.
            taps.push(Tap::on(port, false)?);
            Ok(taps[0].port())
        })?;
    let passed = || taps.iter().map(Tap::bytes).sum::<u64>();
    let before = passed();
    play(&mut wires, DEPTHS[0])?;
    Ok(float(passed() - before) / length(KEYS))
}

/// Writes the keys at the first server, so many at a time, and waits until all have applied them.
fn play(wires: &mut [Wire], depth: usize) -> Result<(), String> {
    load::fill(&mut wires[0], KEYS, VALUE, depth)?;
    let last = load::own_last(&mut wires[0], 1)?;
    load::wait_until_applied(wires, &[last])?;
    std::thread::sleep(REST);
    Ok(())
}
