//! What may go wrong for a client, and what to do about it.

use std::fmt;

use crate::core::Version;

/// Why a request has no good answer. The text of each says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No server could be reached in the time given. The request was not carried out; the next one
    /// tries again.
    Unreachable {
        /// What the last server that was tried answered, or why it could not be reached.
        why: String,
    },
    /// The connection ended between a request and its answer. The request may have been carried
    /// out or not, and is not repeated.
    Unknown {
        /// The server that was asked, as `host:port`.
        server: String,
        /// How the connection ended.
        why: String,
    },
    /// Servers were reached, but none has this version, which the session has seen. Most likely it
    /// was lost with the server that accepted it, or that server is cut off from the others.
    Missing(Version),
    /// This server did not show this version when the time was up. Under the delivery rule `total`
    /// that is also the answer to a write, which then may be shown later or, if its server dies,
    /// never.
    NotYet(Version),
    /// The server does not let this client in: no password, or a wrong one.
    Denied(String),
    /// The server refused the request, and nothing happened. The text is the server's.
    Refused(String),
    /// The answer does not fit the request.
    Unexpected(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why } => {
                write!(f, "no server can be reached ({why}); start one, or name others")
            }
            Self::Unknown { server, why } => write!(
                f,
                "the outcome is unknown: {server} was asked, and {why} before it answered; it may \
                 or may not have happened, so look before you ask again"
            ),
            Self::Missing(version) => write!(
                f,
                "no server that can be reached has {version}, which this session has seen; wait \
                 for the server that has it, or start over with a fresh context"
            ),
            Self::NotYet(version) => {
                write!(
                    f,
                    "{version} is not shown here yet; wait longer (and do not repeat a write: it \
                     will be shown when all servers have been heard)"
                )
            }
            Self::Denied(text) => {
                write!(f, "the server does not let this client in: {text} Check the password")
            }
            Self::Refused(text) => write!(f, "the server refused: {text}"),
            Self::Unexpected(text) => {
                write!(f, "the answer does not fit: {text}; is this a causal-kv server?")
            }
        }
    }
}

impl std::error::Error for Error {}
