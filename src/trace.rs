//! Traces: what happened at a server, one logfmt line an event, for diagrams.
//!
//! ```text
//! time=1731624819000123 server=1 clock=2 event=write client="Alice" version="(2, 1)" predecessor=1 key="y" value="found"
//! time=1731624829000456 server=3 clock=3 event=hold version="(3, 2)" missing="(2, 1)"
//! time=1731624832000789 server=3 clock=3 event=apply version="(3, 2)" waited_us=3000333 released_by="(2, 1)"
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `time` | when it happened: microseconds since 1970, by the server's own clock, which may be wrong |
//! | `server` | the id of the server at which it happened |
//! | `clock` | the server's Lamport clock after it |
//! | `event` | what happened, see below |
//!
//! | `event` | fields | what happened |
//! |---|---|---|
//! | `start` | name, order, kind | the server began a life, with this label, delivery rule and kind of clock |
//! | `stop` | | the server stopped; what is killed may not say so |
//! | `write` | client, *update* | a client wrote. It is visible at once, but under the order `total`, where an `apply` follows |
//! | `read` | client, key, value, version | a client read; without value and version there was nothing |
//! | `receive` | from, *update* | a new update came from that server; duplicates are not told |
//! | `hold` | version, missing | that update is held until the version `missing` is applied |
//! | `apply` | version | that update became visible. `shown_as`: under this version, if another than its own; `waited_us` and `released_by`: how long it was held, and what then came, if it was held |
//! | `snapshot` | from, entries, applied | the store became what it has and a snapshot of that server has, in one step: so many keys, and all updates that `applied` covers, written as in a [`SNAPSHOT`](crate::protocol::snapshot)'s `END` and quoted. What was held and is covered is held no more, without an `apply` |
//! | `link` | peer, state | the link to that server is `up` or `down` |
//!
//! An *update* is the fields
//!
//! | field | meaning |
//! |---|---|
//! | `version` | its name, quoted, as `(timestamp, server)` |
//! | `predecessor` | the timestamp of its chain's previous update, 0 for the first |
//! | `depends` | the versions that it depends on besides, quoted, a space between; left out if there are none |
//! | `key`, `value` | quoted, see [`quoted`]; without a value it is a delete |
//! | `more` | how many keys it changes besides this one; left out if there are none |
//!
//! Fields come in this order, one space between them. Lines of one server stand in the order of its
//! events; a file may hold several servers' lines. For those who write traces by hand: a word needs
//! no quotes, and unknown fields do no harm.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::core::{Applied, Version, VersionError};
use crate::text::{fields, quoted};

/// Something that happened at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, by the server's own clock: microseconds since 1970.
    pub time_us: u64,
    /// Where: the server's id.
    pub server: u32,
    /// The server's Lamport clock after it.
    pub clock: u64,
    /// What happened.
    pub what: What,
}

/// What happened; the fields are those of the tables above.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    Start {
        name: String,
        order: String,
        clock_kind: String,
    },
    Stop,
    Write {
        client: String,
        update: Told,
    },
    Read {
        client: String,
        key: String,
        found: Option<(String, Version)>,
    },
    Receive {
        from: u32,
        update: Told,
    },
    Hold {
        version: Version,
        missing: Version,
    },
    Apply {
        version: Version,
        /// The version itself, but under the order `original`.
        shown_as: Version,
        waited_us: Option<u64>,
        released_by: Option<Version>,
    },
    Snapshot {
        from: u32,
        entries: u64,
        applied: Applied,
    },
    Link {
        peer: u32,
        up: bool,
    },
}

/// What is told of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub version: Version,
    /// The timestamp of its chain's previous update; 0 if it is the first.
    pub predecessor: u64,
    /// What it depends on besides.
    pub depends: Vec<Version>,
    /// The key, or the first of them.
    pub key: String,
    /// Its new value; `None` deletes it.
    pub value: Option<String>,
    /// How many keys it changes besides.
    pub more: usize,
}

