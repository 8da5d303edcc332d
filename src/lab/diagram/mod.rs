//! `causal-lab diagram`: what happened in a run, as a space-time diagram.
//!
//! The figure is Lamport's (1978, fig. 1), turned so that time flows down: a line for each server, a
//! mark for each event, an arrow for each message. An update that had to wait has a hatched bar from
//! its arrival to the moment it became visible. Beside each event stand its Lamport time and its
//! vector time (Mattern 1989, Fidge 1988). These are counted here, from the events: the clock that
//! the store stamps its writes with grows only with writes, and a textbook's clock with each event.
//!
//! # From traces to a figure
//!
//! 1. `read` reads the files; what a killed server left torn is told and left out.
//! 2. `rows` makes rows of what one server told; `order` merges the servers' rows so that
//!    nothing comes before its cause, whatever their clocks say, and stamps them. A message counts
//!    as sent when its sender got or wrote what it carries.
//! 3. `stores` follows what each server shows; `words` and `facts` say it all in words.
//! 4. `layout` finds a place for everything, with `space`, `lives`, `waits` and `tags`.
//! 5. `svg` draws, with `marks`, `legend` and `colours`; `page` makes a page of it that
//!    can be stepped through. `shiviz` writes the run for another tool.

mod colours;
mod facts;
mod layout;
mod legend;
mod lives;
mod marks;
mod order;
mod page;
mod read;
mod rows;
mod run;
mod shiviz;
mod space;
mod stores;
mod svg;
mod tags;
#[cfg(test)]
mod tests;
mod waits;
mod words;
mod xml;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use crate::arguments::{Arguments, Wrong};
use crate::text::printable;
use crate::trace::Event;

use layout::Layout;
use read::Traces;
use run::Run;

/// The title of a figure that nobody named.
const TITLE: &str = "What happened, and what came before what";

/// More rows than these are no figure any more.
pub const ROWS_MAX: usize = 2000;

/// What is to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The traces, in any order.
    pub files: Vec<String>,
    /// Where to: a name that ends in `.svg` or `.html`.
    pub out: Option<String>,
    /// Where to write a log for `ShiViz`.
    pub shiviz: Option<String>,
    /// Draw only so many events.
    pub first: Option<NonZeroUsize>,
}

/// Reads the words behind `causal-lab diagram`.
///
/// # Errors
/// A word is not understood, or something is missing.
pub fn request(line: &mut Arguments) -> Result<Request, Wrong> {
    let mut request = Request::default();
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "-o" => request.out = Some(line.value("-o")?),
            "--shiviz" => request.shiviz = Some(line.value("--shiviz")?),
            "--first" => request.first = Some(line.parsed("--first")?),
            file if !file.starts_with('-') => request.files.push(flag),
            _ => return Err(format!("'{flag}' is not an option of diagram; see --help")),
        }
    }
    if request.files.is_empty() {
        return Err("name the traces to draw, as causal-server --trace writes them".to_owned());
    }
    if request.out.is_none() && request.shiviz.is_none() {
        return Err("say where to draw: -o out.svg or -o out.html".to_owned());
    }
    if let Some(out) = request.out.as_ref().filter(|out| !is_figure(out)) {
        return Err(format!("-o cannot be '{out}': the name of a figure ends in .svg or .html"));
    }
    let overwritten = request.shiviz.iter().find(|&path| request.files.contains(path));
    overwritten.map_or(Ok(()), |path| Err(format!("--shiviz would overwrite the trace {path}")))?;
    Ok(request)
}

/// What a figure's file holds.
#[derive(Clone, Copy)]
enum Format {
    Svg,
    Html,
}

impl Format {
    fn of(path: &str) -> Option<Self> {
        let extension = Path::new(path).extension()?;
        let is = |name: &str| extension.eq_ignore_ascii_case(name);
        if is("svg") { Some(Self::Svg) } else { is("html").then_some(Self::Html) }
    }
}

/// Draws what is asked for.
///
/// # Errors
/// A file cannot be read or written, a line is wrong, or there is nothing or too much to draw.
pub fn run(request: &Request) -> Result<(), String> {
    let traces = Traces::read(&request.files)?;
    for warning in &traces.warnings {
        // Who does not read it still gets the figure.
        let _ = writeln!(io::stderr(), "causal-lab: {}", printable(warning));
    }
    let mut run = Run::new(&traces.events);
    if let Some(path) = &request.shiviz {
        write(path, &shiviz::log(&run))?;
    }
    let Some(path) = &request.out else { return Ok(()) };
    run.keep_first(request.first.map_or(usize::MAX, NonZeroUsize::get));
    Figure::new(run, TITLE)?.save(path)
}

/// Whether a figure can have this name: it ends in `.svg` or `.html`.
pub fn is_figure(path: &str) -> bool {
    Format::of(path).is_some()
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

/// Draws a run: the events of all its servers, those of one server in its order.
///
/// # Errors
/// There is nothing to draw, or more than [`ROWS_MAX`] rows.
pub fn draw(events: &[Event], title: &str) -> Result<Figure, String> {
    Figure::new(Run::new(events), title)
}

/// A space-time diagram.
#[derive(Debug)]
pub struct Figure {
    run: Run,
    layout: Layout,
    title: String,
}

impl Figure {
    fn new(run: Run, title: &str) -> Result<Self, String> {
        let rows = run.rows.len();
        if rows == 0 {
            return Err("nothing happens in these traces: no write, no read, no message".to_owned());
        }
        if rows > ROWS_MAX {
            return Err(format!(
                "{rows} events are too many for a figure, {ROWS_MAX} is the most: draw the first \
                 of them with --first 300, or trace a shorter run"
            ));
        }
        let layout = Layout::new(&run);
        Ok(Self { run, layout, title: words::short(title, words::LONG.key) })
    }

    /// Writes the figure to a file: as SVG if its name ends in `.svg`, else as HTML.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &str) -> Result<(), String> {
        let svg = matches!(Format::of(path), Some(Format::Svg));
        write(path, &if svg { self.svg() } else { self.html() })
    }

    /// The figure as one SVG file that needs no other.
    pub fn svg(&self) -> String {
        svg::figure(&self.run, &self.layout, &self.title, &self.about(), &self.notes())
    }

    /// The figure on a page that can be stepped through, as one HTML file that needs no other.
    pub fn html(&self) -> String {
        page::page(&self.run, &self.layout, &self.title, &self.about(), &self.notes())
    }

    /// The run in a line.
    fn about(&self) -> String {
        let Run { servers, rows, order, clock_kind, .. } = &self.run;
        let count = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        let mut about = vec![count(servers.len(), "server"), count(rows.len(), "event")];
        if !order.is_empty() {
            about.push(format!("{} order", words::short(order, words::SHORT.value)));
        }
        if !clock_kind.is_empty() {
            about.push(format!("{} clock", words::short(clock_kind, words::SHORT.value)));
        }
        about.join(" · ")
    }

    /// What a reader has to know.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let (drawn, total) = (self.run.rows.len(), self.run.rows_total);
        if drawn < total {
            notes.push(format!("Only the first {drawn} of {total} events are drawn."));
        }
        notes.extend(self.run.clock_faults());
        notes
    }
}
