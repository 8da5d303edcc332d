//! Where everything stands: a column for each server, a row for each thing that happened.
//!
//! Time flows down. As every row holds one thing, its words stand on a line of their own, in a
//! column beside the servers' lines, and cannot meet other words however long the run is. Rows are
//! not to scale; a jump of time between two rows is marked.

use super::lives::{Life, lives};
use super::rows::Act;
use super::run::{Run, Server};
use super::space::{Area, Curve, Point, Taken, text_width};
use super::tags::{Tag, tags};
use super::waits::{Wait, waits};
use super::{svg, words};

/// Font sizes.
pub(super) const TEXT: f64 = 13.0;
pub(super) const SMALL: f64 = 11.5;
pub(super) const NAME: f64 = 15.0;
/// How wide a digit of the stamps is.
pub(super) const DIGIT: f64 = TEXT * 0.61;
/// How high the servers' names and the columns' heads are.
pub(super) const HEAD: f64 = 52.0;

const MARGIN: f64 = 24.0;
const TIME_COLUMN: f64 = 62.0;
const GAP: f64 = 30.0;
/// A jump of time is marked if it takes that long...
const JUMP_US: u64 = 20_000;
/// ... and that many times as long as most.
const JUMP_TIMES: u64 = 8;

/// The figure's geometry, below the servers' names.
#[derive(Debug)]
pub(super) struct Layout {
    /// The servers' lines.
    pub(super) lines: Vec<f64>,
    /// The rows.
    pub(super) rows: Vec<f64>,
    /// Whether a row's clock says less than that of a row above it.
    pub(super) is_late: Vec<bool>,
    pub(super) lives: Vec<Life>,
    pub(super) jumps: Vec<Jump>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) waits: Vec<Wait>,
    pub(super) tags: Vec<Tag>,
    /// Where the times end.
    pub(super) time_x: f64,
    /// Where the Lamport times end.
    pub(super) lamport_x: f64,
    /// Where the vector times begin, and how many digits each number has.
    pub(super) vector_x: f64,
    pub(super) vector_digits: usize,
    /// Where the versions begin, if there is room for versions.
    pub(super) version_x: Option<f64>,
    /// Where the words begin.
    pub(super) words_x: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A jump of time before a row.
#[derive(Debug)]
pub(super) struct Jump {
    pub(super) y: f64,
    pub(super) row: usize,
    pub(super) passed_us: u64,
    pub(super) text: String,
}

/// A message.
#[derive(Debug)]
pub(super) struct Arrow {
    /// The row it was sent in; nobody knows, if the sender has no trace.
    pub(super) from: Option<usize>,
    /// The server that sent it.
    pub(super) sender: usize,
    /// The row it came in.
    pub(super) to: usize,
    /// Whether the sender passed on what another server had written.
    pub(super) relayed: bool,
    pub(super) curve: Curve,
}

impl Arrow {
    /// The arrow without its head: a blunt end would stand out beside the tip.
    pub(super) fn shaft(&self) -> Curve {
        let [tip, left, right] = self.curve.head();
        let middle = |tip: f64, left: f64, right: f64| (tip * 2.0 + left + right) / 4.0;
        let end = Point { x: middle(tip.x, left.x, right.x), y: middle(tip.y, left.y, right.y) };
        Curve { end, ..self.curve }
    }
}

impl Layout {
    pub(super) fn new(run: &Run) -> Self {
        let (rows, jumps, height) = heights(run);
        let lines = lines(run);
        let last_line = lines.last().copied().unwrap_or(0.0);
        let waits = waits(run, &lines, &rows, &jumps, height);
        let marks = marks(run, &lines, &rows);
        let arrows = arrows(run, &lines, &rows, &marks);
        let tags = tags(run, (&lines, &rows), &marks, &arrows, &waits);
        let tags_end = tags.iter().map(|tag| tag.area.right).fold(last_line + 30.0, f64::max);
        let names_end = last_line + names_width(run) / 2.0;
        let digits = |number: Option<u64>| number.map_or(1, |number| number.to_string().len());
        let lamport_digits = digits(run.rows.iter().map(|row| row.lamport).max());
        let vector_digits = digits(run.rows.iter().flat_map(|row| &row.vector).copied().max());
        let lamport_x = (tags_end + 26.0 + width(lamport_digits.max(2)) * DIGIT)
            .max(names_end + 22.0 + text_width("Lamport", SMALL));
        let vector_x = lamport_x + 20.0;
        let vector_characters = run.servers.len() * (vector_digits + 1) + 1;
        let vector_end = vector_x + (width(vector_characters) * DIGIT).max(42.0) + 20.0;
        let version_x = run.shows_versions().then_some(vector_end);
        let words_x = vector_end + version_x.map_or(0.0, |_| versions_width(run) + 20.0);
        let words = (0..run.rows.len()).map(|row| words_width(run, row)).fold(120.0, f64::max);
        Self {
            lives: lives(run, &lines, &rows, height),
            is_late: is_late(run),
            time_x: MARGIN + TIME_COLUMN - 14.0,
            width: words_x + words + MARGIN,
            lines,
            rows,
            jumps,
            arrows,
            waits,
            tags,
            lamport_x,
            vector_x,
            vector_digits,
            version_x,
            words_x,
            height,
        }
    }