impl fmt::Display for Event {
    /// The line, without a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time_us, server, clock, what } = self;
        write!(f, "time={time_us} server={server} clock={clock} event={what}")
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { name, order, clock_kind } => {
                let (name, order, kind) = (quoted(name), quoted(order), quoted(clock_kind));
                write!(f, "start name={name} order={order} kind={kind}")
            }
            Self::Stop => f.write_str("stop"),
            Self::Write { client, update } => write!(f, "write client={} {update}", quoted(client)),
            Self::Read { client, key, found } => {
                write!(f, "read client={} key={}", quoted(client), quoted(key))?;
                let Some((value, version)) = found else { return Ok(()) };
                write!(f, " value={} version=\"{version}\"", quoted(value))
            }
            Self::Receive { from, update } => write!(f, "receive from={from} {update}"),
            Self::Hold { version, missing } => {
                write!(f, "hold version=\"{version}\" missing=\"{missing}\"")
            }
            Self::Apply { version, shown_as, waited_us, released_by } => {
                write!(f, "apply version=\"{version}\"")?;
                let shown_as = Some(shown_as).filter(|&shown_as| shown_as != version);
                optional(f, "shown_as", shown_as.map(in_quotes))?;
                optional(f, "waited_us", waited_us.as_ref())?;
                optional(f, "released_by", released_by.as_ref().map(in_quotes))
            }
            Self::Snapshot { from, entries, applied } => {
                write!(f, "snapshot from={from} entries={entries} applied=\"{applied}\"")
            }
            Self::Link { peer, up } => {
                write!(f, "link peer={peer} state={}", if *up { "up" } else { "down" })
            }
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version=\"{}\" predecessor={}", self.version, self.predecessor)?;
        let depends: Vec<String> = self.depends.iter().map(ToString::to_string).collect();
        let depends = (!depends.is_empty()).then(|| quoted(&depends.join(" ")));
        optional(f, "depends", depends)?;
        write!(f, " key={}", quoted(&self.key))?;
        optional(f, "value", self.value.as_deref().map(quoted))?;
        optional(f, "more", (self.more > 0).then_some(self.more))
    }
}

fn optional(
    f: &mut fmt::Formatter<'_>,
    field: &str,
    value: Option<impl fmt::Display>,
) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {field}={value}"))
}

fn in_quotes(version: &Version) -> String {
    format!("\"{version}\"")
}

impl FromStr for Event {
    type Err = String;

    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn from_str(line: &str) -> Result<Self, String> {
        let mut fields = fields(line)?;
        let event = fields.remove("event").ok_or("the field event is missing")?;
        let mut fields = Fields { event, fields };
        Ok(Self {
            time_us: fields.needed("time")?,
            server: fields.needed("server")?,
            clock: fields.needed("clock")?,
            what: fields.what()?,
        })
    }
}

/// What a line says, and of which event.
struct Fields {
    event: String,
    fields: HashMap<String, String>,
}

impl Fields {
    fn what(&mut self) -> Result<What, String> {
        Ok(match self.event.as_str() {
            "start" => What::Start {
                name: self.text("name")?,
                order: self.text("order")?,
                clock_kind: self.text("kind")?,
            },
            "stop" => What::Stop,
            "write" => What::Write { client: self.text("client")?, update: self.told()? },
            "read" => What::Read {
                client: self.text("client")?,
                key: self.text("key")?,
                found: self.found()?,
            },
            "receive" => What::Receive { from: self.needed("from")?, update: self.told()? },
            "hold" => {
                What::Hold { version: self.needed("version")?, missing: self.needed("missing")? }
            }
            "apply" => self.apply()?,
            "snapshot" => What::Snapshot {
                from: self.needed("from")?,
                entries: self.needed("entries")?,
                applied: self.needed("applied")?,
            },
            "link" => What::Link { peer: self.needed("peer")?, up: self.is_up()? },
            other => {
                let known = "start, stop, write, read, receive, hold, apply, snapshot and link";
                return Err(format!("event={other} is none of {known}"));
            }
        })
    }

    fn told(&mut self) -> Result<Told, String> {
        let depends = self.fields.remove("depends").unwrap_or_default();
        Ok(Told {
            version: self.needed("version")?,
            predecessor: self.read("predecessor")?.unwrap_or(0),
            depends: Version::parse_all(&depends)
                .map_err(|error: VersionError| format!("depends: {error}"))?,
            key: self.text("key")?,
            value: self.fields.remove("value"),
            more: self.read("more")?.unwrap_or(0),
        })
    }

    fn found(&mut self) -> Result<Option<(String, Version)>, String> {
        match (self.fields.remove("value"), self.read("version")?) {
            (Some(value), Some(version)) => Ok(Some((value, version))),
            (None, None) => Ok(None),
            _ => Err("event=read has a value and a version or neither".to_owned()),
        }
    }

    fn apply(&mut self) -> Result<What, String> {
        let version = self.needed("version")?;
        Ok(What::Apply {
            version,
            shown_as: self.read("shown_as")?.unwrap_or(version),
            waited_us: self.read("waited_us")?,
            released_by: self.read("released_by")?,
        })
    }

    fn is_up(&mut self) -> Result<bool, String> {
        match self.text("state")?.as_str() {
            "up" => Ok(true),
            "down" => Ok(false),
            other => Err(format!("state cannot be '{other}': write up or down")),
        }
    }

    fn text(&mut self, field: &str) -> Result<String, String> {
        let event = &self.event;
        let value = self.fields.remove(field);
        value.ok_or_else(|| format!("event={event} needs the field {field}"))
    }

