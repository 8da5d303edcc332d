//! The figure on a page: a run to be stepped through, with all that is known of each event beside
//! it. One file, which needs no other and no network.

use super::layout::{HEAD, Layout};
use super::run::Run;
use super::stores::Change;
use super::words::{LONG, sentence, short};
use super::xml::{escaped, json, length};
use super::{colours, facts, legend, svg};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const BODY: &str = include_str!("page.html");

/// The whole page.
pub(super) fn page(
    run: &Run,
    layout: &Layout,
    title: &str,
    about: &str,
    notes: &[String],
) -> String {
    let label = escaped(&format!("Space-time diagram: {title}. {about}"));
    let (legend, legend_height) = legend::legend(run, layout, &[]);
    let part = |height, markup: &str, attributes: &str| {
        format!("{}\n{markup}</svg>", svg::opening(layout.width, height, attributes))
    };
    let notes = notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note)));
    let parts = [
        ("{title}", escaped(title)),
        ("{about}", escaped(about)),
        ("{notes}", notes.collect()),
        ("{style}", format!("{}{}{STYLE}", svg::STYLE, colours::page_rules())),
        ("{head}", part(HEAD, &svg::head(run, layout), " aria-hidden=\"true\"")),
        (
            "{body}",
            part(
                layout.height + 10.0,
                &svg::body(run, layout),
                &format!(" role=\"group\" aria-label=\"{label}\""),
            ),
        ),
        ("{legend}", part(legend_height, &legend, " role=\"group\" aria-label=\"Legend\"")),
        ("{width}", length(layout.width.ceil())),
        ("{run}", data(run)),
        ("{script}", SCRIPT.to_owned()),
    ];
    filled(BODY, &parts)
}

/// A text with each `{name}` replaced. What is put in is not looked at again.
fn filled(text: &str, parts: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let part = parts.iter().find(|(name, _)| from.starts_with(name));
        let (put, name) = part.map_or(("{", "{"), |(name, put)| (put.as_str(), *name));
        out.push_str(put);
        rest = &from[name.len()..];
    }
    out + rest
}

/// What the script has to know, as JSON.
fn data(run: &Run) -> String {
    let servers: Vec<String> =
        run.servers.iter().map(|server| json(&svg::name(run, server))).collect();
    let rows: Vec<String> = (0..run.rows.len()).map(|number| row(run, number)).collect();
    format!("{{\"servers\":[{}],\n\"rows\":[\n{}\n]}}", servers.join(","), rows.join(",\n"))
}

fn row(run: &Run, number: usize) -> String {
    let row = &run.rows[number];
    let fact = |(name, what): (&str, String)| format!("[{},{}]", json(name), json(&what));
    let facts: Vec<String> = facts::facts(run, number).into_iter().map(fact).collect();
    let change = run.changes[number].as_ref().map_or("null".to_owned(), change);
    format!(
        "{{\"server\":{},\"vector\":{},\"says\":{},\"facts\":[{}],\"change\":{change}}}",
        row.server,
        facts::vector(&row.vector),
        json(&sentence(run, number, LONG)),
        facts.join(",")
    )
}

/// What a row does to its server's store: `{}` empties it; without `won` it changes nothing.
fn change(change: &Change) -> String {
    let (key, value, version, won) = match change {
        Change::Emptied => return "{}".to_owned(),
        Change::Put { key, value, version } => (key, value, version, true),
        Change::Lost { key, stays, version } => (key, stays, version, false),
    };
    let value = value.as_ref();
    let value = value.map_or("null".to_owned(), |value| json(&short(value, LONG.value)));
    let (key, version) = (json(&short(key, LONG.key)), json(&version.to_string()));
    format!("{{\"key\":{key},\"value\":{value},\"version\":{version},\"won\":{won}}}")
}