    /// Where a row's mark is.
    pub(super) fn mark(&self, run: &Run, row: usize) -> Point {
        Point { x: self.lines[run.rows[row].server], y: self.rows[row] }
    }
}

#[allow(clippy::cast_precision_loss)] // it is a number of characters
fn width(characters: usize) -> f64 {
    characters as f64
}

fn words_width(run: &Run, row: usize) -> f64 {
    text_width(&words::sentence(run, row, words::SHORT), TEXT)
}

/// How wide the column of versions is, with its head.
fn versions_width(run: &Run) -> f64 {
    let versions = (0..run.rows.len()).filter_map(|row| words::version(run, row));
    let width = |version: crate::core::Version| text_width(&version.to_string(), TEXT);
    versions.map(width).fold(text_width("version", SMALL), f64::max)
}

/// How wide the widest of the servers' names is.
fn names_width(run: &Run) -> f64 {
    let name = |server: &Server| text_width(&svg::name(run, server), NAME);
    run.servers.iter().map(name).fold(0.0, f64::max)
}

/// The servers' lines: far enough from each other for names and tags.
fn lines(run: &Run) -> Vec<f64> {
    let names = names_width(run);
    let apart = if run.servers.len() > 5 { 104.0 } else { 138.0_f64 }.max(names + 24.0);
    let first = MARGIN + TIME_COLUMN + (names / 2.0).max(82.0);
    (0..run.servers.len()).map(|place| first + width(place) * apart).collect()
}

/// The rows' places, the jumps of time between them, and how high all that is.
fn heights(run: &Run) -> (Vec<f64>, Vec<Jump>, f64) {
    let row_height = if run.rows.len() > 80 { 23.0 } else { 29.0 };
    let jump_us = jump_us(run);
    let (mut rows, mut jumps) = (Vec::new(), Vec::new());
    let mut y = 0.0;
    let mut latest_us = run.begin_us();
    for (number, row) in run.rows.iter().enumerate() {
        let passed_us = row.time_us.saturating_sub(latest_us);
        y += row_height;
        if passed_us >= jump_us {
            let text = format!("+{}", words::span(passed_us));
            jumps.push(Jump { y, row: number, passed_us, text });
            y += GAP;
        }
        latest_us = latest_us.max(row.time_us);
        rows.push(y);
    }
    (rows, jumps, y + 44.0)
}

fn is_late(run: &Run) -> Vec<bool> {
    let mut latest_us = 0;
    let mut is_late = |time_us: u64| {
        latest_us = time_us.max(latest_us);
        time_us < latest_us
    };
    run.rows.iter().map(|row| is_late(row.time_us)).collect()
}

/// From where on it is a jump.
fn jump_us(run: &Run) -> u64 {
    let mut passed: Vec<u64> = Vec::new();
    let mut latest_us = run.begin_us();
    for row in &run.rows {
        passed.push(row.time_us.saturating_sub(latest_us));
        latest_us = latest_us.max(row.time_us);
    }
    passed.sort_unstable();
    let median = passed.get(passed.len() / 2).copied().unwrap_or(0);
    median.saturating_mul(JUMP_TIMES).max(JUMP_US)
}

/// The areas of all marks.
fn marks(run: &Run, lines: &[f64], rows: &[f64]) -> Taken {
    let mut taken = Taken::default();
    for (row, &y) in run.rows.iter().zip(rows) {
        taken.add(Area::around(Point { x: lines[row.server], y }, 8.0));
    }
    taken
}

/// Each message's arrow.
fn arrows(run: &Run, lines: &[f64], rows: &[f64], marks: &Taken) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (number, row) in run.rows.iter().enumerate() {
        let Act::Arrive { from, update, .. } = &row.act else { continue };
        let sender = run.servers.iter().position(|server| server.id == *from);
        let Some(sender) = sender else { continue };
        let to = Point { x: lines[row.server], y: rows[number] };
        let sent_y = row.source.map_or(to.y - 16.0, |source| rows[source]);
        let from_point = Point { x: lines[sender], y: sent_y };
        arrows.push(Arrow {
            from: row.source,
            sender,
            to: number,
            relayed: *from != update.version.server,
            curve: free_curve(from_point, to, marks),
        });
    }
    arrows
}

/// A curve that runs over no mark, as straight as may be; should there be none, a straight one.
fn free_curve(from: Point, to: Point, marks: &Taken) -> Curve {
    let curve = |bend: f64| Curve::between(from, to, (8.0, 9.0), bend);
    let is_free = |curve: &Curve| {
        let far = |point: &Point, end: Point| (point.x - end.x).hypot(point.y - end.y) > 19.0;
        let mut between = curve.points(4.0).filter(|point| far(point, from) && far(point, to));
        !between.any(|point| marks.meets(&Area::around(point, 2.0)))
    };
    let bends = [0.0, 10.0, -10.0, 18.0, -18.0, 26.0, -26.0, 36.0, -36.0];
    bends.into_iter().map(curve).find(is_free).unwrap_or_else(|| curve(0.0))
}
