//! What an update costs for each peer, with 3 to 16 servers on one machine: bytes on the links of
//! the server that writes, and processor time of all servers.
//!
//! What one server alone spends on the same writes is not counted: it does not depend on peers. All of
//! them keep to one processor: where one server leaves others idle, it pays for waking them up, and
//! sixteen do not.

use std::time::Duration;

use super::Bench;
use super::figures::{float, length};
use super::load::{self, Batch};
use super::machine;
use super::table::{Goal, Unit};
use super::tap::Tap;

const SERVERS: [usize; 3] = [3, 8, 16];
const UPDATES: usize = 200_000;
const DEPTH: usize = 64;
const VALUE: &str = "0123456789abcdef0123456789abcdef";
/// So long it takes until whatever the servers do by the way shows in what they have used.
const REST: Duration = Duration::from_millis(50);

/// What one update cost.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us: f64,
    bytes: f64,
}

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let pinned = bench.pin();
    let (mut bytes, mut cpu_us) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for repetition in 1..=bench.repeat() {
        let alone = play(bench, 1)?;
        for (place, count) in SERVERS.into_iter().enumerate() {
            let all = play(bench, count)?;
            let peers = length(count - 1);
            let (cpu, on_links) = ((all.cpu_us - alone.cpu_us) / peers, all.bytes / peers);
            bench.say(&format!(
                "{repetition}: {count} servers: {on_links:.0} B and {cpu:.2} us for each peer"
            ));
            bytes[place].push(on_links);
            cpu_us[place].push(cpu);
        }
    }
    drop(pinned);
    let goal = Some(Goal::below(1.3, 1.0));
    for (what, unit, numbers) in [("bytes", Unit::Bytes, &bytes), ("CPU", Unit::Us, &cpu_us)] {
        if what == "CPU" && !machine::tells_of_processes() {
            bench.miss("servers 3 -> 16: CPU an update for each peer", "this needs Linux");
            continue;
        }
        let [three, .., sixteen] = numbers;
        let ratios: Vec<f64> = sixteen.iter().zip(three).map(|(many, few)| many / few).collect();
        let row = format!("servers 3 -> 16: {what} an update for each peer");
        bench.table.add(&row, Unit::Times, goal, &ratios);
        for (count, numbers) in SERVERS.iter().zip(numbers) {
            bench.table.add(&format!("{what}, {count} servers"), unit, None, numbers);
        }
    }
    Ok(())
}

/// What an update costs so many servers. Where nothing tells of processor time, it is 0.
fn play(bench: &Bench<'_>, count: usize) -> Result<Cost, String> {
    let mut taps = Vec::new();
    let (children, mut wires) =
        bench.servers_behind(count, &["--no-discovery"], |place, port| {
            if place > 0 {
                return Ok(port);
            }
            // The first server is dialled by all others, and dials none.
            taps.push(Tap::on(port, false)?);
            Ok(taps[0].port())
        })?;
    let used = || -> Result<f64, String> {
        if !machine::tells_of_processes() {
            return Ok(0.0);
        }
        let pids = (0..count).filter_map(|place| children.pid(place));
        pids.map(machine::cpu_us).sum()
    };
    let passed = || taps.iter().map(Tap::bytes).sum::<u64>();
    let before = (used()?, passed());
    let updates = bench.size(UPDATES);
    for first in (0..updates).step_by(DEPTH) {
        Batch::sets(first, DEPTH, VALUE).play(&mut wires[0])?;
    }
    let last = load::own_last(&mut wires[0], 1)?;
    load::wait_until_applied(&mut wires, &[last])?;
    std::thread::sleep(REST);
    let made = length(updates.next_multiple_of(DEPTH));
    let (cpu_us, bytes) = (used()? - before.0, passed() - before.1);
    Ok(Cost { cpu_us: cpu_us / made, bytes: float(bytes) / made })
}
