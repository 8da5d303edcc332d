//! What is seen while a long run runs: on a terminal one line that is written anew, elsewhere a
//! line every ten seconds. It goes to standard error, so that the result alone can be kept.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::tally::Tally;

const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Goes back to the line's beginning and empties it.
const ANEW: &str = "\r\x1b[K";

#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    seconds: u64,
    terminal: bool,
    next: Instant,
}

impl Progress {
    /// Of a run of so many seconds that begins now.
    pub(super) fn start(seconds: u64) -> Self {
        let (began, terminal) = (Instant::now(), io::stderr().is_terminal());
        let first = if terminal { Duration::ZERO } else { LINE_EVERY };
        Self { began, seconds, terminal, next: began + first }
    }

    /// Shows it, if it is time.
    pub(super) fn show(&mut self, round: usize, tally: &Tally) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + if self.terminal { TERMINAL_EVERY } else { LINE_EVERY };
        let (elapsed, all) = (self.began.elapsed().as_secs(), self.seconds);
        let text = format!("{elapsed} of {all} s, round {round}: {}", tally.progress());
        let mut out = io::stderr();
        // Nobody may be there to see it.
        let _ = if self.terminal {
            write!(out, "{ANEW}{text}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }

    /// Empties the line.
    pub(super) fn end(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "{ANEW}");
        }
    }
}
