//! What peers tell each other.
//!
//! A link is one TCP connection used both ways. All frames are RESP arrays of bulk strings, so
//! `nc` and `tcpdump` show a link as text. The side that dialled speaks first:
//!
//! ```text
//! AUTH default <password>              only if there is a password; answered +OK
//! PEER 1 id 3 life 1731624815000000 born 1731624815000000 address 127.0.0.1:60003 name East
//!        order causal kind physical <status>   answered by the same from the other side, or by an error
//! ```
//!
//! `1` is the version of this protocol. `life` tells one start of a server from the next, `born` is
//! the life in which it began without data. Behind
//! it, names and values come in turn; a name that is not known is passed over. A status is
//!
//! ```text
//! clock 1731624815000007               the sender's Lamport clock
//! above 1731624815000000               all writes of this life are above it; `-`: may not write yet
//! applied (10, 1)..(20, 1) (7, 2)..(7, 2)   what it has applied, chain by chain (rule R1)
//! links 1:1731624814000000:1731624815000000 2:1731...  its live links: server, life, its `above`
//! lives 1:1731624814000000 2:1731... 3:...  the newest life it knows of each server, itself among them
//! held 1731624815000009                the lowest timestamp of what it holds back; `-`: nothing
//! floor 0                              it may have forgotten deletes up to this timestamp (rule R10)
//! gone 4:1731624814000000              servers that were forgotten, and when their data began
//! server 2 1731... 1731... 127.0.0.1:60002 Central   a server it knows: id, life, when its data
//!                                      began, address, name; repeated
//! ```
//!
//! From then on both sides send, in any order:
//!
//! ```text
//! (20, 1) 4 told (7, 2) (9, 3) | key | value | key | value ...
//! ```
//!
//! an *update*: one bulk string with its version; the timestamp's distance from its predecessor in
//! its chain, 0 for the first of a chain; `told` if a person asked for it; and its dependencies
//! (under the delivery rule `stored-version` followed by a key of each, between quotes). Then its
//! keys and values; a null value deletes. No other frame begins with a parenthesis.
//!
//! ```text
//! ACK (20, 1)       I have applied your updates up to this one.
//! ASK (20, 3)       Acknowledge my updates up to this one as soon as you have applied them.
//! STATUS <status>   at least once a second, and whenever the links change. It is the heartbeat.
//! PROMISE 20        Under the delivery rule total: all my updates up to this timestamp were sent.
//! AGAIN             I had no room for what I held back. Send again whatever I have not applied.
//! ```
//!
//! Who lacks what is in no log any more gets a [snapshot]; its frames are `OFFER`, `TAKE`,
//! `SNAPSHOT`, `ENTRY` and `END`.
//!
//! Nothing is lost with a link: each side resumes from what the other says it has *applied*.
//!
//! The errors that end a link begin with a word that programs can tell apart: `-SELF` (that is me),
//! `-LINKED id` (there is a link between us already), `-DUPLICATE` (a live server has that id),
//! `-CUT` (the link is cut by `CUT`), `-FORGOTTEN id` (that server was forgotten by `FORGET`, and
//! has what the cluster has given up), `-ERR` (all else: order, clock, protocol).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::core::{Applied, Record, Update, Version};

use super::bundle::Bundle;
use super::encode::array_into;
use super::request::Request;
use super::resp::FramingError;
use super::snapshot;
pub use super::update::{Head, updates};
pub(crate) use super::update::{LastHead, update_into};

/// The version of the link protocol.
pub const LINK_PROTOCOL: &str = "1";

/// A server, as others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: u32,
    /// Its newest life that is known.
    pub life: u64,
    /// The life in which it began without data. Who was forgotten may come back, but not with what it
    /// had.
    pub born: u64,
    /// Where it can be dialled.
    pub address: String,
    /// Its label; may be empty.
    pub name: String,
}

/// What a server says of itself again and again (rule R5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its Lamport clock.
    pub clock: u64,
    /// All writes of its life are above this timestamp; `None` while it may not write.
    pub above: Option<u64>,
    /// What it has applied.
    pub applied: Applied,
    /// Its live links, by server.
    pub links: BTreeMap<u32, Linked>,
    /// The newest life that it knows of each server, itself among them.
    pub lives: BTreeMap<u32, u64>,
    /// The lowest timestamp of what it holds back; `None`: it holds nothing.
    pub held: Option<u64>,
    /// It may have forgotten deletes up to this timestamp.
    pub floor: u64,
    /// The servers that were forgotten, and when their data began.
    pub gone: BTreeMap<u32, u64>,
    /// The servers it knows, itself not among them.
    pub servers: Vec<Known>,
}

