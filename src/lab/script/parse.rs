//! From text to [`Script`].

use crate::core::{ClockKind, Order};

use super::line::Line;
use super::{Act, Action, Content, Direction, Expectation, Network, Script, Step};

/// Words that begin a statement, so that nobody can be called that.
const WORDS: [&str; 16] = [
    "servers", "clock", "order", "network", "client", "hold", "release", "delay", "deliver", "cut",
    "heal", "kill", "start", "wait", "settle", "expect",
];

/// The longest time that a statement may name: an hour, in ms.
const MS_MAX: u64 = 3_600_000;

pub(super) fn script(name: &str, text: &str) -> Result<Script, String> {
    let first = text.lines().next().unwrap_or_default();
    let claim = first.strip_prefix('#').map(str::trim).filter(|claim| !claim.is_empty());
    let claim = claim.ok_or_else(|| {
        format!("{name}, line 1: the first line says the script's claim; begin it with '# '")
    })?;
    let mut parser = Parser {
        script: Script {
            name: name.to_owned(),
            claim: claim.to_owned(),
            servers: Vec::new(),
            clients: Vec::new(),
            clock: ClockKind::Physical,
            order: Order::Causal,
            network: Network::default(),
            steps: Vec::new(),
        },
        running: Vec::new(),
    };
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if !content.is_empty() && !content.starts_with('#') {
            parser
                .statement(line, content)
                .map_err(|wrong| format!("{name}, line {line}: {wrong}"))?;
        }
    }
    let script = parser.script;
    if script.steps.is_empty() {
        return Err(format!("{name}: nothing happens; add steps such as 'client Alice at West'"));
    }
    Ok(script)
}

struct Parser {
    script: Script,
    /// Which servers run at this place of the script.
    running: Vec<bool>,
}

impl Parser {
    fn statement(&mut self, line: usize, text: &str) -> Result<(), String> {
        let mut rest = Line::new(text);
        let first = rest.word("a statement")?;
        if self.script.servers.is_empty() != (first == "servers") {
            return Err(match first {
                "servers" => "the servers are named already; name all in one line".to_owned(),
                _ => "first name the servers: 'servers West Central East'".to_owned(),
            });
        }
        if matches!(first, "servers" | "clock" | "order" | "network") {
            if !self.script.steps.is_empty() {
                return Err(format!("'{first}' comes too late; put it before the first step"));
            }
            self.setting(first, &mut rest)?;
            return rest.end();
        }
        let action = self.action(first, &mut rest)?;
        rest.end()?;
        self.script.steps.push(Step { line, text: text.to_owned(), action });
        Ok(())
    }

    fn setting(&mut self, first: &str, rest: &mut Line<'_>) -> Result<(), String> {
        match first {
            "servers" => {
                let mut name = Some(rest.word("a server's name")?);
                while let Some(new) = name {
                    self.check_new(new)?;
                    self.script.servers.push(new.to_owned());
                    name = rest.optional_word();
                }
                self.running = vec![true; self.script.servers.len()];
            }
            "clock" => self.script.clock = rest.word("a clock")?.parse()?,
            "order" => self.script.order = rest.word("a delivery rule")?.parse()?,
            _ => {
                while let Some(word) = rest.optional_word() {
                    network(&mut self.script.network, word)?;
                }
            }
        }
        Ok(())
    }

    fn action(&mut self, first: &str, rest: &mut Line<'_>) -> Result<Action, String> {
        match first {
            "client" => {
                let name = rest.word("a client's name")?;
                self.check_new(name)?;
                rest.exactly("at")?;
                let server = self.running_server(rest)?;
                self.script.clients.push(name.to_owned());
                Ok(Action::Appear { client: self.script.clients.len() - 1, server })
            }
            "wait" => Ok(Action::Wait { ms: milliseconds(rest)? }),
            "settle" => Ok(Action::Settle),
            "expect" => self.expectation(rest).map(Action::Expect),
            word if WORDS.contains(&word) => self.direction(word, rest).map(Action::Direct),
            name => match self.script.clients.iter().position(|client| client == name) {
                Some(client) => Ok(Action::Act { client, act: self.act(rest)? }),
                None => Err(format!(
                    "'{name}' is neither a statement nor a client; write 'client {name} at SERVER' \
                     before"
                )),
            },
        }
    }

    fn act(&self, rest: &mut Line<'_>) -> Result<Act, String> {
        match rest.word("what the client does")? {
            "joins" => Ok(Act::Join),
            "writes" => {
                let key = rest.word("a key")?.to_owned();
                Ok(Act::Write { key, value: rest.value()? })
            }
            "deletes" => Ok(Act::Delete { key: rest.word("a key")?.to_owned() }),
            "reads" => {
                let (key, expected) = rest.content()?;
                Ok(Act::Read { key, expected })
            }
            "awaits" => {
                let (key, expected) = said(rest, "what is awaited", "awaits")?;
                Ok(Act::Await { key, expected })
            }
            "moves" => {
                rest.exactly("to")?;
                Ok(Act::Move { server: self.server(rest)? })
            }
            "starts" => rest.exactly("over").map(|()| Act::StartOver),
            "cannot" => match rest.word("'write' or 'move'")? {
                "write" => {
                    let key = rest.word("a key")?.to_owned();
                    Ok(Act::CannotWrite { key, value: rest.value()? })
                }
                "move" => {
                    rest.exactly("to")?;
                    Ok(Act::CannotMove { server: self.server(rest)? })
                }
                other => Err(format!("a client cannot '{other}'; say 'write' or 'move to'")),
            },
            other => Err(format!(
                "'{other}' is nothing that clients do; they join, write, delete, read, await, \
                 move to, start over, and cannot write or move to"
            )),
        }
    }