    fn needed<T: FromStr>(&mut self, field: &str) -> Result<T, String>
    where
        T::Err: fmt::Display,
    {
        parsed(field, &self.text(field)?)
    }

    fn read<T: FromStr>(&mut self, field: &str) -> Result<Option<T>, String>
    where
        T::Err: fmt::Display,
    {
        self.fields.remove(field).map(|text| parsed(field, &text)).transpose()
    }
}

fn parsed<T: FromStr>(field: &str, text: &str) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    text.parse().map_err(|error| format!("{field} cannot be '{text}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of each kind, with and without what may be left out.
    const LINES: [&str; 15] = [
        "time=7 server=1 clock=0 event=start name=\"West\" order=\"causal\" kind=\"logical\"",
        "time=7 server=1 clock=9 event=stop",
        "time=7 server=1 clock=1 event=write client=\"Alice\" version=\"(1, 1)\" predecessor=0 \
         key=\"x\" value=\"lost\"",
        "time=7 server=2 clock=9 event=write client=\"a b\" version=\"(9, 2)\" predecessor=5 \
         depends=\"(2, 1) (8, 3)\" key=\"a\\n\\\"b\\\"\" value=\"\" more=2",
        "time=7 server=2 clock=9 event=write client=\"\" version=\"(9, 2)\" predecessor=5 key=\"x\"",
        "time=7 server=2 clock=3 event=read client=\"Bob\" key=\"y\" value=\"found\" version=\"(2, 1)\"",
        "time=7 server=2 clock=3 event=read client=\"Bob\" key=\"y\"",
        "time=7 server=3 clock=4 event=receive from=2 version=\"(3, 2)\" predecessor=0 \
         depends=\"(2, 1)\" key=\"z\" value=\"glad\"",
        "time=7 server=3 clock=4 event=hold version=\"(3, 2)\" missing=\"(2, 1)\"",
        "time=7 server=3 clock=4 event=apply version=\"(3, 2)\"",
        "time=7 server=3 clock=4 event=apply version=\"(3, 2)\" waited_us=17 released_by=\"(2, 1)\"",
        "time=7 server=3 clock=6 event=apply version=\"(3, 2)\" shown_as=\"(5, 3)\" waited_us=17",
        "time=7 server=3 clock=4 event=link peer=2 state=up",
        "time=7 server=3 clock=4 event=link peer=2 state=down",
        "time=7 server=3 clock=9 event=snapshot from=2 entries=4 applied=\"(1, 1)..(4, 1) (9, 2)..(9, 2)\"",
    ];

    #[test]
    fn what_was_written_is_read_again() {
        for line in LINES {
            let event: Event = line.parse().expect("it is well formed");
            assert_eq!(event.to_string(), line);
            assert_eq!(event.to_string().parse(), Ok(event));
        }
    }

    #[test]
    fn an_event_means_what_it_says() {
        let version = Version::from((3, 2));
        let held: Event = LINES[11].parse().expect("it is well formed");
        let shown_as = Version::from((5, 3));
        let what = What::Apply { version, shown_as, waited_us: Some(17), released_by: None };
        assert_eq!(held, Event { time_us: 7, server: 3, clock: 6, what });
        let by_hand = "time=7 server=3 clock=4 colour=red event=apply version=\"(3,2)\"";
        let plain: Event = by_hand.parse().expect("unknown fields do no harm");
        let what = What::Apply { version, shown_as: version, waited_us: None, released_by: None };
        assert_eq!(plain.what, what);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let kinds = "start, stop, write, read, receive, hold, apply, snapshot and link";
        for (line, wrong) in [
            ("clock=1", "the field event is missing".to_owned()),
            ("event=jump clock=1", format!("event=jump is none of {kinds}")),
            ("event=stop", "event=stop needs the field clock".to_owned()),
            ("event=link clock=1 peer=2", "event=link needs the field state".to_owned()),
            (
                "event=link clock=1 peer=2 state=on",
                "state cannot be 'on': write up or down".to_owned(),
            ),
            (
                "event=read clock=1 client=c key=x value=1",
                "event=read has a value and a version or neither".to_owned(),
            ),
            (
                "event=hold clock=1 version=\"(3, 2)\" missing=y",
                "missing cannot be 'y': 'y' is not a version; write it as (timestamp, server)"
                    .to_owned(),
            ),
            ("event=stop clock=\"1", "the quotes of clock are not closed well".to_owned()),
        ] {
            assert_eq!(format!("time=7 server=1 {line}").parse::<Event>(), Err(wrong));
        }
        let negative = "time=7 server=-1 clock=1 event=stop".parse::<Event>();
        assert!(negative.is_err_and(|wrong| wrong.starts_with("server cannot be '-1': ")));
    }
}
