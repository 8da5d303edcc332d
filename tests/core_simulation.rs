//! Thousands of random schedules around the core, and proof that they would notice a mistake.
//!
//! `SEED=n` replays one schedule, `SCHEDULES=n` says how many are played.

mod shared;
mod simulation;

use causal_kv::core::Order;
use simulation::narrow::squeeze;
use simulation::oracle::{Promise, Violation};
use simulation::{Flaw, Tally, play};

/// How many schedules are played unless `SCHEDULES` says otherwise.
const SCHEDULES: u64 = 12_000;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// No schedule breaks a promise; and in the schedules enough goes wrong to mean something.
#[test]
fn no_schedule_breaks_a_promise() {
    let schedules = number_from("SCHEDULES").unwrap_or(SCHEDULES);
    let seeds = number_from("SEED").map_or(0..schedules, |seed| seed..seed + 1);
    let many = seeds.end - seeds.start >= 1_000;
    let mut tally = Tally::default();
    for seed in seeds {
        match play(seed, None) {
            Ok(one) => tally = tally.plus(one),
            Err(Violation { promise, text }) => {
                panic!("{promise:?} is broken: {text}; replay it with SEED={seed}")
            }
        }
    }
    let rare = [tally.asked_again, tally.returned, tally.lost, tally.stranded];
    let rare = rare.into_iter().chain([tally.installed, tally.released]);
    let rare = rare.chain([tally.given_up, tally.forgotten]);
    assert!(!many || rare.into_iter().all(|count| count > 100), "a tame simulation: {tally:?}");
}

/// The same seed plays the same schedule, or `SEED=` would be of no use.
#[test]
fn a_seed_plays_the_same_schedule_again() {
    for seed in 0..20 {
        assert_eq!(
            play(seed, None).expect("no violation"),
            play(seed, None).expect("no violation")
        );
    }
}

/// However little room there is and whatever is dropped, asking again brings everything in the end.
#[test]
fn little_room_only_costs_asking_again() {
    let mut asked_total = 0;
    for seed in 0..1_000 {
        let (asked, missing) = squeeze(seed);
        assert_eq!(missing, 0, "updates never came; seed {seed}, asked {asked} times");
        asked_total += asked;
    }
    assert!(asked_total > 1_000, "there was too much room: {asked_total}");
}

/// Plays schedules with a flaw until one breaks a promise that the flaw must break.
fn assert_caught(flaw: Flaw, promises: &[Promise]) {
    let caught = (0..SCHEDULES).filter_map(|seed| play(seed, Some(flaw)).err());
    let mut caught = caught.map(|violation| violation.promise);
    assert!(caught.any(|broken| promises.contains(&broken)), "{flaw:?} was not noticed");
}

/// To show updates as they arrive is noticed.
#[test]
fn showing_on_arrival_is_caught() {
    assert_caught(Flaw::Follows(Order::Arrival), &[Promise::Causality]);
}

/// To ask the store whether a dependency is there is noticed: the trap.
#[test]
fn asking_the_store_is_caught() {
    assert_caught(Flaw::Follows(Order::StoredVersion), &[Promise::Causality]);
}

/// To wait for one dependency only is noticed.
#[test]
fn waiting_for_the_last_dependency_alone_is_caught() {
    assert_caught(Flaw::Follows(Order::LastDependency), &[Promise::Causality]);
}

/// That the last write to arrive stays is noticed, at once and in the end.
#[test]
fn the_last_arrival_winning_is_caught() {
    assert_caught(Flaw::Follows(Order::NoLww), &[Promise::LastWriter]);
    assert_caught(Flaw::Follows(Order::NoLww), &[Promise::Convergence]);
}

/// A context with one version for each server, not for each life, is noticed.
#[test]
fn one_version_a_server_is_caught() {
    assert_caught(Flaw::OneVersionAServer, &[Promise::Causality]);
}

/// To acknowledge what is only received is noticed: what is dropped later never comes again.
#[test]
fn acknowledging_receipt_is_caught() {
    assert_caught(Flaw::AcknowledgesReceipt, &[Promise::Convergence]);
}

/// To write after a start without asking anybody for the clock is noticed.
#[test]
fn asking_nobody_for_the_clock_is_caught() {
    assert_caught(Flaw::AsksNoClock, &[Promise::Uniqueness, Promise::Coverage]);
}

/// A snapshot whose copy was not made exact is noticed.
#[test]
fn a_snapshot_that_claims_too_much_is_caught() {
    assert_caught(Flaw::ClaimsTooMuch, &[Promise::LastWriter, Promise::Convergence]);
}

/// To take a log for complete behind a snapshot is noticed: what the snapshot brought goes no
/// further.
#[test]
fn a_forgotten_base_is_caught() {
    assert_caught(Flaw::ForgetsBase, &[Promise::Convergence]);
}

/// To forget a delete without asking anybody is noticed: an older write brings the key back.
#[test]
fn forgetting_alone_is_caught() {
    assert_caught(Flaw::ForgetsAlone, &[Promise::LastWriter, Promise::Convergence]);
}

/// To rely on what servers said, although they do not agree on who lives, is noticed.
#[test]
fn forgetting_without_agreement_is_caught() {
    assert_caught(Flaw::IgnoresLives, &[Promise::LastWriter, Promise::Convergence]);
}

/// To take what a dead life has sent, although a newer one is known, is noticed.
#[test]
fn hearing_the_dead_is_caught() {
    assert_caught(Flaw::HearsTheDead, &[Promise::LastWriter, Promise::Convergence]);
}
