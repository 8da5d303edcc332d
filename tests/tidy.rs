//! The habits of this repository, checked: what is small, what may depend on what, what is named.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 50;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, with its path from the root and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of this repository").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    assert!(!paths.is_empty(), "{folder} has no Rust files");
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("it is below the root");
        (name.display().to_string(), fs::read_to_string(&path).expect("it is text"))
    };
    paths.into_iter().map(read).collect()
}

fn all_sources() -> Vec<(String, String)> {
    [sources("src"), sources("tests")].concat()
}

/// The code of a file without its comments and without its unit tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for (name, text) in all_sources() {
        assert!(text.starts_with("//!"), "{name} does not start with //!");
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{name} has {lines} lines");
    }
}

#[test]
fn every_function_is_short() {
    for (name, text) in all_sources() {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start().trim_start_matches("pub(super) ");
            let words = words.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if open.is_none() && words.starts_with("fn ") && !line.trim_end().ends_with('}') {
                open = Some((number, indent, words.to_owned()));
            }
            if let Some((start, start_indent, function)) = &open
                && indent == *start_indent
                && line.trim_start().starts_with('}')
            {
                let length = number - start + 1;
                assert!(length <= FUNCTION_LINES_MAX + 10, "{name}: {function} has {length} lines");
                open = None;
            }
        }
    }
}

#[test]
fn a_layer_knows_only_the_layers_below() {
    let order = ["core", "protocol", "log", "server", "client", "lab"];
    for (name, text) in sources("src") {
        let Some(layer) = order.iter().position(|layer| {
            name.starts_with(&format!("src/{layer}/")) || name == format!("src/{layer}.rs")
        }) else {
            continue;
        };
        let code = code(&text);
        let above = match order[layer] {
            // The server and the client are neighbours.
            "server" => vec!["client", "lab"],
            "client" => vec!["server", "log", "lab"],
            _ => order[layer + 1..].to_vec(),
        };
        for above in above {
            assert!(!code.contains(&format!("crate::{above}")), "{name} knows {above}");
        }
    }
}

#[test]
fn the_core_is_pure() {
    let allowed = ["collections", "fmt", "str", "cmp", "hash", "borrow", "hint"];
    for (name, text) in sources("src/core") {
        for line in code(&text).lines() {
            for (at, _) in line.match_indices("std::") {
                let module: String =
                    line[at + 5..].chars().take_while(|c| c.is_alphanumeric()).collect();
                assert!(
                    allowed.contains(&module.as_str()) || module == "error",
                    "{name} uses std::{module}"
                );
            }
        }
    }
}

#[test]
fn four_crates_and_no_other() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("there is one");
    let dependencies = manifest.split("[dependencies]").nth(1).expect("there are some");
    let section = dependencies.split("\n[").next().unwrap_or_default();
    let entries = section.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    let mut names: Vec<&str> =
        entries.map(|line| line.split(['=', ' ']).next().unwrap_or_default()).collect();
    names.sort_unstable();
    assert_eq!(names, ["crossbeam-channel", "env_logger", "log", "parking_lot"]);
    assert!(!manifest.contains("dev-dependencies"), "tests need only std, too");
}

#[test]
fn every_invariant_is_named_by_a_test() {
    let prose = fs::read_to_string(root().join("src/core/mod.rs")).expect("the protocol");
    let tests: String = sources("tests").into_iter().map(|(_, text)| text).collect();
    let invariants: Vec<u32> =
        (1..100).take_while(|number| prose.contains(&format!("//! - **I{number}** "))).collect();
    assert!(invariants.len() >= 8, "the list of invariants was not found");
    for number in invariants {
        assert!(tests.contains(&format!("fn i{number}_")), "no test is named after I{number}");
    }
}

#[test]
fn the_readme_names_every_module() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is one");
    for (name, _) in sources("src") {
        let module = name.trim_start_matches("src/");
        let folder = module.split('/').next().unwrap_or_default();
        let shown = readme.contains(&format!("`src/{folder}")) || readme.contains(&name);
        assert!(shown, "the README's tour does not name {name}");
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X"];
    for (name, text) in all_sources() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{name} has a {mark}");
        }
        assert!(!code(&text).contains(&("un".to_owned() + "safe ")), "{name} is not safe");
    }
}
