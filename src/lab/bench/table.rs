//! What was measured, row by row, beside what is to be reached: as text for people, and as markdown
//! that goes into the README as it is.

use std::fmt::{self, Write as _};

use super::figures::median;

/// What a row's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// How many times as much, or as fast, as the other.
    Times,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Bytes.
    Bytes,
    /// Hundredths.
    Percent,
    /// Plain numbers.
    Count,
}

impl Unit {
    /// How many digits are shown behind the point, and what behind them.
    fn form(self) -> (usize, &'static str) {
        match self {
            Self::Times => (2, "x"),
            Self::Ms => (2, " ms"),
            Self::Us => (2, " us"),
            Self::Bytes => (0, " B"),
            Self::Percent => (2, " %"),
            Self::Count => (2, ""),
        }
    }

    fn show(self, number: f64) -> String {
        let (digits, name) = self.form();
        format!("{number:.digits$}{name}")
    }

    /// A number as it is shown: what cannot be seen does not decide.
    fn round(self, number: f64) -> f64 {
        let digits = self.form().0;
        format!("{number:.digits$}").parse().unwrap_or(number)
    }
}

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    at_least: f64,
    aim: f64,
    more_is_better: bool,
}

impl Goal {
    /// Of something of which more is better.
    pub(super) fn above(at_least: f64, aim: f64) -> Self {
        Self { at_least, aim, more_is_better: true }
    }

    /// Of something of which less is better.
    pub(super) fn below(at_least: f64, aim: f64) -> Self {
        Self { at_least, aim, more_is_better: false }
    }

    fn sign(self) -> &'static str {
        if self.more_is_better { "" } else { "<= " }
    }

    /// One word.
    fn verdict(self, measured: f64) -> &'static str {
        let reaches =
            |goal: f64| if self.more_is_better { measured >= goal } else { measured <= goal };
        match (reaches(self.aim), reaches(self.at_least)) {
            (true, _) => "aim",
            (_, true) => "at least",
            _ => "short",
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug)]
struct Row {
    scenario: String,
    /// Measured once or more; or why it could not be.
    measured: Result<Vec<f64>, String>,
    unit: Unit,
    goal: Option<Goal>,
}

impl Row {
    /// Scenario, measured, at least, aim, verdict.
    fn cells(&self) -> [String; 5] {
        let goal = |number: fn(Goal) -> f64| {
            let shown = |goal: Goal| format!("{}{}", goal.sign(), self.unit.show(number(goal)));
            self.goal.map(shown).unwrap_or_default()
        };
        let (measured, verdict) = match &self.measured {
            Err(why) => (format!("not measured: {why}"), "missing"),
            Ok(numbers) => (
                self.spread(numbers),
                self.goal.map_or("", |goal| goal.verdict(self.unit.round(median(numbers)))),
            ),
        };
        let verdict = verdict.to_owned();
        [self.scenario.clone(), measured, goal(|g| g.at_least), goal(|g| g.aim), verdict]
    }

    fn spread(&self, numbers: &[f64]) -> String {
        let shown = self.unit.show(median(numbers));
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = (self.unit.show(low), self.unit.show(high));
        if low == high { shown } else { format!("{shown} ({low} to {high})") }
    }
}

/// All that was measured so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

const HEADS: [&str; 5] = ["scenario", "measured", "at least", "aim", "verdict"];

impl Table {
    /// Adds a row of numbers, of which there is at least one.
    pub(super) fn add(&mut self, scenario: &str, unit: Unit, goal: Option<Goal>, numbers: &[f64]) {
        debug_assert!(!numbers.is_empty(), "{scenario}");
        let measured = Ok(numbers.to_vec());
        self.rows.push(Row { scenario: scenario.to_owned(), measured, unit, goal });
    }

    /// Adds a row for what could not be measured, and why.
    pub(super) fn add_missing(&mut self, scenario: &str, why: &str) {
        let measured = Err(why.to_owned());
        self.rows.push(Row {
            scenario: scenario.to_owned(),
            measured,
            unit: Unit::Count,
            goal: None,
        });
    }

    /// Whether everything could be measured.
    pub(super) fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.measured.is_ok())
    }

    /// The table as markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut line = |cells: &[String; 5]| {
            let cells = cells.each_ref().map(|cell| cell.replace('|', "\\|"));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line(&HEADS.map(str::to_owned));
        line(&HEADS.map(|_| "---".to_owned()));
        self.rows.iter().for_each(|row| line(&row.cells()));
        text
    }
}

/// The table as text, in columns.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEADS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let widest = |column: usize| lines.iter().map(move |cells| cells[column].chars().count());
        let widths: [usize; 5] = [0, 1, 2, 3, 4].map(|column| widest(column).max().unwrap_or(0));
        for cells in &lines {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_reached() {
        let mut table = Table::default();
        let goal = Some(Goal::above(1.0, 1.25));
        table.add("fast", Unit::Times, goal, &[1.3, 1.2, 1.4]);
        table.add("enough", Unit::Times, goal, &[0.996]);
        table.add("slow", Unit::Times, goal, &[0.994]);
        table.add("small", Unit::Bytes, Some(Goal::below(96.0, 64.0)), &[72.0]);
        table.add("told", Unit::Count, None, &[7.0]);
        let text = table.markdown();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "| fast | 1.30x (1.20x to 1.40x) | 1.00x | 1.25x | aim |");
        assert_eq!(lines[1], "| enough | 1.00x | 1.00x | 1.25x | at least |");
        assert!(lines[2].ends_with("| short |"), "{text}");
        assert_eq!(lines[3], "| small | 72 B | <= 96 B | <= 64 B | at least |");
        assert_eq!(lines[4], "| told | 7.00 |  |  |  |");
        assert!(table.is_complete());
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut table = Table::default();
        table.add_missing("SET", "no redis-server");
        assert!(!table.is_complete());
        assert!(table.to_string().contains("SET       not measured: no redis-server"), "{table}");
    }
}
