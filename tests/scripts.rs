//! The scripts of `tests/scripts`, played in the simulator: the file's name and first line are the
//! claim, `# orders:` names the delivery rules under which it is played, and the `#>` lines are the
//! transcripts and verdicts.
//!
//! `UPDATE_GOLDEN=1 cargo test --test scripts` writes them anew; then read what has changed.

mod golden;

use std::fs;
use std::process::Command as Process;

use causal_kv::core::Order;
use causal_kv::lab::play::command::{Command, simulate};
use causal_kv::lab::script::Script;
use causal_kv::trace::{Event, What};

use golden::Golden;

/// Transcript and verdict, and whether the play holds.
fn play(golden: &Golden, order: Order, seed: u64) -> (String, bool) {
    let script = Script::parse(&golden.name, &golden.text).expect("it is well formed");
    let command = Command { order: Some(order), seed, ..Command::default() };
    let mut out = Vec::new();
    let holds = simulate(&script, &command, &mut out).expect("the simulator goes on");
    (String::from_utf8(out).expect("it is text"), holds)
}

#[test]
fn every_script_plays_as_it_is_told() {
    let all = golden::all("scripts");
    assert!(all.len() > 20, "scripts are missing");
    for golden in all {
        golden.compare(golden.orders.iter().map(|&order| play(&golden, order, 0).0));
    }
}

/// The golden lines would also keep a failure. Whatever they say: causal and total order hold, for
/// every seed, and each wrong rule is caught by the checker.
#[test]
fn the_right_rules_hold_and_the_wrong_ones_are_caught() {
    let goldens = golden::all("scripts");
    let is_right = |order: Order| matches!(order, Order::Causal | Order::Total);
    for golden in &goldens {
        for &order in golden.orders.iter().filter(|&&order| is_right(order)) {
            for seed in 0..20 {
                let (told, holds) = play(golden, order, seed);
                assert!(holds, "{} under {order}, seed {seed}:\n{told}", golden.name);
            }
        }
    }
    for order in Order::ALL.into_iter().filter(|&order| !is_right(order)) {
        let caught = goldens.iter().filter(|golden| golden.orders.contains(&order));
        let mut caught = caught.map(|golden| play(golden, order, 0).0);
        assert!(caught.any(|told| told.contains("VIOLATED")), "{order} is not caught");
    }
}

fn play_command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_causal-lab");
    let run = Process::new(program).arg("play").args(arguments).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (run.status.code(), text(run.stdout), text(run.stderr))
}

#[test]
fn the_exit_status_is_the_verdict() {
    let script =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/an_effect_waits_for_its_cause.txt");
    let (status, told, _) = play_command(&[script, "--simulate", "--seed", "7"]);
    assert_eq!(status, Some(0));
    assert!(told.ends_with("The play holds.\n"), "{told}");
    let (status, told, _) = play_command(&[script, "--simulate", "--order", "arrival"]);
    assert_eq!(status, Some(1));
    assert!(told.contains("NOT MET") && told.contains("VIOLATED"), "{told}");
}

#[test]
fn a_wrong_command_or_script_is_refused_in_one_line() {
    let missing = "tests/scripts/no-such-script.txt";
    for (arguments, wrong) in [
        (&["--simulate"][..], "name the script to play; see --help"),
        (&["x", "--simulate", "--order", "casual"], "'casual' is not a delivery rule"),
        (&["x", "--seed", "1"], "--seed is for the simulator; add --simulate"),
        (&["x", "--diagram", "y"], "--diagram cannot be 'y': its name ends in .svg or .html"),
        (&["x", "y", "--simulate"], "'y' is not an option of play; see --help"),
        (&[missing, "--simulate"], "no-such-script.txt: No such file"),
        (
            &[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--simulate"],
            "Cargo.toml, line 1: ",
        ),
    ] {
        let (status, _, told) = play_command(arguments);
        assert_eq!(status, Some(2), "{arguments:?}");
        assert!(told.contains(wrong) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_trace_tells_of_every_server() {
    let script =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/an_effect_waits_for_its_cause.txt");
    let trace = std::env::temp_dir().join(format!("causal-kv-play-{}.log", std::process::id()));
    let path = trace.to_str().expect("a plain name");
    let figure = trace.with_extension("svg");
    let drawn = figure.to_str().expect("a plain name");
    let arguments = [script, "--simulate", "--trace", path, "--diagram", drawn];
    assert_eq!(play_command(&arguments).0, Some(0));
    let text = fs::read_to_string(&trace).expect("it was written");
    let drawn = fs::read_to_string(&figure).expect("it was written");
    for path in [trace, figure] {
        fs::remove_file(path).expect("it is there");
    }
    assert!(drawn.contains("<svg") && drawn.contains("glad"));
    let events: Vec<Event> = text.lines().map(|line| line.parse().expect("an event")).collect();
    let count = |fits: fn(&What) -> bool| events.iter().filter(|event| fits(&event.what)).count();
    assert_eq!(count(|what| matches!(what, What::Write { .. })), 3);
    assert_eq!(count(|what| matches!(what, What::Receive { .. })), 6);
    assert_eq!(count(|what| matches!(what, What::Apply { .. })), 6);
    assert_eq!(count(|what| matches!(what, What::Hold { .. })), 1);
}

/// What the README shows is true.
#[test]
fn the_readmes_script_holds() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let readme = fs::read_to_string(format!("{root}README.md")).expect("there is one");
    let shown = readme.lines().skip_while(|line| *line != "    # An effect waits for its cause.");
    let lines = shown.map_while(|line| line.strip_prefix("    ").map(|line| format!("{line}\n")));
    let script = Script::parse("README.md", &lines.collect::<String>()).expect("it is well formed");
    let mut out = Vec::new();
    let holds = simulate(&script, &Command::default(), &mut out).expect("the simulator goes on");
    assert!(holds && script.steps.len() > 8, "{}", String::from_utf8_lossy(&out));

    let explored = "tests/explorations/an_effect_waits_for_its_cause.txt";
    let golden = fs::read_to_string(format!("{root}{explored}")).expect("it is named there");
    assert!(
        readme.contains("23,760 runs through 136 different") && readme.contains("550 of 57,024")
    );
    assert!(golden.contains("causal: 136 states, 3 different histories, 23760 runs; none"));
    assert!(golden.contains("arrival: 284 states, 4 different histories, 57024 runs; 550 of them"));
}
