//! What each command does.

use std::sync::Arc;

use crate::core::{Shown, Version};
use crate::protocol::command::Command;
use crate::protocol::encode::{array_into, bulk_into, header_into, line_into};
use crate::protocol::request::Asked;
use crate::trace::What;

use super::glob::Pattern;
use super::membership;
use super::parts::PARTS;
use super::session::{ReplyTo, Session, Step};
use super::wait::{self, Wait};

/// The longest reply to `MGET`, in bytes: a short request can name a long value many times.
const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

pub(super) const OK: &[u8] = b"+OK\r\n";

impl Session {
    /// Runs one command.
    pub(super) fn execute(&mut self, command: Command<'_>) -> Step {
        use Command as C;
        match command {
            C::Get { key } => self.get(key),
            C::Set { key, value, came } => self.defer(ReplyTo::Set, |batch| match came {
                Some((text, place)) => batch.add_as_it_came(text, place),
                None => batch.add([(key, Some(value))]),
            }),
            C::Write { key, value } => {
                self.defer(ReplyTo::Write, |batch| batch.add([(key, Some(value))]));
            }
            C::MSet { pairs } => {
                self.defer(ReplyTo::Set, |batch| batch.add(last_of_each(&pairs)));
            }
            C::Del { keys } => {
                self.defer(ReplyTo::Del, |batch| batch.add(keys.iter().map(|&key| (key, None))));
            }
            C::Ping { bytes: Some(bytes) } | C::Echo { bytes } => bulk_into(&mut self.out, bytes),
            C::Ping { bytes: None } => self.out.extend_from_slice(b"+PONG\r\n"),
            other => {
                // The rest looks at what this session's own writes have done.
                self.flush();
                return self.execute_settled(other);
            }
        }
        Step::Next
    }

    fn execute_settled(&mut self, command: Command<'_>) -> Step {
        use Command as C;
        match command {
            C::Read { key } => self.read_told(key),
            C::MGet { keys } => self.read_snapshot(&keys),
            C::Exists { keys } => {
                let count = keys.iter().filter(|key| self.look(key, |s| is_value(&s))).count();
                header_into(&mut self.out, b':', count);
            }
            C::StrLen { key } => {
                let length = self.look(key, |shown| match shown {
                    Shown::Value(value, _) => value.len(),
                    Shown::Nothing(_) => 0,
                });
                header_into(&mut self.out, b':', length);
            }
            C::Type { key } => {
                let exists = self.look(key, |shown| is_value(&shown));
                line_into(&mut self.out, if exists { "string" } else { "none" });
            }
            C::Ttl { key } => {
                // Keys do not expire: -1 is Redis's word for that, -2 for no such key.
                let exists = self.look(key, |shown| is_value(&shown));
                self.out.extend_from_slice(if exists { b":-1\r\n" } else { b":-2\r\n" });
            }
            C::DbSize => {
                let count = self.see_everything(|session| session.shared.parts.len());
                header_into(&mut self.out, b':', count);
            }
            C::Keys { pattern } => self.keys(pattern),
            C::Scan { cursor, pattern, strings } => self.scan(cursor, pattern, strings),
            other => return self.execute_causal(other),
        }
        Step::Next
    }

    fn execute_causal(&mut self, command: Command<'_>) -> Step {
        use Command as C;
        match command {
            C::Join { id } => {
                log::debug!("Client {id} joined server {}", self.shared.options.id);
                let server = self.shared.options.id.to_string();
                let new = self.join();
                self.words(&["joined", "server", &server]);
                return if new { Step::Join } else { Step::Next };
            }
            C::Context => {
                let versions: Vec<String> =
                    self.context.versions().map(|version| version.to_string()).collect();
                let text = versions.join(" ");
                match self.asked {
                    Asked::Line => line_into(&mut self.out, &text),
                    Asked::Array => bulk_into(&mut self.out, text.as_bytes()),
                }
            }
            C::After { versions, timeout_ms } => return self.after(versions, timeout_ms),
            C::Wait { peers, timeout_ms } => {
                let Some(version) = self.last_write else {
                    let count = self.shared.mesh.lock().linked().count();
                    header_into(&mut self.out, b':', count);
                    return Step::Next;
                };
                // As in Redis, 0 waits without end.
                let deadline = if timeout_ms == 0 { None } else { wait::deadline(timeout_ms) };
                return Step::Wait(Wait::Peers { version, peers, deadline });
            }
            C::Pending => self.lines(&self.shared.pending()),
            C::Servers => self.lines(&self.shared.servers()),
            C::Delay { .. } | C::Cut { .. } | C::Heal { .. } => self.fault(&command),
            C::Forget { server } => self.forget(server),
            C::Info => bulk_into(&mut self.out, self.shared.info().as_bytes()),
            C::Shutdown => {
                self.shared.stopping.request(None);
                return Step::Close;
            }
            other => return self.execute_connection(other),
        }
        Step::Next
    }

