//! The driver: walks through a script, whatever the stage, and writes the transcript.

use std::collections::HashMap;
use std::io::Write;

use crate::core::Version;
use crate::lab::checker::{self, Model};
use crate::lab::history::Kind;
use crate::lab::script::{Script, Step};

use super::outcome::{Outcome, Unmet};
use super::record::Record;
use super::{News, Stage};

/// How long a statement waits for what it waits for.
pub(super) const PATIENCE_US: u64 = 10_000_000;

/// Why a step did not do what it should.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What it expects is not so; this is.
    Unmet(String),
    /// The stage broke down.
    Broken(String),
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

/// A play that is going on.
pub(super) struct Play<'a> {
    pub(super) script: &'a Script,
    pub(super) stage: &'a mut dyn Stage,
    out: &'a mut dyn Write,
    pub(super) record: Record,
    /// The newest write of each key.
    pub(super) newest: HashMap<String, Version>,
    /// Which servers run.
    pub(super) running: Vec<bool>,
    /// The line of the step that is being played.
    pub(super) line: usize,
}

/// Plays a script on a stage, writes the transcript to `out`, and judges. Blocks as long as the
/// stage does.
///
/// # Errors
/// The stage broke down: no verdict.
pub fn play(
    script: &Script,
    stage: &mut dyn Stage,
    out: &mut dyn Write,
) -> Result<Outcome, String> {
    let mut play = Play {
        record: Record::new(script),
        newest: HashMap::new(),
        running: vec![true; script.servers.len()],
        line: 0,
        script,
        stage,
        out,
    };
    let mut unmet = Vec::new();
    for step in &script.steps {
        unmet.extend(play.step(step)?);
    }
    play.tell_news();
    let history = play.record.into_history();
    let verdict = checker::check(&history, Model::Ccv);
    Ok(Outcome { unmet, history, verdict })
}

impl Play<'_> {
    /// Plays one step; gives what was not met.
    fn step(&mut self, step: &Step) -> Result<Option<Unmet>, String> {
        self.tell_news();
        self.line = step.line;
        let done = self.perform(&step.action);
        self.tell_news();
        let number = step.line.to_string();
        match done {
            Ok(shown) => {
                self.tell(self.stage.now_us(), &number, &format!("{:<30} {shown}", step.text));
                Ok(None)
            }
            Err(Trouble::Unmet(instead)) => {
                let text = format!("{:<30} NOT MET: {instead}", step.text);
                self.tell(self.stage.now_us(), &number, &text);
                Ok(Some(Unmet { line: step.line, statement: step.text.clone(), instead }))
            }
            Err(Trouble::Broken(why)) => {
                Err(format!("{}, line {}: {}: {why}", self.script.name, step.line, step.text))
            }
        }
    }

    /// Tries until there is an answer or the patience is over; then `None`.
    pub(super) fn until<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, String> {
        let deadline = self.stage.now_us().saturating_add(PATIENCE_US);
        loop {
            let found = attempt(self)?;
            self.tell_news();
            if found.is_some() || self.stage.now_us() >= deadline {
                return Ok(found);
            }
            self.stage.idle(deadline)?;
        }
    }

    /// Writes down what was noticed; pushes go into the history. Must be called between an answer
    /// and its recording, as what was pushed before the answer comes before it.
    pub(super) fn tell_news(&mut self) {
        for news in self.stage.news() {
            match news {
                News::Told { text, time_us } => self.tell(time_us, "", &format!("  {text}")),
                News::Pushed { client, key, value, version, time_us } => {
                    let name = &self.script.clients[client];
                    let what = match &value {
                        Some(value) => format!("{key} = {value} {version}"),
                        None => format!("that {key} is deleted {version}"),
                    };
                    self.tell(time_us, "", &format!("  {name} is pushed {what}"));
                    let shown = (value, Some(version));
                    self.record.add(client, self.line, Kind::Push, &key, shown);
                }
            }
        }
    }

    fn tell(&mut self, time_us: u64, number: &str, text: &str) {
        let (seconds, ms) = (time_us / 1_000_000, time_us / 1_000 % 1_000);
        // Who does not read it still gets the verdict.
        let line = format!("{seconds:>3}.{ms:03} {number:>4}  {text}");
        let _ = writeln!(self.out, "{}", line.trim_end());
    }
}
