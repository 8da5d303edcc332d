//! Held updates: from when to when each waited, and where its bar stands.

use crate::core::Version;

use super::layout::Jump;
use super::rows::Act;
use super::run::Run;
use super::space::Area;

/// How wide a bar is, and how far from the next one.
pub(super) const BAR: f64 = 11.0;
const LANE: f64 = 14.0;
/// More bars than these side by side stand on each other.
const LANES_MAX: usize = 5;

/// An update that waited.
#[derive(Debug)]
pub(super) struct Wait {
    /// The row in which it came.
    pub(super) from: usize,
    /// The row in which it became visible, or was gone with its server; none if it waits still.
    pub(super) to: Option<usize>,
    /// What it waited for at first, if the order of a cause made it wait.
    pub(super) missing: Option<Version>,
    /// The row in which what it waited for last came.
    pub(super) released: Option<usize>,
    /// Which place beside the line it has; 0 is on the line.
    pub(super) lane: usize,
    pub(super) area: Area,
    /// Where inside it the longest time passes.
    pub(super) middle_y: f64,
}

/// All that waited.
pub(super) fn waits(
    run: &Run,
    lines: &[f64],
    rows: &[f64],
    jumps: &[Jump],
    height: f64,
) -> Vec<Wait> {
    let mut waits: Vec<Wait> = Vec::new();
    for (from, row) in run.rows.iter().enumerate().filter(|(_, row)| row.is_hollow()) {
        let (to, released) = end(run, from);
        let missing = match &row.act {
            Act::Arrive { missing, .. } => *missing,
            _ => None,
        };
        let (top, bottom) = (rows[from], to.map_or(height - 12.0, |to| rows[to]));
        let beside = waits
            .iter()
            .filter(|other| run.rows[other.from].server == row.server && other.area.bottom > top);
        let taken: Vec<usize> = beside.map(|other| other.lane).collect();
        let lane = (0..LANES_MAX).find(|lane| !taken.contains(lane)).unwrap_or(LANES_MAX);
        let left = lines[row.server] - BAR / 2.0 + f64::from(small(lane)) * LANE;
        let area = Area { left, top, right: left + BAR, bottom };
        let inside = jumps.iter().filter(|jump| jump.y > top && jump.y < bottom);
        let longest = inside.max_by_key(|jump| jump.passed_us).map(|jump| jump.y);
        let middle_y = longest.unwrap_or(f64::midpoint(top, bottom));
        waits.push(Wait { from, to, missing, released, lane, area, middle_y });
    }
    waits
}

fn small(lane: usize) -> u8 {
    u8::try_from(lane).unwrap_or(u8::MAX)
}

/// Where the wait that begins in a row ends, and in which row that came what it waited for.
fn end(run: &Run, from: usize) -> (Option<usize>, Option<usize>) {
    let server = run.rows[from].server;
    let arrived = match &run.rows[from].act {
        Act::Arrive { update, .. } => Some(update.version),
        _ => None,
    };
    let later = run.rows.iter().enumerate().skip(from + 1).filter(|(_, row)| row.server == server);
    for (number, row) in later {
        match &row.act {
            Act::Show { by, .. } if row.since == Some(from) => {
                return (Some(number), by.and_then(|by| run.row_of(by, number)));
            }
            Act::Stop | Act::Restart { .. } => return (Some(number), None),
            Act::Snapshot { applied, .. } if arrived.is_some_and(|v| applied.covers(v)) => {
                return (Some(number), None);
            }
            _ => {}
        }
    }
    (None, None)
}
