//! What a client's request means.

use crate::core::Version;

use super::changes::Place;
use super::link::Hello;
use super::parse::Arguments;
use super::request::{Argument, Request};
use super::resp::FramingError;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are the arguments, as the README's table has them
pub enum Command<'a> {
    Write {
        key: &'a str,
        value: &'a str,
    },
    Read {
        key: &'a str,
    },
    Set {
        key: &'a str,
        value: &'a str,
        /// Both as they came, if that is how they stand in an update.
        came: Option<(&'a str, Place)>,
    },
    Get {
        key: &'a str,
    },
    MGet {
        keys: Vec<&'a str>,
    },
    MSet {
        pairs: Vec<(&'a str, &'a str)>,
    },
    Del {
        keys: Vec<&'a str>,
    },
    Exists {
        keys: Vec<&'a str>,
    },
    DbSize,
    StrLen {
        key: &'a str,
    },
    Type {
        key: &'a str,
    },
    Ttl {
        key: &'a str,
    },
    Scan {
        cursor: u64,
        pattern: Option<&'a str>,
        strings: bool,
    },
    Keys {
        pattern: &'a str,
    },
    Join {
        id: &'a str,
    },
    Context,
    After {
        versions: Vec<Version>,
        timeout_ms: u64,
    },
    Wait {
        peers: usize,
        timeout_ms: u64,
    },
    Pending,
    Servers,
    Forget {
        server: u32,
    },
    Shutdown,
    Info,
    Delay {
        server: u32,
        delay_ms: u64,
        key: Option<&'a str>,
    },
    Cut {
        server: u32,
    },
    Heal {
        server: u32,
    },
    Ping {
        bytes: Option<&'a [u8]>,
    },
    Echo {
        bytes: &'a [u8],
    },
    Auth {
        user: &'a str,
        password: &'a str,
    },
    Quit,
    Select,
    CommandDocs,
    CommandCount,
    ConfigGet {
        patterns: Vec<&'a str>,
    },
    ClientSetName {
        name: &'a str,
    },
    ClientGetName,
    ClientSetInfo,
    ClientId,
    ClientList,
    Hello {
        version: Option<u8>,
        login: Option<(&'a str, &'a str)>,
        name: Option<&'a str>,
    },
    Peer {
        hello: Box<Result<Hello, FramingError>>,
    },
    /// What a browser sends. Somebody's web page is being used to reach this server.
    CrossProtocol,
}

/// A request that is refused; the text stands behind the `-` of the reply.
pub type Refused = String;

impl<'a> Command<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// The text of the error reply: it names what is wrong. The connection goes on.
    pub fn parse(request: Request<'a>) -> Result<Self, Refused> {
        let Argument::Bytes(name) = request.argument_at(0) else {
            return Err("ERR a command's name is a short word".to_owned());
        };
        let mut upper = [0u8; 12];
        let upper = match upper.get_mut(..name.len()) {
            Some(upper) => {
                upper.copy_from_slice(name);
                upper.make_ascii_uppercase();
                &*upper
            }
            None => &[],
        };
        let arguments = Arguments { request };
        // The two that are on the path of every benchmark come first.
        match (upper, arguments.count()) {
            (b"GET", 1) => Ok(Self::Get { key: arguments.key(1)? }),
            (b"SET", 2..) => arguments.set(),
            _ => match arguments.data(upper).or_else(|| arguments.causal(upper)) {
                Some(command) => command,
                None => arguments.connection(upper).unwrap_or_else(|| arguments.unknown()),
            },
        }
    }
}
