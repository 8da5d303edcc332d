//! What Alice and Bob do.

use std::path::Path;
use std::time::Duration;

use crate::client::{Client, Error, Options};

use super::stage::Stage;

/// How late `y` is at East.
pub(super) const DELAY_MS: &str = "3000";

/// A client of the lab's own at one server, which has to be there already.
pub(super) fn client(port: u16) -> Result<Client, Error> {
    let options = Options::new(vec![format!("127.0.0.1:{port}")]);
    Client::connect(Options { patience: Duration::ZERO, ..options })
}

/// Delays updates of `y` from West to East, or with `0` does so no longer.
pub(super) fn delay(west: &mut Client, delay_ms: &str) -> Result<(), String> {
    match west.request(&["DELAY", "3", delay_ms, "y"]) {
        Ok(_) => Ok(()),
        Err(Error::Refused(text)) => Err(format!("West does not delay updates: {text}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Where somebody's history is, in a folder of histories.
pub(super) fn history_path(folder: &Path, label: &str) -> String {
    folder.join(format!("{label}.log")).display().to_string()
}

/// Alice at West and Bob at Central play their parts; gives the version of `z`. They record what
/// they do and see in the folder `histories`, if there is one.
pub(super) fn play(
    stage: &mut Stage,
    west: u16,
    central: u16,
    histories: Option<&Path>,
) -> Result<String, String> {
    for (label, id, port) in [("Alice", 1, west), ("Bob", 2, central)] {
        let words = format!("--server {port} --id {id} --name {label}");
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if let Some(folder) = histories {
            arguments.extend(["--history".to_owned(), history_path(folder, label)]);
        }
        stage.start(label, "causal-client", &arguments)?;
        stage.wait_for(label, "connected to server on port")?;
    }
    stage.tell("Alice", "write x lost")?;
    stage.wait_for("Alice", "received update: x -> lost")?;
    stage.tell("Alice", "write y found")?;
    stage.wait_for("Alice", "received update: y -> found")?;
    stage.wait_for("Bob", "received update: y -> found")?;
    stage.tell("Bob", "read y")?;
    stage.wait_for("Bob", "read response")?;
    stage.wait_for("Bob", "received update: y -> found")?;
    stage.tell("Bob", "write z glad")?;
    let written = stage.wait_for("Bob", "received update: z -> glad with version ")?;
    stage.wait_for("Alice", "received update: z -> glad")?;
    stage.dismiss("Alice")?;
    stage.dismiss("Bob")?;
    let version = written.rsplit_once(" with version ").map(|(_, version)| version.to_owned());
    version.ok_or_else(|| "Bob did not say which version z has".to_owned())
}
