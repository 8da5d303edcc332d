//! The scripts of `tests/explorations`, explored: the file's first line is the claim, `# orders:`
//! names the delivery rules under which it is explored, and the `#>` lines are what was found. Under
//! `causal` and `total` nothing may fail; under each wrong rule something must.
//!
//! `UPDATE_GOLDEN=1 cargo test --release --test explorations` writes them anew.

mod golden;

use std::process::Command;

use causal_kv::core::Order;
use causal_kv::lab::explore::{Report, explore};
use causal_kv::lab::script::Script;

use golden::Golden;

const STATES_MAX: u64 = 1_000_000;

fn explored(golden: &Golden, order: Order) -> Report {
    let script = Script::parse(&golden.name, &golden.text).expect("it is well formed");
    explore(&script, order, STATES_MAX).expect("it can be explored")
}

/// Gives the rules under which something fails.
fn assert_found(golden: &Golden) -> Vec<Order> {
    let reports: Vec<(Order, Report)> =
        golden.orders.iter().map(|&order| (order, explored(golden, order))).collect();
    for (order, report) in &reports {
        assert!(report.complete, "{}: there are more states", golden.name);
        let is_right = matches!(order, Order::Causal | Order::Total);
        assert!(!is_right || report.holds, "{} under {order}:\n{}", golden.name, report.text);
        assert_eq!(report.holds, report.failing == 0);
    }
    golden.compare(reports.iter().map(|(_, report)| report.text.clone()));
    reports.into_iter().filter(|(_, report)| !report.holds).map(|(order, _)| order).collect()
}

#[test]
fn every_order_is_explored() {
    let all = golden::all("explorations");
    let small = all.iter().filter(|golden| golden.name != "the_stored_version_trap.txt");
    let caught: Vec<Order> = small.flat_map(assert_found).collect();
    for order in [Order::Arrival, Order::Original, Order::LastDependency, Order::NoLww] {
        assert!(caught.contains(&order), "{order} is not caught");
    }
}

/// The trap needs five writes on three servers: 190,000 states.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes more than a minute without --release")]
fn every_order_of_the_trap_is_explored() {
    let all = golden::all("explorations");
    let trap = all.iter().find(|golden| golden.name == "the_stored_version_trap.txt");
    let trap = trap.expect("it is there");
    assert_eq!(assert_found(trap), [Order::StoredVersion]);
}

fn explore_command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_causal-lab");
    let run = Command::new(program).arg("explore").args(arguments).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (run.status.code(), text(run.stdout), text(run.stderr))
}

const EFFECT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/explorations/an_effect_waits_for_its_cause.txt");

/// What is printed is a script: the simulator plays it, and so do real servers; it fails again.
#[test]
fn the_printed_run_can_be_played() {
    let (status, told, _) = explore_command(&[EFFECT, "--order", "arrival"]);
    assert_eq!(status, Some(1));
    let path = std::env::temp_dir().join(format!("causal-kv-run-{}.txt", std::process::id()));
    std::fs::write(&path, told).expect("it can be written");
    for stage in [&["--simulate"][..], &[]] {
        let mut play = Command::new(env!("CARGO_BIN_EXE_causal-lab"));
        let played = play.arg("play").arg(&path).args(stage).output().expect("it starts");
        let told = String::from_utf8(played.stdout).expect("it is text");
        assert_eq!(played.status.code(), Some(1), "{told}");
        let same = ["Every expectation was met.", "WriteCOInitRead"];
        assert!(same.iter().all(|words| told.contains(words)), "{told}");
    }
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn the_exit_status_says_what_was_found() {
    assert_eq!(explore_command(&[EFFECT]).0, Some(0));
    let (status, told, wrong) = explore_command(&[EFFECT, "--states", "100"]);
    assert_eq!(status, Some(2), "no fault, but no proof");
    assert!(told.contains("not all: there are more states"), "{told}");
    assert!(wrong.contains("there are more than 100 states") && wrong.lines().count() == 1);
    let kill = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/scripts/a_restarted_server_gets_its_data_back.txt"
    );
    let (status, _, wrong) = explore_command(&[kill]);
    assert_eq!(status, Some(2));
    assert!(wrong.contains("line 10: this cannot be explored"), "{wrong}");
    assert_eq!(explore_command(&[]).0, Some(2));
}
