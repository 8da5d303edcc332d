//! Reading the arguments of a client's request.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use crate::core::Version;

use super::command::{Command, KEY_BYTES_MAX, Refused};
use super::link::Hello;
use super::request::{Argument, Request};
use super::resp::BULK_BYTES_MAX;

/// How long `AFTER` waits if it is not told, in milliseconds.
const AFTER_MS: u64 = 1000;

/// The arguments of one request. Argument 0 is its name.
pub(super) struct Arguments<'a> {
    pub(super) request: Request<'a>,
}

type Parsed<'a> = Option<Result<Command<'a>, Refused>>;

impl<'a> Arguments<'a> {
    pub(super) fn count(&self) -> usize {
        self.request.len() - 1
    }

    /// Runs `parse` if the number of arguments fits.
    #[allow(clippy::unnecessary_wraps)] // so that an arm of a table is one call
    fn takes(
        &self,
        fits: impl FnOnce(usize) -> bool,
        parse: impl FnOnce(&Self) -> Result<Command<'a>, Refused>,
    ) -> Parsed<'a> {
        if fits(self.count()) {
            return Some(parse(self));
        }
        let name = self.lossy(0).to_lowercase();
        Some(Err(format!("ERR wrong number of arguments for '{name}' command")))
    }

    pub(super) fn data(&self, name: &[u8]) -> Parsed<'a> {
        use Command as C;
        match name {
            b"WRITE" => {
                self.takes(|n| n == 2, |a| Ok(C::Write { key: a.key(1)?, value: a.value(2)? }))
            }
            b"READ" => self.takes(|n| n == 1, |a| Ok(C::Read { key: a.key(1)? })),
            b"SET" => self.takes(|_| false, Self::set),
            b"GET" => self.takes(|_| false, |a| Ok(C::Get { key: a.key(1)? })),
            b"MGET" => self.takes(|n| n >= 1, |a| Ok(C::MGet { keys: a.keys()? })),
            b"MSET" => self.takes(|n| n >= 2 && n % 2 == 0, |a| Ok(C::MSet { pairs: a.pairs()? })),
            b"DEL" => self.takes(|n| n >= 1, |a| Ok(C::Del { keys: a.keys()? })),
            b"EXISTS" => self.takes(|n| n >= 1, |a| Ok(C::Exists { keys: a.keys()? })),
            b"DBSIZE" => self.takes(|n| n == 0, |_| Ok(C::DbSize)),
            b"STRLEN" => self.takes(|n| n == 1, |a| Ok(C::StrLen { key: a.key(1)? })),
            b"TYPE" => self.takes(|n| n == 1, |a| Ok(C::Type { key: a.key(1)? })),
            b"TTL" => self.takes(|n| n == 1, |a| Ok(C::Ttl { key: a.key(1)? })),
            b"SCAN" => self.takes(|n| n % 2 == 1, Self::scan),
            b"KEYS" => self.takes(|n| n == 1, |a| Ok(C::Keys { pattern: a.pattern(1)? })),
            _ => None,
        }
    }

    pub(super) fn causal(&self, name: &[u8]) -> Parsed<'a> {
        use Command as C;
        match name {
            b"JOIN" => self.takes(|n| n == 1, |a| Ok(C::Join { id: a.text(1)? })),
            b"CONTEXT" => self.takes(|n| n == 0, |_| Ok(C::Context)),
            b"AFTER" => self.takes(|_| true, Self::after),
            b"WAIT" => self.takes(
                |n| n == 2,
                |a| Ok(C::Wait { peers: a.number(1)?, timeout_ms: a.number(2)? }),
            ),
            b"PENDING" => self.takes(|n| n == 0, |_| Ok(C::Pending)),
            b"SERVERS" => self.takes(|n| n == 0, |_| Ok(C::Servers)),
            b"FORGET" => self.takes(|n| n == 1, |a| Ok(C::Forget { server: a.number(1)? })),
            b"SHUTDOWN" => self.takes(|n| n <= 1, |_| Ok(C::Shutdown)),
            b"INFO" => self.takes(|_| true, |_| Ok(C::Info)),
            b"DELAY" => self.takes(
                |n| n == 2 || n == 3,
                |a| {
                    let key = if a.count() == 3 { Some(a.key(3)?) } else { None };
                    Ok(C::Delay { server: a.number(1)?, delay_ms: a.number(2)?, key })
                },
            ),
            b"CUT" => self.takes(|n| n == 1, |a| Ok(C::Cut { server: a.number(1)? })),
            b"HEAL" => self.takes(|n| n == 1, |a| Ok(C::Heal { server: a.number(1)? })),
            b"PEER" => Some(Ok(C::Peer { hello: Box::new(Hello::decode(self.request)) })),
            _ => None,
        }
    }

    pub(super) fn connection(&self, name: &[u8]) -> Parsed<'a> {
        use Command as C;
        match name {
            b"PING" => self.takes(
                |n| n <= 1,
                |a| Ok(C::Ping { bytes: if a.count() == 1 { Some(a.bytes(1)?) } else { None } }),
            ),
            b"ECHO" => self.takes(|n| n == 1, |a| Ok(C::Echo { bytes: a.bytes(1)? })),
            b"AUTH" => self.takes(
                |n| n == 1 || n == 2,
                |a| {
                    let user = if a.count() == 2 { a.text(1)? } else { "default" };
                    Ok(C::Auth { user, password: a.text(a.count())? })
                },
            ),
            b"QUIT" => Some(Ok(C::Quit)),
            b"SELECT" => self.takes(
                |n| n == 1,
                |a| match a.number(1) {
                    Ok(0u32) => Ok(C::Select),
                    Ok(_) => {
                        Err("ERR DB index is out of range: there is only database 0".to_owned())
                    }
                    Err(_) => Err("ERR invalid DB index".to_owned()),
                },
            ),
            b"COMMAND" => Some(Ok(match self.word(1).as_deref() {
                Some("COUNT") => C::CommandCount,
                _ => C::CommandDocs,
            })),
            b"CONFIG" => self.takes(
                |n| n >= 1,
                |a| match a.word(1).as_deref() {
                    Some("GET") if a.count() >= 2 => {
                        let patterns =
                            (2..=a.count()).map(|i| a.text(i)).collect::<Result<_, _>>()?;
                        Ok(C::ConfigGet { patterns })
                    }
                    _ => Err("ERR only CONFIG GET pattern is supported".to_owned()),
                },
            ),
            b"CLIENT" => self.takes(|n| n >= 1, Self::client),
            b"HELLO" => self.takes(|_| true, Self::hello),
            b"POST" | b"HOST:" => Some(Ok(C::CrossProtocol)),
            _ => None,
        }
    }

    pub(super) fn set(&self) -> Result<Command<'a>, Refused> {
        // All is looked at once, if it is as usual.
        if let came @ Some((text, place)) = self.request.change()
            && let (key, Some(value)) = place.read(text)
            && key.len() <= KEY_BYTES_MAX
        {
            return Ok(Command::Set { key, value, came });
        }
        if self.count() > 2 {
            let option = self.lossy(3);
            return Err(format!(
                "ERR SET takes a key and a value; its option '{option}' is not supported"
            ));
        }
        Ok(Command::Set { key: self.key(1)?, value: self.value(2)?, came: None })
    }

    fn scan(&self) -> Result<Command<'a>, Refused> {
        let cursor = self.number(1).map_err(|_| "ERR invalid cursor".to_owned())?;
        let (mut pattern, mut strings) = (None, true);
        for option in (2..self.count()).step_by(2) {
            match self.word(option).as_deref() {
                Some("MATCH") => pattern = Some(self.pattern(option + 1)?),
                Some("TYPE") => strings = self.text(option + 1)?.eq_ignore_ascii_case("string"),
                // A hint, in Redis too. Here a call returns one part of the store.
                Some("COUNT") => drop(self.number::<u64>(option + 1)?),
                _ => return Err("ERR syntax error".to_owned()),
            }
        }
        Ok(Command::Scan { cursor, pattern, strings })
    }

    fn after(&self) -> Result<Command<'a>, Refused> {
        let mut count = self.count();
        let mut timeout_ms = AFTER_MS;
        if count >= 2 && self.word(count - 1).as_deref() == Some("TIMEOUT") {
            timeout_ms = self.number(count)?;
            count -= 2;
        }
        let words = (1..=count).map(|index| self.text(index)).collect::<Result<Vec<_>, _>>()?;
        let versions = Version::parse_all(&words.join(" "));
        let versions = versions.map_err(|error| format!("ERR {error}"))?;
        Ok(Command::After { versions, timeout_ms })
    }

    fn client(&self) -> Result<Command<'a>, Refused> {
        match (self.word(1).as_deref(), self.count()) {
            (Some("SETNAME"), 2) => Ok(Command::ClientSetName { name: self.client_name(2)? }),
            (Some("GETNAME"), 1) => Ok(Command::ClientGetName),
            (Some("SETINFO"), 3) => Ok(Command::ClientSetInfo),
            (Some("ID"), 1) => Ok(Command::ClientId),
            (Some("LIST"), _) => Ok(Command::ClientList),
            _ => Err(format!(
                "ERR unknown subcommand or wrong number of arguments for 'client|{}'; known are \
                 SETNAME, GETNAME, SETINFO, ID and LIST",
                self.lossy(1).to_lowercase()
            )),
        }
    }

    fn client_name(&self, index: usize) -> Result<&'a str, Refused> {
        let name = self.text(index)?;
        let plain = name.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
        let why = "ERR Client names cannot contain spaces, newlines or special characters.";
        if plain { Ok(name) } else { Err(why.to_owned()) }
    }

    fn hello(&self) -> Result<Command<'a>, Refused> {
        let version = match self.word(1).as_deref() {
            None => None,
            Some("2") => Some(2),
            Some("3") => Some(3),
            Some(_) => return Err("NOPROTO unsupported protocol version; use 2 or 3".to_owned()),
        };
        let (mut login, mut name, mut index) = (None, None, 2);
        while index <= self.count() {
            match self.word(index).as_deref() {
                Some("AUTH") if index + 2 <= self.count() => {
                    login = Some((self.text(index + 1)?, self.text(index + 2)?));
                    index += 3;
                }
                Some("SETNAME") if index < self.count() => {
                    name = Some(self.client_name(index + 1)?);
                    index += 2;
                }
                _ => {
                    return Err(format!(
                        "ERR Syntax error in HELLO option '{}'",
                        self.lossy(index)
                    ));
                }
            }
        }
        Ok(Command::Hello { version, login, name })
    }

    pub(super) fn unknown(&self) -> Result<Command<'a>, Refused> {
        let mut text = format!("ERR unknown command '{}'", self.lossy(0));
        if self.count() > 0 {
            text.push_str(", with args beginning with: ");
        }
        for index in 1..=self.count().min(3) {
            let _ = write!(text, "'{}' ", self.lossy(index));
        }
        Err(text)
    }

    fn keys(&self) -> Result<Vec<&'a str>, Refused> {
        (1..=self.count()).map(|index| self.key(index)).collect()
    }

    fn pairs(&self) -> Result<Vec<(&'a str, &'a str)>, Refused> {
        let keys = (1..=self.count()).step_by(2);
        keys.map(|index| Ok((self.key(index)?, self.value(index + 1)?))).collect()
    }

    pub(super) fn key(&self, index: usize) -> Result<&'a str, Refused> {
        let key = self.text(index)?;
        if key.len() > KEY_BYTES_MAX {
            return Err(format!(
                "ERR the key has {} bytes; a key may have {KEY_BYTES_MAX}",
                key.len()
            ));
        }
        Ok(key)
    }

    /// A pattern longer than any key could only cost time.
    fn pattern(&self, index: usize) -> Result<&'a str, Refused> {
        let pattern = self.text(index)?;
        if pattern.len() > KEY_BYTES_MAX {
            return Err(format!("ERR a pattern may have {KEY_BYTES_MAX} bytes"));
        }
        Ok(pattern)
    }

    fn value(&self, index: usize) -> Result<&'a str, Refused> {
        self.text(index)
    }

    fn text(&self, index: usize) -> Result<&'a str, Refused> {
        if let Some(text) = self.request.text_at(index) {
            return Ok(text);
        }
        let wrong = |error| format!("ERR argument {index} is not UTF-8 text: {error}");
        str::from_utf8(self.bytes(index)?).map_err(wrong)
    }

    fn bytes(&self, index: usize) -> Result<&'a [u8], Refused> {
        match self.request.argument_at(index) {
            Argument::Bytes(bytes) => Ok(bytes),
            Argument::TooLong(length) => Err(format!(
                "ERR argument {index} has {length} bytes; a value may have {BULK_BYTES_MAX}, a key \
                 {KEY_BYTES_MAX}"
            )),
            Argument::Null => Err(format!("ERR argument {index} is null")),
        }
    }

    fn number<T: FromStr>(&self, index: usize) -> Result<T, Refused>
    where
        T::Err: Display,
    {
        let text = self.text(index)?;
        text.parse().map_err(|_| {
            format!("ERR argument {index}, '{text}', is not an integer or out of range")
        })
    }

    /// An argument as an upper-case word, if it is there and short.
    fn word(&self, index: usize) -> Option<String> {
        (index <= self.count()).then(|| self.lossy(index).to_uppercase())
    }

    /// An argument for an error's text: cut short, made readable.
    fn lossy(&self, index: usize) -> String {
        match self.request.argument_at(index) {
            Argument::Bytes(bytes) => {
                String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).escape_debug().to_string()
            }
            Argument::Null | Argument::TooLong(_) => "...".to_owned(),
        }
    }
}
