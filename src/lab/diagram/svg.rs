//! The figure as SVG: its parts, and all of them in one file that needs nothing else.

use super::facts;
use super::layout::{Arrow, HEAD, Layout};
use super::lives::State;
use super::marks::{Mark, bar, colour, cross, hatching, joints};
use super::run::{Run, Server};
use super::space::{Area, Curve, text_width};
use super::words::{self, LONG, SHORT, short};
use super::xml::{Markup, escaped, length};
use super::{colours, facts::place};

/// How high the title is, with what stands under it.
const TITLE: f64 = 76.0;
/// The size of its letters; they are bold.
const TITLE_TEXT: f64 = 20.0;
const MARGIN: f64 = 24.0;

/// The looks that are not colours.
pub(super) const STYLE: &str = include_str!("figure.css");

/// A server's name at the head of its line.
pub(super) fn name(run: &Run, server: &Server) -> String {
    let text = place(run, server.id);
    if text.chars().count() > SHORT.value + 8 {
        return format!("{} ({})", short(&server.name, SHORT.value), server.id);
    }
    text
}

/// The whole figure.
pub(super) fn figure(
    run: &Run,
    layout: &Layout,
    title: &str,
    about: &str,
    notes: &[String],
) -> String {
    let (legend, legend_height) = super::legend::legend(run, layout, notes);
    // A short run may have a long title.
    let width = layout.width.max(2.0 * MARGIN + text_width(title, TITLE_TEXT));
    let height = TITLE + HEAD + layout.height + legend_height + 16.0;
    let mut out = Markup::default();
    let label = escaped(&format!("Space-time diagram: {title}. {about}"));
    let label = format!(" role=\"img\" aria-label=\"{label}\"");
    out.add(&opening(width, height, &label));
    out.title(title);
    out.add(&format!("<desc>{}</desc>", escaped(about)));
    out.add(&format!("<style>\n{STYLE}{}</style>", colours::rules()));
    let paper = Area { left: 0.0, top: 0.0, right: width, bottom: height };
    out.rectangle("paper", paper, "");
    out.text("title ink", MARGIN, 34.0, title);
    out.text("subtitle quiet", MARGIN, 58.0, about);
    let parts = [(TITLE, head(run, layout)), (TITLE + HEAD, body(run, layout))];
    for (y, part) in parts.into_iter().chain([(TITLE + HEAD + layout.height + 10.0, legend)]) {
        out.open("part", &format!(" transform=\"translate(0 {})\"", length(y)));
        out.add(&part);
        out.close();
    }
    out.add("</svg>");
    out.0
}

/// The first tag of a figure or of a part of one.
pub(super) fn opening(width: f64, height: f64, attributes: &str) -> String {
    let (width, height) = (length(width.ceil()), length(height.ceil()));
    let size = format!("width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"");
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"space-time\" {size}{attributes}>")
}

/// The servers' names and the heads of the columns.
pub(super) fn head(run: &Run, layout: &Layout) -> String {
    let mut out = Markup::default();
    for (number, (server, &x)) in run.servers.iter().zip(&layout.lines).enumerate() {
        let class = format!("name filled {}", colours::class(number));
        out.text(&class, x, 20.0, &name(run, server));
        out.line("line", (x, 36.0), (x, HEAD));
        out.line("line", (x - 7.0, 36.0), (x + 7.0, 36.0));
    }
    out.text("caption time quiet", layout.time_x, 36.0, "time");
    out.text("caption lamport quiet", layout.lamport_x, 36.0, "Lamport");
    out.text("caption quiet", layout.vector_x, 36.0, "vector");
    if let Some(x) = layout.version_x {
        out.text("caption quiet", x, 36.0, "version");
    }
    out.text("caption quiet", layout.words_x, 36.0, "what happens");
    out.0
}

/// The rows, the lines and all that is on them.
pub(super) fn body(run: &Run, layout: &Layout) -> String {
    let mut out = Markup::default();
    hatching(&mut out, "hatch");
    bands(&mut out, run, layout);
    lines(&mut out, layout);
    bars(&mut out, run, layout);
    arrows(&mut out, run, layout);
    for number in 0..run.rows.len() {
        event(&mut out, run, layout, number);
    }
    out.0
}

/// What lies under the rows: a ground for each, and the tears where time jumps.
fn bands(out: &mut Markup, run: &Run, layout: &Layout) {
    for (row, &y) in layout.rows.iter().enumerate() {
        let half = if layout.rows.len() > 80 { 11.0 } else { 13.5 };
        let area = Area { left: 8.0, top: y - half, right: layout.width - 8.0, bottom: y + half };
        let class = if row % 2 == 0 { "band striped" } else { "band" };
        out.open("row", &format!(" data-row=\"{row}\""));
        out.title(&facts::tooltip(run, row));
        out.rectangle(class, area, " rx=\"4\" pointer-events=\"all\"");
        out.close();
    }
    for jump in &layout.jumps {
        out.open("jump-mark", &format!(" data-row=\"{}\"", jump.row));
        let y = jump.y;
        out.line("tear", (layout.time_x + 10.0, y), (layout.words_x - 24.0, y));
        out.text("jump", layout.time_x, y, &jump.text);
        out.close();
    }
}

