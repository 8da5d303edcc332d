//! The servers' lines: where a server is known to live, and where not.

use super::rows::Act;
use super::run::Run;

/// A part of a server's line.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) server: usize,
    pub(super) from_y: f64,
    pub(super) to_y: f64,
    pub(super) state: State,
    /// For a time between two lives: the row in which the second begins.
    pub(super) until: Option<usize>,
}

/// Whether it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    /// It stopped and will start again.
    Stopped,
    /// It will start again, and nobody told when it ended: after its last sign of life.
    Lost,
    /// It tells nothing of itself.
    Untold,
}

/// The parts of all servers' lines.
pub(super) fn lives(run: &Run, lines: &[f64], rows: &[f64], height: f64) -> Vec<Life> {
    let mut parts = Vec::new();
    for server in 0..lines.len() {
        let part = |from_y, to_y, state| Life { server, from_y, to_y, state, until: None };
        if !run.servers[server].traced {
            parts.push(part(0.0, height, State::Untold));
            continue;
        }
        let (mut from, mut last_y, mut stopped) = (0.0, 0.0, false);
        let own = run.rows.iter().zip(rows).enumerate();
        for (number, (row, &y)) in own.filter(|(_, (row, _))| row.server == server) {
            let starts = matches!(row.act, Act::Restart { .. });
            if starts {
                if !stopped {
                    parts.push(part(from, last_y, State::Alive));
                }
                let state = if stopped { State::Stopped } else { State::Lost };
                parts.push(Life { until: Some(number), ..part(last_y, y, state) });
                (from, stopped) = (y, false);
            } else if row.act == Act::Stop {
                parts.push(part(from, y, State::Alive));
                (from, stopped) = (y, true);
            }
            last_y = y;
        }
        if !stopped {
            parts.push(part(from, height, State::Alive));
        }
    }
    parts
}