    fn direction(&mut self, word: &str, rest: &mut Line<'_>) -> Result<Direction, String> {
        Ok(match word {
            "hold" => {
                let (from, to) = self.pair(rest, "->")?;
                Direction::Hold { from, to, key: rest.optional_word().map(str::to_owned) }
            }
            "release" => {
                let (from, to) = self.pair(rest, "->")?;
                Direction::Release { from, to, key: rest.optional_word().map(str::to_owned) }
            }
            "delay" => {
                let (from, to) = self.pair(rest, "->")?;
                let ms = milliseconds(rest)?;
                Direction::Delay { from, to, ms, key: rest.optional_word().map(str::to_owned) }
            }
            "deliver" => {
                let (from, to) = self.pair(rest, "->")?;
                let (key, content) = rest.content()?;
                Direction::Deliver { from, to, key, content }
            }
            "cut" => {
                let (one, other) = self.pair(rest, "-")?;
                Direction::Cut { one, other }
            }
            "heal" => {
                let (one, other) = self.pair(rest, "-")?;
                Direction::Heal { one, other }
            }
            "kill" => {
                let server = self.running_server(rest)?;
                self.running[server] = false;
                Direction::Kill { server }
            }
            _ => {
                let server = self.server(rest)?;
                if std::mem::replace(&mut self.running[server], true) {
                    let name = &self.script.servers[server];
                    return Err(format!("{name} runs already; 'kill {name}' before"));
                }
                Direction::Start { server }
            }
        })
    }

    fn expectation(&self, rest: &mut Line<'_>) -> Result<Expectation, String> {
        let mut ahead = *rest;
        if ahead.optional_word() == Some("agreement") {
            *rest = ahead;
            return Ok(Expectation::Agreement);
        }
        let server = self.running_server(rest)?;
        match rest.word("'receives', 'holds' or 'shows'")? {
            "receives" => Ok(Expectation::Receives { server, key: rest.word("a key")?.to_owned() }),
            "holds" => Ok(Expectation::Holds { server, key: rest.word("a key")?.to_owned() }),
            "shows" => {
                let (key, content) = said(rest, "what is shown", "shows")?;
                Ok(Expectation::Shows { server, key, content })
            }
            other => {
                Err(format!("'{other}' cannot be expected; say 'receives', 'holds' or 'shows'"))
            }
        }
    }

    /// Two different servers with a sign between them.
    fn pair(&self, rest: &mut Line<'_>, sign: &str) -> Result<(usize, usize), String> {
        let one = self.server(rest)?;
        rest.exactly(sign)?;
        let other = self.server(rest)?;
        if one == other {
            return Err(format!("{} has no link to itself", self.script.servers[one]));
        }
        Ok((one, other))
    }

    fn server(&self, rest: &mut Line<'_>) -> Result<usize, String> {
        let name = rest.word("a server")?;
        let found = self.script.servers.iter().position(|server| server == name);
        found.ok_or_else(|| {
            format!("'{name}' is not a server; there are {}", self.script.servers.join(", "))
        })
    }

    fn running_server(&self, rest: &mut Line<'_>) -> Result<usize, String> {
        let server = self.server(rest)?;
        if self.running[server] {
            return Ok(server);
        }
        let name = &self.script.servers[server];
        Err(format!("{name} does not run here; 'start {name}' before"))
    }

    /// A name that nobody has yet.
    fn check_new(&self, name: &str) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(plain) {
            return Err(format!(
                "'{name}' cannot be a name; use letters, digits, '-' and '_', a letter first"
            ));
        }
        if WORDS.contains(&name) {
            return Err(format!("'{name}' begins a statement; use another name"));
        }
        if self.script.servers.iter().chain(&self.script.clients).any(|known| known == name) {
            return Err(format!("'{name}' is somebody's name already; use another one"));
        }
        Ok(())
    }
}

/// A key and what it must show.
fn said(rest: &mut Line<'_>, what: &str, verb: &str) -> Result<(String, Content), String> {
    match rest.content()? {
        (key, Some(content)) => Ok((key, content)),
        (key, None) => {
            Err(format!("{what} is missing; write '{verb} {key} = VALUE' or '{verb} no {key}'"))
        }
    }
}

fn milliseconds(rest: &mut Line<'_>) -> Result<u64, String> {
    match rest.number("a number of milliseconds")? {
        ms if ms <= MS_MAX => Ok(ms),
        ms => Err(format!("{ms} ms are more than an hour; use at most {MS_MAX}")),
    }
}

/// Takes in one word of `network`.
fn network(network: &mut Network, word: &str) -> Result<(), String> {
    let (name, text) = word.split_once('=').ok_or_else(|| {
        format!("'{word}' is not a property of a network; write it as name=value, as in loss=5")
    })?;
    let number = |text: &str, max: u64| match text.parse::<u64>() {
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!("{name} cannot be '{text}'; use a number from 0 to {max}")),
    };
    match name {
        "latency" => {
            let (from, to) = text.split_once("..").unwrap_or((text, text));
            network.latency_ms = (number(from, MS_MAX)?, number(to, MS_MAX)?);
            if network.latency_ms.0 > network.latency_ms.1 {
                return Err(format!("latency={text} goes down; write latency={to}..{from}"));
            }
        }
        // Were all lost, nothing would ever arrive.
        "loss" => network.loss_percent = number(text, 90)?,
        "duplicate" => network.duplicate_percent = number(text, 100)?,
        "reorder" => network.reorder_percent = number(text, 100)?,
        "skew" => network.skew_ms = number(text, 50_000)?,
        _ => {
            return Err(format!(
                "a network has no '{name}'; it has latency, loss, duplicate, reorder and skew"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
