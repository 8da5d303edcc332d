//! The histories of `tests/histories`, and what the checker says to them.

use std::fs;
use std::path::{Path, PathBuf};

use causal_kv::lab::checker::Model;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Golden {
    path: PathBuf,
    pub(crate) file: String,
    /// The claim.
    pub(crate) name: String,
    pub(crate) model: Model,
    text: String,
    /// The operations.
    pub(crate) history: String,
    /// The lines before the verdict, so that line numbers are the file's.
    pub(crate) history_in_place: String,
    pub(crate) verdict: String,
}

/// All files, by name.
pub(crate) fn all() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let entries = fs::read_dir(folder).expect("a folder of this repository");
    let mut all: Vec<Golden> = entries.flatten().map(|entry| read(entry.path())).collect();
    assert!(all.len() > 20, "histories are missing");
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn read(path: PathBuf) -> Golden {
    let text = fs::read_to_string(&path).expect("it is text");
    let file = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
    let name = file.strip_suffix(".txt").expect("they all end in .txt").to_owned();
    let model = text.lines().find_map(|line| line.strip_prefix("# model: "));
    let model = model.and_then(|model| model.parse().ok()).expect("it names its model");
    let part = |wanted: fn(&str) -> bool| -> String {
        text.lines().filter(|line| wanted(line)).map(|line| line.to_owned() + "\n").collect()
    };
    let history = part(|line| !line.starts_with('#'));
    let history_in_place = part(|line| !line.starts_with("#>"));
    let verdict = text.lines().filter_map(|line| line.strip_prefix("#>"));
    let verdict = verdict.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n");
    let verdict = verdict.collect();
    Golden { path, file, name, model, text, history, history_in_place, verdict }
}

impl Golden {
    /// Writes a new verdict, if that is asked for.
    pub(crate) fn update(&self, verdict: &str) {
        if std::env::var_os("UPDATE_GOLDEN").is_none() {
            return;
        }
        let (history, _) = self.text.split_once("#>").unwrap_or((&self.text, ""));
        let lines = verdict.lines().map(|line| format!("#> {line}").trim_end().to_owned() + "\n");
        let text = history.to_owned() + &lines.collect::<String>();
        fs::write(&self.path, text).expect("it can be written");
    }
}
