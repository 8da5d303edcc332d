//! Golden scripts: files with a script, the delivery rules to try it under, and what comes of it.

use std::fs;
use std::path::{Path, PathBuf};

use causal_kv::core::Order;

/// One file.
pub(crate) struct Golden {
    path: PathBuf,
    /// Its name without the folder.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) orders: Vec<Order>,
}

/// All files of a folder of `tests`, by name.
pub(crate) fn all(folder: &str) -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(folder).expect("a folder of this repository");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().map(Golden::read).collect()
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

    /// Compares what was told under each rule with what stands in the file, or writes it there.
    pub(crate) fn compare(&self, told: impl Iterator<Item = String>) {
        let told = told.collect::<Vec<_>>().join("\n----\n\n");
        let told: Vec<String> =
            told.lines().map(|line| format!("#> {line}").trim_end().to_owned()).collect();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let (script, _) = self.text.split_once("#>").unwrap_or((&self.text, ""));
            let text = script.to_owned() + &told.join("\n") + "\n";
            if text != self.text {
                fs::write(&self.path, text).expect("it can be written");
            }
            return;
        }
        let expected: Vec<&str> = self.text.lines().filter(|line| line.starts_with("#>")).collect();
        assert_eq!(told.join("\n"), expected.join("\n"), "{}", self.name);
    }
}
