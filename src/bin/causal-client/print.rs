//! What happened, in words: the lines of the original, and replies of other commands.

use std::io::{self, Write};

use causal_kv::core::Version;
use causal_kv::protocol::reply::Reply;
use causal_kv::text::printable;

/// A value came: by a write's reply, a read or a push.
pub(crate) fn update(
    out: &mut impl Write,
    id: u32,
    key: &str,
    value: &str,
    version: Version,
) -> io::Result<()> {
    let (key, value) = (printable(key), printable(value));
    writeln!(out, "data from server: replicate {key} {value} {version}")?;
    writeln!(out, "Client {id} received update: {key} -> {value} with version {version}")
}

/// A key was deleted. The version is that of the delete; it may not be known.
pub(crate) fn deleted(
    out: &mut impl Write,
    id: u32,
    key: &str,
    version: Option<Version>,
) -> io::Result<()> {
    let key = printable(key);
    let Some(version) = version else {
        writeln!(out, "data from server: deleted {key}")?;
        return writeln!(out, "Client {id} received update: {key} deleted");
    };
    writeln!(out, "data from server: deleted {key} {version}")?;
    writeln!(out, "Client {id} received update: {key} deleted with version {version}")
}

/// There is no value.
pub(crate) fn missing(out: &mut impl Write, id: u32, key: &str) -> io::Result<()> {
    let key = printable(key);
    writeln!(out, "data from server: missing {key}")?;
    writeln!(out, "Client {id} found no value for {key}")
}

/// Any reply, for a person: an item a line, one in another indented.
pub(crate) fn reply(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    indented(out, reply, "")
}

fn indented(out: &mut impl Write, reply: &Reply, indent: &str) -> io::Result<()> {
    match reply {
        Reply::Line(text) | Reply::Bulk(text) | Reply::Error(text) => {
            text.lines().try_for_each(|line| writeln!(out, "{indent}{}", printable(line)))?;
            if text.is_empty() { writeln!(out, "{indent}(empty)") } else { Ok(()) }
        }
        Reply::Integer(number) => writeln!(out, "{indent}{number}"),
        Reply::Null => writeln!(out, "{indent}(nil)"),
        Reply::Array(items) | Reply::Push(items) if items.is_empty() => {
            writeln!(out, "{indent}(none)")
        }
        Reply::Array(items) | Reply::Push(items) => items.iter().try_for_each(|item| match item {
            Reply::Array(_) | Reply::Push(_) => indented(out, item, &format!("{indent}  ")),
            _ => indented(out, item, indent),
        }),
    }
}
