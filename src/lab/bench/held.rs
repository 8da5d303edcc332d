//! How long the release of held updates takes.
//!
//! Server 1 writes one key whose updates to server 2 are delayed, and then others, which overtake it
//! and are held back there. When the delay ends, all of them become visible. The time is from the
//! end of the delay until server 2 holds nothing back and has applied the last.

use std::time::Instant;

use super::Bench;
use super::figures::ms;
use super::load;
use super::table::{Goal, Unit};

/// How many are held. One number is four times the other, in quick runs, too.
const HELD: [usize; 2] = [50_000, 200_000];
const FAR_AWAY_MS: &str = "1000000";

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let (mut ratios, mut times_ms) = (Vec::new(), [Vec::new(), Vec::new()]);
    for repetition in 1..=bench.repeat() {
        let (few_ms, many_ms) = (play(bench, HELD[0])?, play(bench, HELD[1])?);
        bench.say(&format!("{repetition}: {few_ms:.0} ms for 50,000, {many_ms:.0} ms for 200,000"));
        ratios.push(many_ms / few_ms);
        times_ms[0].push(few_ms);
        times_ms[1].push(many_ms);
    }
    let row = "200,000 held updates released against 50,000";
    bench.table.add(row, Unit::Times, Some(Goal::below(5.0, 4.0)), &ratios);
    bench.table.add("50,000 held updates released", Unit::Ms, None, &times_ms[0]);
    bench.table.add("200,000 held updates released", Unit::Ms, None, &times_ms[1]);
    Ok(())
}

/// How long the release of so many takes, in milliseconds.
fn play(bench: &Bench<'_>, count: usize) -> Result<f64, String> {
    let (_children, mut wires) = bench.servers(2, &[])?;
    wires[0].ask(&["DELAY", "2", FAR_AWAY_MS, "cause"])?;
    wires[0].ask(&["SET", "cause", "late"])?;
    load::fill(&mut wires[0], count, "held", 1_000)?;
    let held = count.to_string();
    load::wait_until("all updates are held back", || Ok(wires[1].info("pending")? == held))?;
    let last = load::own_last(&mut wires[0], 1)?;
    let began = Instant::now();
    wires[0].ask(&["HEAL", "2"])?;
    load::wait_until_applied(&mut wires[1..], &[last])?;
    let took_ms = ms(began.elapsed());
    match wires[1].info("pending")?.as_str() {
        "0" => Ok(took_ms),
        left => Err(format!("{left} updates are still held back")),
    }
}