/// A live link, as it is told to others: they need not supply what comes over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The life at its other end.
    pub life: u64,
    /// All writes of that life are above this timestamp; `None` while it may not write.
    pub above: Option<u64>,
}

/// The first thing that a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub who: Known,
    /// Its delivery rule.
    pub order: String,
    /// Its kind of clock.
    pub clock_kind: String,
    /// Its status.
    pub status: Status,
}

/// A frame of an established link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A replicated write.
    Update(Update),
    /// The sender has applied the receiver's updates up to this version.
    Ack(Version),
    /// The receiver is to acknowledge the sender's updates up to this version without delay.
    Ask(Version),
    /// The heartbeat.
    Status(Status),
    /// The sender has sent all its updates up to this timestamp (delivery rule `total`).
    Promise(u64),
    /// Send again what is not applied.
    Again,
    /// Of a snapshot, or about one.
    Snapshot(snapshot::Frame),
}

fn text_or_dash(timestamp: Option<u64>) -> String {
    timestamp.map_or_else(|| "-".to_owned(), |timestamp| timestamp.to_string())
}

#[expect(clippy::option_option, reason = "a dash is no timestamp, and anything else is wrong")]
fn timestamp_or_dash(text: &str) -> Option<Option<u64>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

/// `id:number` pairs, separated by a space.
fn pairs_text(pairs: &BTreeMap<u32, u64>) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(id, number)| format!("{id}:{number}")).collect();
    pairs.join(" ")
}

fn pairs(text: &str) -> Option<BTreeMap<u32, u64>> {
    let pair = |pair: &str| {
        let (id, number) = pair.split_once(':')?;
        Some((id.parse().ok()?, number.parse().ok()?))
    };
    text.split_whitespace().map(pair).collect()
}

impl Status {
    /// What of it counts for forgetting; it is the word of server `id`. Before a life's first write all
    /// of its writes are above its clock, not only above what it said when it began to take them.
    pub fn record(&self, id: u32) -> Record {
        let above = self.above.map(|above| {
            let first = Version { timestamp: above.saturating_add(1), server: id };
            let has_written = self.applied.chain_of(first) == Some(first.timestamp);
            if has_written { above } else { above.max(self.clock) }
        });
        let (lives, applied) = (self.lives.clone(), self.applied.clone());
        Record { lives, above, applied, held: self.held, floor: self.floor }
    }

    fn fields(&self) -> Vec<String> {
        let above = text_or_dash(self.above);
        let mut links = String::new();
        for (id, Linked { life, above }) in &self.links {
            let space = if links.is_empty() { "" } else { " " };
            let _ = write!(links, "{space}{id}:{life}:{}", text_or_dash(*above));
        }
        let (clock, applied) = (self.clock.to_string(), self.applied.to_string());
        let (lives, held) = (pairs_text(&self.lives), text_or_dash(self.held));
        let (floor, gone) = (self.floor.to_string(), pairs_text(&self.gone));
        let pairs = [
            ("clock", clock),
            ("above", above),
            ("applied", applied),
            ("links", links),
            ("lives", lives),
            ("held", held),
            ("floor", floor),
            ("gone", gone),
        ];
        let mut fields: Vec<String> =
            pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        for Known { id, life, born, address, name } in &self.servers {
            fields.extend(["server".to_owned(), format!("{id} {life} {born} {address} {name}")]);
        }
        fields
    }

    /// Appends it as a `STATUS` frame.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let mut frame = vec!["STATUS".to_owned()];
        frame.extend(self.fields());
        array_into(out, &frame);
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "clock" => self.clock = value.parse().ok()?,
            "above" => self.above = timestamp_or_dash(value)?,
            "applied" => self.applied = value.parse().ok()?,
            "links" => {
                let pairs = value.split_whitespace().map(|pair| {
                    let (id, linked) = pair.split_once(':')?;
                    let (life, above) = linked.split_once(':')?;
                    let (life, above) = (life.parse().ok()?, timestamp_or_dash(above)?);
                    Some((id.parse().ok()?, Linked { life, above }))
                });
                self.links = pairs.collect::<Option<_>>()?;
            }
            "lives" => self.lives = pairs(value)?,
            "held" => self.held = timestamp_or_dash(value)?,
            "floor" => self.floor = value.parse().ok()?,
            "gone" => self.gone = pairs(value)?,
            "server" => {
                let mut words = value.splitn(5, ' ');
                self.servers.push(Known {
                    id: words.next()?.parse().ok()?,
                    life: words.next()?.parse().ok()?,
                    born: words.next()?.parse().ok()?,
                    address: words.next()?.to_owned(),
                    name: words.next().unwrap_or_default().to_owned(),
                });
            }
            _ => {}
        }
        Some(())
    }
}

