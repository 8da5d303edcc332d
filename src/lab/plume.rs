//! Histories for other checkers: the text that Plume (Liu 2024) and AWDIT (Møldrup 2025) read.
//!
//! ```text
//! w(1,1,1,1)
//! r(1,1,2,2)
//! r(2,0,2,3)
//! ```
//!
//! A line is `r` or `w`, and then key, value, session and transaction as whole numbers. Here every
//! operation is a transaction, and every write has a value of its own, as these checkers tell
//! writes by their values; 0 is the initial value. Their "causal" is CC.
//!
//! What a read of nothing shows cannot be said if the key was deleted, and some reads could show
//! several writes of unknown fate: those lines are left out. A write of unknown fate that was seen
//! is a session of its own, since its session does not know of it. So nothing is invented here
//! either.

use std::fmt::Write;

use super::checker::sources::{Role, Sources};
use super::history::{History, Kind};

/// The history in that format.
pub fn text(history: &History) -> String {
    let sources = Sources::find(history);
    let mut text = String::new();
    let (mut transaction, mut sessions) = (0, history.sessions.len());
    for (index, operation) in history.operations.iter().enumerate() {
        // Values are the writes' places in the history, from 1; what no one wrote has one, too.
        let (letter, value) = match sources.roles[index] {
            Role::Writes => ('w', index + 1),
            Role::Reads(write) => ('r', write + 1),
            Role::ReadsInitial => ('r', 0),
            Role::ThinAir => ('r', index + 1),
            Role::ReadsAbsent | Role::LeftOut => continue,
        };
        let session = if operation.kind == Kind::Unknown {
            sessions += 1;
            sessions
        } else {
            operation.session + 1
        };
        transaction += 1;
        let key = operation.key + 1;
        writeln!(text, "{letter}({key},{value},{session},{transaction})")
            .expect("a text takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_a_transaction() {
        let mut history = History::default();
        let lines = "session=A op=write key=x value=1 version=\"(1, 1)\"\n\
                     session=A op=unknown key=x value=1\n\
                     session=B op=read key=x value=1 version=\"(1, 1)\"\n\
                     session=B op=read key=y\n\
                     session=B op=push key=x value=1 version=\"(2, 1)\"\n\
                     session=B op=push key=y value=1 version=\"(9, 9)\"\n\
                     session=B op=delete key=z version=\"(3, 1)\"\n\
                     session=B op=read key=z\n";
        history.add("a.log", lines).expect("it is well formed");
        let expected = "w(1,1,1,1)\nw(1,2,3,2)\nr(1,1,2,3)\nr(2,0,2,4)\nr(1,2,2,5)\nr(2,6,2,6)\n\
                        w(3,7,2,7)\n";
        assert_eq!(text(&history), expected);
    }
}
