//! What client libraries say when they connect, and the other commands about the connection.

use crate::protocol::command::Command;
use crate::protocol::encode::{bulk_into, header_into};

use super::execute::{OK, value_into};
use super::glob::Pattern;
use super::introspection::REDIS_VERSION;
use super::session::{Session, Step};

impl Session {
    pub(super) fn execute_connection(&mut self, command: Command<'_>) -> Step {
        use Command as C;
        match command {
            C::Auth { user, password } => {
                if self.log_in(user, password) {
                    self.out.extend_from_slice(OK);
                    return Step::Trust;
                }
            }
            C::Hello { version, login, name } => return self.hello(version, login, name),
            C::Select | C::ClientSetInfo => self.out.extend_from_slice(OK),
            C::ClientSetName { name } => {
                self.rename(name);
                self.out.extend_from_slice(OK);
            }
            C::ClientGetName if self.name.is_empty() => self.null(),
            C::ClientGetName => bulk_into(&mut self.out, self.name.as_bytes()),
            C::ClientId => {
                let number = usize::try_from(self.number).unwrap_or(usize::MAX);
                header_into(&mut self.out, b':', number);
            }
            C::ClientList => self.client_list(),
            C::CommandDocs => header_into(&mut self.out, b'*', 0),
            C::CommandCount => header_into(&mut self.out, b':', 0),
            C::ConfigGet { patterns } => self.config(&patterns),
            C::Peer { hello } => return Step::Peer(hello),
            C::CrossProtocol => {
                log::warn!("A browser was sent to this port by {}; closed", self.address);
                return Step::Close;
            }
            C::Quit => {
                self.out.extend_from_slice(OK);
                return Step::Close;
            }
            _ => self.error("ERR this command has no meaning here"),
        }
        Step::Next
    }

    /// Checks a password; answers only if it is wrong.
    fn log_in(&mut self, user: &str, password: &str) -> bool {
        let Some(expected) = &self.shared.options.password else {
            self.error(
                "ERR AUTH called without any password configured for the default user. Are you \
                 sure your configuration is correct?",
            );
            return false;
        };
        // Takes as long for a password that is nearly right as for any other of its length.
        let differences =
            expected.bytes().zip(password.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        if user != "default" || expected.len() != password.len() || differences != 0 {
            self.error("WRONGPASS invalid username-password pair or user is disabled.");
            return false;
        }
        self.authenticated = true;
        true
    }

    fn hello(
        &mut self,
        version: Option<u8>,
        login: Option<(&str, &str)>,
        name: Option<&str>,
    ) -> Step {
        if let Some((user, password)) = login
            && !self.log_in(user, password)
        {
            return Step::Next;
        }
        if !self.authenticated {
            self.error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client",
            );
            return Step::Next;
        }
        if let Some(name) = name {
            self.rename(name);
        }
        self.resp3 = version.map_or(self.resp3, |version| version == 3);
        self.map_header(7);
        let texts = [("server", "redis"), ("version", REDIS_VERSION)];
        let roles = [("mode", "standalone"), ("role", "master")];
        for (name, value) in texts.into_iter().chain(roles) {
            bulk_into(&mut self.out, name.as_bytes());
            bulk_into(&mut self.out, value.as_bytes());
        }
        bulk_into(&mut self.out, b"proto");
        header_into(&mut self.out, b':', if self.resp3 { 3 } else { 2 });
        bulk_into(&mut self.out, b"id");
        header_into(&mut self.out, b':', usize::try_from(self.number).unwrap_or(usize::MAX));
        bulk_into(&mut self.out, b"modules");
        header_into(&mut self.out, b'*', 0);
        Step::Trust
    }

    fn map_header(&mut self, pairs: usize) {
        if self.resp3 {
            header_into(&mut self.out, b'%', pairs);
        } else {
            header_into(&mut self.out, b'*', 2 * pairs);
        }
    }

    fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        if let Some(client) = self.shared.clients.lock().get_mut(&self.address) {
            name.clone_into(&mut client.name);
        }
    }

    fn client_list(&mut self) {
        let mut lines: Vec<(u64, String)> = Vec::new();
        for (address, client) in self.shared.clients.lock().iter() {
            let age = client.since.elapsed().as_secs();
            let line =
                format!("id={} addr={address} name={} age={age}", client.number, client.name);
            lines.push((client.number, line));
        }
        lines.sort();
        let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
        bulk_into(&mut self.out, text.as_bytes());
    }

    fn config(&mut self, patterns: &[&str]) {
        let maximum = self.shared.options.connections_max.to_string();
        let appendonly = if self.shared.options.data_dir.is_some() { "yes" } else { "no" };
        let settings = [("save", ""), ("appendonly", appendonly), ("maxclients", maximum.as_str())];
        let patterns: Vec<_> = patterns.iter().map(|p| Pattern::new(&p.to_lowercase())).collect();
        let asked = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        let found: Vec<_> = settings.into_iter().filter(|(name, _)| asked(name)).collect();
        self.map_header(found.len());
        for (name, value) in found {
            bulk_into(&mut self.out, name.as_bytes());
            bulk_into(&mut self.out, value.as_bytes());
        }
    }

    fn null(&mut self) {
        value_into(&mut self.out, None, self.resp3);
    }
}