impl Hello {
    /// Appends it as a `PEER` frame.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let Known { id, life, born, address, name } = &self.who;
        let (id, life, born) = (id.to_string(), life.to_string(), born.to_string());
        let pairs = [
            ("id", &id),
            ("life", &life),
            ("born", &born),
            ("address", address),
            ("name", name),
            ("order", &self.order),
            ("kind", &self.clock_kind),
        ];
        let mut frame = vec!["PEER".to_owned(), LINK_PROTOCOL.to_owned()];
        frame.extend(pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value.clone()]));
        frame.extend(self.status.fields());
        array_into(out, &frame);
    }

    /// Reads a `PEER` frame.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(request: Request<'_>) -> Result<Self, FramingError> {
        if request.len() < 2 || text(request, 1)? != LINK_PROTOCOL {
            return Err(FramingError(format!(
                "this server speaks version {LINK_PROTOCOL} of the link protocol"
            )));
        }
        let who = Known { id: 0, life: 0, born: 0, address: String::new(), name: String::new() };
        let (order, clock_kind) = (String::new(), String::new());
        let mut hello = Self { who, order, clock_kind, status: Status::default() };
        let mut id = None;
        fields(request, 2, |name, value| {
            match name {
                "id" => id = Some(value.parse().ok()?),
                "life" => hello.who.life = value.parse().ok()?,
                "born" => hello.who.born = value.parse().ok()?,
                "address" => value.clone_into(&mut hello.who.address),
                "name" => value.clone_into(&mut hello.who.name),
                "order" => value.clone_into(&mut hello.order),
                "kind" => value.clone_into(&mut hello.clock_kind),
                _ => hello.status.take(name, value)?,
            }
            Some(())
        })?;
        // Without these three a link could not be registered or made again.
        hello.who.id = id.unwrap_or_default();
        if id.is_none() || hello.who.life == 0 || hello.who.address.is_empty() {
            return Err(FramingError("a PEER frame names an id, a life and an address".to_owned()));
        }
        Ok(hello)
    }
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(request: Request<'_>) -> Result<Self, FramingError> {
        let mut bundle = Bundle::default();
        if bundle.push(request)? {
            let arrived = bundle.iter().next().expect("it was pushed");
            return Ok(Self::Update(Head::from(arrived.update).update(arrived.changes)));
        }
        let head = text(request, 0)?;
        match head {
            "ACK" | "ASK" if request.len() == 2 => {
                let version = text(request, 1)?.parse();
                let version = version.map_err(|error| FramingError(format!("{error}")))?;
                Ok(if head == "ACK" { Self::Ack(version) } else { Self::Ask(version) })
            }
            "STATUS" => {
                let mut status = Status::default();
                fields(request, 1, |name, value| status.take(name, value))?;
                Ok(Self::Status(status))
            }
            "PROMISE" if request.len() == 2 => {
                let timestamp = text(request, 1)?.parse();
                timestamp.map(Self::Promise).map_err(|error| FramingError(format!("{error}")))
            }
            "AGAIN" => Ok(Self::Again),
            _ => snapshot::decode(request, head).map(Self::Snapshot),
        }
    }
}

fn fields(
    request: Request<'_>,
    first: usize,
    mut take: impl FnMut(&str, &str) -> Option<()>,
) -> Result<(), FramingError> {
    if !(request.len() - first).is_multiple_of(2) {
        return Err(FramingError("a name without a value".to_owned()));
    }
    for index in (first..request.len()).step_by(2) {
        let (name, value) = (text(request, index)?, text(request, index + 1)?);
        if take(name, value).is_none() {
            let value = value.chars().take(64).collect::<String>();
            return Err(FramingError(format!(
                "'{}' cannot be '{}'",
                name.escape_debug(),
                value.escape_debug()
            )));
        }
    }
    Ok(())
}

pub(super) fn text(request: Request<'_>, index: usize) -> Result<&str, FramingError> {
    let text = request.text_at(index);
    text.ok_or_else(|| FramingError(format!("field {index} is not text")))
}
