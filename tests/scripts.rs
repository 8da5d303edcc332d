//! The scripts of `tests/scripts`, played in the simulator: the file's name and first line are the
//! claim, `# orders:` names the delivery rules under which it is played, and the `#>` lines are the
//! transcripts and verdicts.
//!
//! `UPDATE_GOLDEN=1 cargo test --test scripts` writes them anew; then read what has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use causal_kv::core::Order;
use causal_kv::lab::play::command::{Command, simulate};
use causal_kv::lab::script::Script;
use causal_kv::trace::{Event, What};

struct Golden {
    path: PathBuf,
    name: String,
    text: String,
    orders: Vec<Order>,
}

impl Golden {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("it is text");
        let name =
            path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let orders = text.lines().find_map(|line| line.strip_prefix("# orders: "));
        let orders = orders.unwrap_or("causal").split(' ');
        let orders = orders.map(|order| order.parse().expect("a delivery rule")).collect();
        Self { path, name, text, orders }
    }

    /// Transcript and verdict, and whether the play holds.
    fn play(&self, order: Order, seed: u64) -> (String, bool) {
        let script = Script::parse(&self.name, &self.text).expect("it is well formed");
        let command = Command { order: Some(order), seed, ..Command::default() };
        let mut out = Vec::new();
        let holds = simulate(&script, &command, &mut out).expect("the simulator goes on");
        (String::from_utf8(out).expect("it is text"), holds)
    }

    fn expected(&self) -> String {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("#>"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n").collect()
    }

    fn update(&self, told: &str) {
        let (script, _) = self.text.split_once("#>").unwrap_or((&self.text, ""));
        let lines = told.lines().map(|line| format!("#> {line}").trim_end().to_owned() + "\n");
        let text = script.to_owned() + &lines.collect::<String>();
        fs::write(&self.path, text).expect("it can be written");
    }
}

fn all() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = fs::read_dir(folder).expect("a folder of this repository");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    assert!(paths.len() > 20, "scripts are missing");
    paths.sort();
    paths.into_iter().map(Golden::read).collect()
}

#[test]
fn every_script_plays_as_it_is_told() {
    for golden in all() {
        let plays = golden.orders.iter().map(|&order| golden.play(order, 0).0);
        let told = plays.collect::<Vec<_>>().join("\n----\n\n");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            golden.update(&told);
        } else {
            let trimmed =
                |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            assert_eq!(trimmed(&told), trimmed(&golden.expected()), "{}", golden.name);
        }
    }
}

/// The golden lines would also keep a failure. Whatever they say: causal and total order hold, for
/// every seed, and each wrong rule is caught by the checker.
#[test]
fn the_right_rules_hold_and_the_wrong_ones_are_caught() {
    let goldens = all();
    let is_right = |order: Order| matches!(order, Order::Causal | Order::Total);
    for golden in &goldens {
        for &order in golden.orders.iter().filter(|&&order| is_right(order)) {
            for seed in 0..20 {
                let (told, holds) = golden.play(order, seed);
                assert!(holds, "{} under {order}, seed {seed}:\n{told}", golden.name);
            }
        }
    }
    for order in Order::ALL.into_iter().filter(|&order| !is_right(order)) {
        let caught = goldens.iter().filter(|golden| golden.orders.contains(&order));
        let mut caught = caught.map(|golden| golden.play(order, 0).0);
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
    assert_eq!(play_command(&[script, "--simulate", "--trace", path]).0, Some(0));
    let text = fs::read_to_string(&trace).expect("it was written");
    fs::remove_file(&trace).expect("it is there");
    let events: Vec<Event> = text.lines().map(|line| line.parse().expect("an event")).collect();
    let count = |fits: fn(&What) -> bool| events.iter().filter(|event| fits(&event.what)).count();
    assert_eq!(count(|what| matches!(what, What::Write { .. })), 3);
    assert_eq!(count(|what| matches!(what, What::Receive { .. })), 6);
    assert_eq!(count(|what| matches!(what, What::Apply { .. })), 6);
    assert_eq!(count(|what| matches!(what, What::Hold { .. })), 1);
}
