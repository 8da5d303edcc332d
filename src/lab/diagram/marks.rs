//! The marks on the servers' lines: a shape for each kind of thing that happens.

use super::colours;
use super::rows::{Act, Row};
use super::space::{Area, Point};
use super::waits::Wait;
use super::xml::Markup;

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Write,
    WriteHeld,
    Visible,
    Held,
    Read,
    ReadNothing,
    Snapshot,
    LinkDown,
    LinkUp,
    Stop,
    Restart,
}

impl Mark {
    pub(super) fn of(row: &Row) -> Self {
        match &row.act {
            Act::Write { shown: true, .. } => Self::Write,
            Act::Write { shown: false, .. } => Self::WriteHeld,
            Act::Arrive { shown_as: Some(_), .. } | Act::Show { .. } => Self::Visible,
            Act::Arrive { shown_as: None, .. } | Act::WaitOn { .. } => Self::Held,
            Act::Read { found: Some(_), .. } => Self::Read,
            Act::Read { found: None, .. } => Self::ReadNothing,
            Act::Snapshot { .. } => Self::Snapshot,
            Act::Link { up: false, .. } => Self::LinkDown,
            Act::Link { up: true, .. } => Self::LinkUp,
            Act::Stop => Self::Stop,
            Act::Restart { .. } => Self::Restart,
        }
    }

    /// What the legend says of it.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Write => "a client writes",
            Self::WriteHeld => "a client writes, not visible yet",
            Self::Visible => "an update becomes visible",
            Self::Held => "an update arrives and is held back",
            Self::Read => "a client reads",
            Self::ReadNothing => "a client reads: nothing there",
            Self::Snapshot => "a snapshot is taken in",
            Self::LinkDown => "a link goes down",
            Self::LinkUp => "a link comes up again",
            Self::Stop => "a server stops",
            Self::Restart => "a server starts again",
        }
    }

    /// Draws it at a point, in the colour of a class.
    pub(super) fn draw(self, out: &mut Markup, Point { x, y }: Point, colour: &str) {
        let filled = format!("mark {colour} filled");
        let hollow = format!("mark hollow {colour} stroked");
        let ring = format!("ring {colour} stroked");
        // It has to stand out from a bar.
        out.circle("hollow", x, y, 8.0);
        match self {
            Self::Write => {
                out.circle(&ring, x, y, 7.6);
                out.circle(&filled, x, y, 4.4);
            }
            Self::WriteHeld => {
                out.circle(&ring, x, y, 7.6);
                out.circle(&hollow, x, y, 3.6);
            }
            Self::Visible => out.circle(&filled, x, y, 5.6),
            Self::Held => out.circle(&hollow, x, y, 5.0),
            Self::Read => out.rectangle(&filled, Area::around(Point { x, y }, 4.8), ""),
            Self::ReadNothing => out.rectangle(&hollow, Area::around(Point { x, y }, 4.2), ""),
            Self::Snapshot => {
                out.rectangle(&ring, Area::around(Point { x, y }, 6.8), "");
                out.rectangle(&filled, Area::around(Point { x, y }, 3.6), "");
            }
            Self::LinkDown | Self::LinkUp => {
                out.line(&format!("mark {colour} stroked"), (x - 7.0, y), (x + 7.0, y));
                if self == Self::LinkDown {
                    out.line("cross", (x + 4.0, y - 5.0), (x - 4.0, y + 5.0));
                }
            }
            Self::Stop => cross(out, x, y),
            Self::Restart => {
                let path = format!(
                    "M{} {}h12l-6 10z",
                    super::xml::length(x - 6.0),
                    super::xml::length(y - 5.0)
                );
                out.path(&hollow, &path);
            }
        }
    }
}

/// A server's end.
pub(super) fn cross(out: &mut Markup, x: f64, y: f64) {
    out.line("cross", (x - 5.0, y - 5.0), (x + 5.0, y + 5.0));
    out.line("cross", (x + 5.0, y - 5.0), (x - 5.0, y + 5.0));
}

/// Draws the bar of a held update, hatched by the pattern with this id.
pub(super) fn bar(out: &mut Markup, area: Area, pattern: &str) {
    out.rectangle("bar", area, " rx=\"2\"");
    out.rectangle("hatching", area, &format!(" rx=\"2\" fill=\"url(#{pattern})\""));
}

/// Draws what joins a bar beside its server's line to that line.
pub(super) fn joints(out: &mut Markup, wait: &Wait, line: f64) {
    if wait.lane > 0 {
        for y in [wait.area.top, wait.area.bottom] {
            out.line("line", (line, y), (wait.area.left, y));
        }
    }
}

/// The pattern that bars are hatched with.
pub(super) fn hatching(out: &mut Markup, id: &str) {
    let size = "width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\"";
    out.add(&format!("<defs><pattern id=\"{id}\" {size}>"));
    out.path("hatch", "M-1 6L6 -1M-1 1L1 -1M4 6L6 4");
    out.add("</pattern></defs>");
}

/// The class of the colour of a row's server.
pub(super) fn colour(row: &Row) -> String {
    colours::class(row.server)
}
