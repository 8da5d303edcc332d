//! Pushes to a client that joined: what becomes visible here, in the order of the log.
//!
//! This thread only waits for the log to grow. What is pushed, and in which order with the
//! replies, is decided in the session, whose lock both threads of the connection take.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::session::Session;
use super::shared::Shared;

/// How often it looks whether the connection is gone, if nothing wakes it.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until the connection ends.
pub(super) fn run(shared: &Arc<Shared>, session: &Arc<Mutex<Session>>, stream: &TcpStream) {
    loop {
        let Some(cursor) = session.lock().push_cursor() else { return };
        shared.log.wait(cursor, Instant::now() + LOOK);
        let mut session = session.lock();
        if shared.stopping.is_requested() || session.closing {
            return;
        }
        session.push_until(shared.log.end());
        if session.write_out(stream).is_err() || session.closing {
            // A client that does not take its pushes. The connection's thread sees the end, too.
            session.closing = true;
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}