    /// Shows `show` what a key shows. Whatever it is, a nil that hides a delete included, has been
    /// seen.
    pub(super) fn look<T>(&mut self, key: &str, show: impl FnOnce(Shown<'_>) -> T) -> T {
        let (version, shown) = self.shared.parts.read(key, |shown| (shown.version(), show(shown)));
        if let Some(version) = version {
            self.see(version);
        }
        shown
    }

    fn read_told(&mut self, key: &str) {
        let found = self.look(key, |shown| match shown {
            Shown::Value(value, version) => Some((value.to_owned(), version)),
            Shown::Nothing(_) => None,
        });
        if let Some(trace) = &self.shared.trace {
            let clock = self.shared.replica.read_recursive().clock().last();
            let (client, key) = (self.label(), key.to_owned());
            trace.add(clock, What::Read { client, key, found: found.clone() });
        }
        match found {
            Some((value, version)) => {
                self.words(&["replicate", key, &value, &version.to_string()]);
            }
            None => self.words(&["missing", key]),
        }
        if log::log_enabled!(log::Level::Info) {
            log::info!("{}", self.shared.data_store_line());
        }
    }

    fn read_snapshot(&mut self, keys: &[&str]) {
        let mut versions: Vec<Version> = Vec::with_capacity(keys.len());
        let start = self.out.len();
        header_into(&mut self.out, b'*', keys.len());
        let (out, resp3) = (&mut self.out, self.resp3);
        let mut too_long = false;
        self.shared.parts.read_all(keys, |shown| {
            let length = value(&shown).map_or(0, str::len);
            too_long |= out.len() - start + length > SNAPSHOT_BYTES_MAX;
            if !too_long {
                value_into(out, value(&shown), resp3);
                versions.extend(shown.version());
            }
        });
        if too_long {
            self.out.truncate(start);
            self.error(&format!("ERR these values have more than {SNAPSHOT_BYTES_MAX} bytes"));
            return;
        }
        for version in versions {
            self.see(version);
        }
    }

    /// Runs something that shows the whole store: the session has seen all that is applied. The
    /// replica is held meanwhile, so nothing is applied in between.
    fn see_everything<T>(&mut self, show: impl FnOnce(&Self) -> T) -> T {
        let shared = Arc::clone(&self.shared);
        let replica = shared.replica.read_recursive();
        self.context.see_all(replica.applied());
        show(self)
    }

    fn keys(&mut self, pattern: &str) {
        let keys = self.see_everything(|session| {
            (0..PARTS).flat_map(|part| session.keys_of(part, pattern)).collect::<Vec<_>>()
        });
        array_into(&mut self.out, &keys);
    }

    /// A cursor is the number of the store's next part, so a call returns one part, whatever
    /// `COUNT` says, and a whole scan shows every key that was there all the time.
    fn scan(&mut self, cursor: u64, pattern: Option<&str>, strings: bool) {
        let part = usize::try_from(cursor).unwrap_or(PARTS);
        let found = part < PARTS && strings;
        let pattern = pattern.unwrap_or("*");
        let keys =
            self.see_everything(
                |session| {
                    if found { session.keys_of(part, pattern) } else { Vec::new() }
                },
            );
        let next = if part + 1 < PARTS { part + 1 } else { 0 };
        header_into(&mut self.out, b'*', 2);
        bulk_into(&mut self.out, next.to_string().as_bytes());
        array_into(&mut self.out, &keys);
    }

    fn keys_of(&self, part: usize, pattern: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let all = pattern == "*";
        let pattern = Pattern::new(pattern);
        self.shared.parts.scan(part, |key, _, _| {
            if all || pattern.matches(key) {
                keys.push(key.to_owned());
            }
        });
        keys
    }

    fn after(&mut self, versions: Vec<Version>, timeout_ms: u64) -> Step {
        let Some(missing) = wait::first_missing(&self.shared, &versions) else {
            for version in versions {
                self.see(version);
            }
            self.out.extend_from_slice(OK);
            return Step::Next;
        };
        let known = self.shared.replica.read_recursive().applied().servers();
        let mesh = self.shared.mesh.lock();
        let complete = mesh.awaited.is_empty() && mesh.linked().count() == mesh.peers.len();
        let unheard_of = versions.iter().map(|version| version.server).find(|server| {
            let own = *server == self.shared.options.id;
            !own && !mesh.peers.contains_key(server) && !known.contains(server)
        });
        drop(mesh);
        match unheard_of {
            Some(server) if complete => {
                self.error(&format!("ERR no server {server} has ever been heard of here"));
                Step::Next
            }
            _ if timeout_ms == 0 => {
                self.error(&format!("NOTYET {missing}"));
                Step::Next
            }
            _ => Step::Wait(Wait::After { versions, deadline: wait::deadline(timeout_ms) }),
        }
    }

    fn forget(&mut self, server: u32) {
        let shared = Arc::clone(&self.shared);
        match membership::forget(&shared, server) {
            Ok(()) => self.out.extend_from_slice(OK),
            Err(error) => self.error(&error),
        }
    }

    fn fault(&mut self, command: &Command<'_>) {
        let shared = Arc::clone(&self.shared);
        if !shared.options.lab {
            return self.error("ERR DELAY, CUT and HEAL need a server that was started with --lab");
        }
        match *command {
            Command::Delay { server, delay_ms, key } => {
                let Ok(delay_ms) = u32::try_from(delay_ms) else {
                    return self.error("ERR a delay has at most 4294967295 ms");
                };
                shared.mesh.lock().delay(server, key, delay_ms);
            }
            Command::Cut { server } if server == shared.options.id => {
                return self.error("ERR a server has no link to itself");
            }
            Command::Cut { server } => shared.mesh.cut(server),
            Command::Heal { server } => shared.mesh.heal(server),
            _ => {}
        }
        // Whoever sends to that server looks at once.
        shared.wake_all();
        self.out.extend_from_slice(OK);
    }

    fn lines(&mut self, lines: &[String]) {
        header_into(&mut self.out, b'*', lines.len());
        for line in lines {
            match self.asked {
                Asked::Line => line_into(&mut self.out, line),
                Asked::Array => bulk_into(&mut self.out, line.as_bytes()),
            }
        }
    }
}

pub(super) fn value_into(out: &mut Vec<u8>, value: Option<&str>, resp3: bool) {
    match value {
        Some(value) => bulk_into(out, value.as_bytes()),
        None if resp3 => out.extend_from_slice(b"_\r\n"),
        None => out.extend_from_slice(b"$-1\r\n"),
    }
}

pub(super) fn value<'a>(shown: &Shown<'a>) -> Option<&'a str> {
    match *shown {
        Shown::Value(value, _) => Some(value),
        Shown::Nothing(_) => None,
    }
}

fn is_value(shown: &Shown<'_>) -> bool {
    value(shown).is_some()
}

/// The pairs of `MSET` with each key once: the last of repeated keys wins.
fn last_of_each<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, Option<&'a str>)> {
    let last: std::collections::HashMap<&str, &str> = pairs.iter().copied().collect();
    let mut seen = std::collections::HashSet::new();
    let first = pairs.iter().filter(|(key, _)| seen.insert(*key));
    first.map(|(key, _)| (*key, last.get(key).copied())).collect()
}
