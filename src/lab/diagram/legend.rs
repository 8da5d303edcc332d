//! The legend: of what is in the figure, and nothing else.

use std::collections::BTreeSet;

use super::layout::{Layout, SMALL};
use super::lives::State;
use super::marks::{Mark, bar, hatching};
use super::run::Run;
use super::space::{Area, Curve, Point, text_width};
use super::svg::arrow_head;
use super::xml::Markup;

const LINE: f64 = 26.0;
const ICON: f64 = 34.0;
const MARGIN: f64 = 24.0;

/// What the legend explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Mark(Mark),
    Bar,
    Message,
    Relayed,
    Gone,
    Untold,
}

/// The legend, then notes, and how high both are.
pub(super) fn legend(run: &Run, layout: &Layout, notes: &[String]) -> (String, f64) {
    let mut out = Markup::default();
    hatching(&mut out, "hatch-legend");
    let (mut x, mut y) = (MARGIN, 20.0);
    for entry in entries(run, layout) {
        let wide = ICON + text_width(entry.meaning(), SMALL + 0.5) + 22.0;
        if x > MARGIN && x + wide > layout.width - MARGIN + 22.0 {
            (x, y) = (MARGIN, y + LINE);
        }
        entry.draw(&mut out, x, y);
        out.text("key quiet", x + ICON, y, entry.meaning());
        x += wide;
    }
    y += LINE;
    for note in notes {
        out.text("note", MARGIN, y, note);
        y += LINE - 6.0;
    }
    (out.0, y + 4.0)
}

fn entries(run: &Run, layout: &Layout) -> Vec<Entry> {
    let marks: BTreeSet<Mark> = run.rows.iter().map(Mark::of).collect();
    let mut entries: Vec<Entry> = marks.into_iter().map(Entry::Mark).collect();
    let relayed = |relayed: bool| layout.arrows.iter().any(|arrow| arrow.relayed == relayed);
    let state = |state| layout.lives.iter().any(|life| life.state == state);
    let others = [
        (!layout.waits.is_empty(), Entry::Bar),
        (relayed(false), Entry::Message),
        (relayed(true), Entry::Relayed),
        (state(State::Lost) || state(State::Stopped), Entry::Gone),
        (state(State::Untold), Entry::Untold),
    ];
    entries.extend(others.into_iter().filter(|(there, _)| *there).map(|(_, entry)| entry));
    entries
}

impl Entry {
    fn meaning(self) -> &'static str {
        match self {
            Self::Mark(mark) => mark.meaning(),
            Self::Bar => "held back",
            Self::Message => "a message",
            Self::Relayed => "a message that passes on another server's update",
            Self::Gone => "not running",
            Self::Untold => "a server without a trace",
        }
    }

    fn draw(self, out: &mut Markup, x: f64, y: f64) {
        let (left, right) = (x, x + 26.0);
        match self {
            Self::Mark(mark) => mark.draw(out, Point { x: x + 16.0, y }, "plain"),
            Self::Bar => {
                let area =
                    Area { left: x + 10.0, top: y - 10.0, right: x + 21.0, bottom: y + 10.0 };
                bar(out, area, "hatch-legend");
            }
            Self::Message | Self::Relayed => {
                let class = if self == Self::Relayed { "key-line relayed" } else { "key-line" };
                let (from, to) = (Point { x: left, y: y - 4.0 }, Point { x: right, y: y + 4.0 });
                let curve = Curve::between(from, to, (0.0, 0.0), 0.0);
                out.line(class, (left, y - 4.0), (right - 7.0, y + 2.0));
                arrow_head(out, "key-fill", &curve);
            }
            Self::Gone => out.line("line gone", (left, y), (right, y)),
            Self::Untold => out.line("line untold", (left, y), (right, y)),
        }
    }
}
