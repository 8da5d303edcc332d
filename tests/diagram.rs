//! Diagrams, from outside: `causal-lab diagram`, and what the files that it writes hold.

mod cluster;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use causal_kv::lab::diagram;
use causal_kv::trace::Event;
use cluster::folder::Folder;

fn trace(server: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/demonstration");
    folder.join(format!("{server}.log")).display().to_string()
}

fn diagram(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causal-lab"));
    command.arg("diagram").args(words).output().expect("causal-lab starts")
}

/// Exit status and standard error.
fn outcome(words: &[&str]) -> (Option<i32>, String) {
    let output = diagram(words);
    assert!(output.stdout.is_empty(), "what is written goes to files");
    (output.status.code(), String::from_utf8(output.stderr).expect("it is text"))
}

/// Asserts that each element is closed where it has to be, and gives the elements' names.
fn elements(markup: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = markup;
    while let Some((text, behind)) = rest.split_once('<') {
        assert!(!text.contains('>') || open.last().is_some_and(|name| name == "style"), "{text}");
        let (tag, behind) = behind.split_once('>').expect("a tag ends");
        assert!(tag.matches('"').count() % 2 == 0, "the quotes of <{tag}> are closed");
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{tag}");
        } else {
            let name = tag.split([' ', '\n', '/']).next().expect("a name");
            all.push(name.to_owned());
            if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
    all
}

#[test]
fn traces_become_a_figure_a_page_and_a_log() {
    let folder = Folder::create("diagram");
    let [west, central, east] = ["west", "central", "east"].map(trace);
    let (svg, page, log) = (folder.path("a.svg"), folder.path("a.HTML"), folder.path("log"));
    let drawn = outcome(&[&west, &central, &east, "-o", &svg, "--shiviz", &log]);
    assert_eq!(drawn, (Some(0), String::new()));
    assert_eq!(outcome(&["-o", &page, &east, &west, &central]), (Some(0), String::new()));
    let figure = folder.read("a.svg");
    let names = elements(&figure);
    assert_eq!(names[0], "svg");
    for part in ["Alice writes y = found", "waits for y (2, 1)", "West (1)", "+2492 ms"] {
        assert!(figure.contains(part), "{part} is missing");
    }
    assert!(folder.read("log").starts_with("West {\"West\":1}\nAlice writes x = lost\n"));
    let again = folder.path("again.svg");
    assert_eq!(outcome(&[&east, &central, "-o", &again, &west]).0, Some(0));
    assert_eq!(folder.read("again.svg"), figure, "the order of the files does not matter");
}

#[test]
fn files_need_nothing_but_themselves() {
    let text = ["west", "central", "east"].map(|name| fs::read_to_string(trace(name)));
    let lines = text.map(|text| text.expect("a file of this repository")).concat();
    let events: Vec<Event> = lines.lines().map(|line| line.parse().expect("an event")).collect();
    let figure = diagram::draw(&events, "A title").expect("it can be drawn");
    let namespace = "http://www.w3.org/2000/svg";
    for text in [figure.svg(), figure.html()] {
        let text = text.replace(namespace, "");
        for mark in ["http:", "https:", " src=", "@import", "url(//", "<link", "fetch("] {
            assert!(!text.contains(mark), "{mark}");
        }
        assert!(text.contains("prefers-color-scheme"), "it knows light and dark");
    }
    let titles = figure.svg().matches("<title>").count();
    assert!(titles > 14, "{titles}: every event has a tooltip");
}

#[test]
fn nothing_that_clients_write_becomes_markup() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img onerror=alert(1)>",
        "]]>&lt;<!--",
        "{script}{run}",
        "\u{202e}\u{0}\u{1b}[31m",
        &"long".repeat(1000),
    ];
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(hostile) {
        let text = causal_kv::text::quoted(text);
        lines.push(format!(
            "time={number} server=1 clock=1 event=start name={text} order={text} kind={text}\n\
             time={number} server=1 clock=1 event=write client={text} version=\"({number}, 1)\" \
             key={text} value={text}\n\
             time={number} server=2 clock=1 event=receive from=1 version=\"({number}, 1)\" \
             key={text} value={text}"
        ));
    }
    let lines = lines.join("\n");
    let events: Vec<Event> = lines.lines().map(|line| line.parse().expect("an event")).collect();
    let figure = diagram::draw(&events, hostile[0]).expect("it can be drawn");
    let (svg, page) = (figure.svg(), figure.html());
    let allowed = [
        "svg", "title", "desc", "style", "rect", "text", "tspan", "g", "path", "circle", "defs",
        "pattern",
    ];
    for name in elements(&svg) {
        assert!(allowed.contains(&name.as_str()), "<{name}>");
    }
    assert!(svg.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')));
    assert_eq!(page.matches("<script").count(), 2, "the data's and the script's own");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<!--"));
    assert!(svg.len() < 200_000, "{}: long texts are shortened", svg.len());
}

#[test]
fn bad_input_is_refused_and_a_torn_end_is_not() {
    let folder = Folder::create("diagram-refusals");
    let (svg, torn, bad) = (folder.path("a.svg"), folder.path("torn"), folder.path("bad"));
    let west = trace("west");
    let whole = fs::read_to_string(&west).expect("a file of this repository");
    fs::write(&torn, format!("{whole}time=17 server=1 clo")).expect("it can be written");
    fs::write(&bad, "time=17 server=1 clo\ntime=18\n").expect("it can be written");
    let (status, told) = outcome(&[&torn, "-o", &svg]);
    assert_eq!(status, Some(0));
    assert!(told.contains("torn, line 8 is torn and left out: "), "{told}");
    for (words, why) in [
        (vec!["-o", &svg], "name the traces"),
        (vec![&west], "say where to draw"),
        (vec![&west, "-o", "a.png"], "-o cannot be 'a.png'"),
        (vec![&west, "-o"], "-o needs a value"),
        (vec![&west, "--colour", "-o", &svg], "'--colour' is not an option of diagram"),
        (vec![&west, "-o", &svg, "--first", "0"], "--first cannot be '0'"),
        (vec![&west, "--shiviz", &west], "would overwrite the trace"),
        (vec!["missing.log", "-o", &svg], "missing.log: "),
        (vec![&bad, "-o", &svg], "bad, line 1: 'clo' is not a field"),
        (vec![&west, &west, "-o", &svg], "is named twice"),
    ] {
        let (status, told) = outcome(&words);
        assert_eq!(status, Some(2), "{words:?}: {told}");
        assert!(told.contains(why) && told.lines().count() == 1, "{words:?}: {told}");
    }
    assert!(west.ends_with("west.log") && fs::read_to_string(&west).is_ok_and(|now| now == whole));
}