/// The servers' lines, with an end that says that time goes on.
fn lines(out: &mut Markup, layout: &Layout) {
    for life in &layout.lives {
        let x = layout.lines[life.server];
        let class = match life.state {
            State::Alive => "line",
            State::Lost | State::Stopped => "line gone",
            State::Untold => "line untold",
        };
        let row = life.until.map(|row| format!(" data-row=\"{row}\""));
        out.open(if row.is_some() { "life" } else { "lives" }, &row.unwrap_or_default());
        out.line(class, (x, life.from_y), (x, life.to_y));
        if life.state == State::Lost {
            cross(out, x, f64::midpoint(life.from_y, life.to_y));
        }
        if life.to_y >= layout.height {
            let (x, y) = (length(x), length(layout.height + 6.0));
            out.path("arrowhead", &format!("M{x} {y}l-4.5 -10h9z"));
        }
        out.close();
    }
}

fn bars(out: &mut Markup, run: &Run, layout: &Layout) {
    for wait in &layout.waits {
        let number = |row: Option<usize>| row.map_or_else(String::new, |row| row.to_string());
        let (to, released) = (number(wait.to), number(wait.released));
        let from = wait.from;
        out.open(
            "wait",
            &format!(" data-from=\"{from}\" data-to=\"{to}\" data-released=\"{released}\""),
        );
        out.title(&facts::wait(run, wait));
        joints(out, wait, layout.lines[run.rows[from].server]);
        bar(out, wait.area, "hatch");
        out.close();
    }
}

/// The messages' arrows. A line that crosses an older one goes over it; lines from one mark leave
/// each other alone, and heads are on top of all.
fn arrows(out: &mut Markup, run: &Run, layout: &Layout) {
    let mut arrows: Vec<&Arrow> = layout.arrows.iter().collect();
    arrows.sort_by_key(|arrow| (arrow.from, arrow.to));
    for together in arrows.chunk_by(|one, other| one.from == other.from && one.from.is_some()) {
        for arrow in together {
            let Some(middle) = arrow.curve.middle(30.0) else { continue };
            message(out, run, arrow, |out, _| out.path("halo", &path(&middle)));
        }
        for arrow in together {
            let relayed = if arrow.relayed { " relayed" } else { "" };
            message(out, run, arrow, |out, colour| {
                out.path(&format!("arrow {colour} stroked{relayed}"), &path(&arrow.shaft()));
            });
        }
    }
    for arrow in arrows {
        message(out, run, arrow, |out, colour| {
            arrow_head(out, &format!("{colour} filled"), &arrow.curve);
        });
    }
}

fn message(out: &mut Markup, run: &Run, arrow: &Arrow, draw: impl Fn(&mut Markup, &str)) {
    let from = arrow.from.unwrap_or(arrow.to);
    out.open("message", &format!(" data-from=\"{from}\" data-to=\"{}\"", arrow.to));
    out.title(&words::sentence(run, arrow.to, LONG));
    draw(out, &colours::class(arrow.sender));
    out.close();
}

fn path(curve: &Curve) -> String {
    let Curve { start, control, end } = curve;
    let numbers = [start.x, start.y, control.x, control.y, end.x, end.y].map(length);
    let [x1, y1, x2, y2, x3, y3] = numbers;
    format!("M{x1} {y1}Q{x2} {y2} {x3} {y3}")
}

/// Draws the head of an arrow.
pub(super) fn arrow_head(out: &mut Markup, class: &str, curve: &Curve) {
    let point = |point: super::space::Point| format!("{} {}", length(point.x), length(point.y));
    let [tip, left, right] = curve.head().map(point);
    out.path(class, &format!("M{tip}L{left}L{right}z"));
}

/// A row: its mark, its tags, its time, its stamps and its words.
fn event(out: &mut Markup, run: &Run, layout: &Layout, number: usize) {
    let row = &run.rows[number];
    let mark = layout.mark(run, number);
    let tooltip = facts::tooltip(run, number);
    let label = escaped(&tooltip.replace('\n', "; "));
    out.open("event", &format!(" data-row=\"{number}\" role=\"img\" aria-label=\"{label}\""));
    out.title(&tooltip);
    Mark::of(row).draw(out, mark, &colour(row));
    for tag in layout.tags.iter().filter(|tag| tag.row == number) {
        let class = if tag.of_wait { "tag waits-for" } else { "tag" };
        out.text(class, tag.area.left, f64::midpoint(tag.area.top, tag.area.bottom), &tag.text);
    }
    let class = if layout.is_late[number] { "time note" } else { "time quiet" };
    out.text(class, layout.time_x, mark.y, &time(run, layout, number));
    out.text("stamp lamport ink", layout.lamport_x, mark.y, &row.lamport.to_string());
    vector(out, layout, row.server, &row.vector, mark.y);
    if let (Some(x), Some(version)) = (layout.version_x, words::version(run, number)) {
        out.text("version quiet", x, mark.y, &version.to_string());
    }
    out.text("words ink", layout.words_x, mark.y, &words::sentence(run, number, SHORT));
    out.close();
}

/// A vector time: each number under that of the row above, the server's own in bold.
fn vector(out: &mut Markup, layout: &Layout, own: usize, vector: &[u64], y: f64) {
    let digits = layout.vector_digits;
    let number = |(server, count): (usize, &u64)| {
        let text = format!("{count:>digits$}");
        if server == own { format!("<tspan class=\"own\">{text}</tspan>") } else { text }
    };
    let numbers: Vec<String> = vector.iter().enumerate().map(number).collect();
    let text = format!("[{}]", numbers.join(","));
    out.marked_up_text("stamp ink", layout.vector_x, y, &text);
}

/// The time since the first row; in brackets, if the clock is behind.
fn time(run: &Run, layout: &Layout, number: usize) -> String {
    let time_us = run.rows[number].time_us;
    let sign = if time_us < run.begin_us() { "−" } else { "" };
    let time = sign.to_owned() + &words::span(time_us.abs_diff(run.begin_us()));
    if layout.is_late[number] { format!("({time})") } else { time }
}
