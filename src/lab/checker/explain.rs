//! A finding in words: each operation once, with a letter, and then step by step why.

use crate::lab::history::{History, Kind};
use crate::text::quoted;

use super::path::{Because, Conflict, Step};
use super::verdict::{Finding, Pattern};

/// How much of a value is shown.
const VALUE_CHARACTERS_MAX: usize = 40;

/// A finding that is being put into words.
pub(super) struct Explanation<'a> {
    history: &'a History,
    operations: Vec<usize>,
    reasons: Vec<String>,
}

impl<'a> Explanation<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        Self { history, operations: Vec::new(), reasons: Vec::new() }
    }

    /// The letter of an operation.
    pub(super) fn name(&mut self, operation: usize) -> String {
        let known = self.operations.iter().position(|&other| other == operation);
        letter(known.unwrap_or_else(|| {
            self.operations.push(operation);
            self.operations.len() - 1
        }))
    }

    /// Adds a reason.
    pub(super) fn say(&mut self, reason: String) {
        // Parts of a cycle may have the same reason.
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Adds the reasons for some steps. `why` tells why the reader of a conflict comes after the
    /// write that it does not show.
    pub(super) fn steps(&mut self, steps: &[Step], why: &dyn Fn(Conflict) -> Vec<Step>) {
        for step in steps {
            // The first operation has the first letter.
            let from = self.name(step.from);
            if let Because::Conflict { reader } = step.because {
                let conflict = Conflict { from: step.from, to: step.to, reader };
                self.steps(&why(conflict), why);
                let (to, reader) = (self.name(step.to), self.name(reader));
                self.say(format!(
                    "so {from} is before {to}, as {reader} shows {to} and not {from}"
                ));
                continue;
            }
            let to = self.name(step.to);
            self.say(match step.because {
                Because::Reads => format!("{from} is before {to}: {to} shows it"),
                _ => format!("{from} is before {to}: its session did {to} later"),
            });
        }
    }

    /// As [`Explanation::steps`], for steps of causal order, among which there are no conflicts.
    pub(super) fn causal_steps(&mut self, steps: &[Step]) {
        self.steps(steps, &|_| Vec::new());
    }

    /// The finding; there are `count` like it.
    pub(super) fn finding(self, pattern: Pattern, count: usize) -> Finding {
        let Self { history, operations, reasons } = self;
        let lines = (0..).map(letter).zip(&operations);
        let lines =
            lines.map(|(letter, &operation)| format!("{letter} = {}", line(history, operation)));
        Finding { pattern, lines: lines.collect(), reasons, operations, count }
    }
}

fn letter(number: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).expect("below 26"));
    if number < 26 { letter.to_string() } else { format!("{letter}{}", number / 26) }
}

/// Where an operation stands.
pub(super) fn place(history: &History, operation: usize) -> String {
    let operation = &history.operations[operation];
    format!("{}:{}", history.files[operation.file], operation.line)
}

/// An operation in one line.
pub(super) fn line(history: &History, operation: usize) -> String {
    let place = place(history, operation);
    let operation = &history.operations[operation];
    let session = &history.sessions[operation.session];
    let key = shown(&history.keys[operation.key]);
    let version = operation.version.map(|version| format!(" {version}")).unwrap_or_default();
    let what = match (operation.kind, operation.value.as_deref().map(shown)) {
        (Kind::Write, Some(value)) => format!("writes {key} = {value}{version}"),
        (Kind::Read, Some(value)) => format!("reads {key} = {value}{version}"),
        (Kind::Read, None) => format!("reads {key}: nothing"),
        (Kind::Push, Some(value)) => format!("is pushed {key} = {value}{version}"),
        (Kind::Push, None) => format!("is pushed {key} deleted{version}"),
        (Kind::Unknown, Some(value)) => format!("perhaps writes {key} = {value}"),
        (Kind::Unknown, None) => format!("perhaps deletes {key}"),
        (Kind::Write | Kind::Delete, _) => format!("deletes {key}{version}"),
    };
    format!("{place}: session {} {what}", shown(session))
}

/// A text as it stands if it is a word, and quoted otherwise; the beginning of a long one.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
    let plain = |character: char| character.is_alphanumeric() || "@:-_.".contains(character);
    let more = if start.len() < text.len() { "..." } else { "" };
    if !start.is_empty() && start.chars().all(plain) {
        return start + more;
    }
    quoted(&start) + more
}
