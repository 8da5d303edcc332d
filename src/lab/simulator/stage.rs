//! The simulator as the stage of a play.

use crate::core::Version;
use crate::lab::play::{Answer, Look, News, Refusal, Request, Stage, Whereabouts};
use crate::lab::script::Direction;

use super::timed::Simulator;
use super::world::Reply;

/// How long a request takes.
const REQUEST_US: u64 = 1_000;
/// How long a server may take to apply what a session that moves has seen.
const MOVE_US: u64 = 1_000_000;
/// How long a write waits to be stable, under `total`.
const STABLE_US: u64 = 5_000_000;

impl Stage for Simulator {
    fn now_us(&self) -> u64 {
        self.now_us
    }

    fn idle(&mut self, until_us: u64) -> Result<(), String> {
        self.advance(self.next_us().min(until_us))
    }

    fn ask(&mut self, client: usize, request: Request<'_>) -> Result<Answer, String> {
        self.advance(self.now_us + REQUEST_US)?;
        let deadline = self.now_us + MOVE_US;
        let mut reply = self.world.ask(client, request, self.now_us);
        while let Reply::Answer(Answer::Refused(Refusal::Behind(_))) = reply
            && self.now_us < deadline
        {
            self.look_around();
            self.idle(deadline)?;
            reply = self.world.ask(client, request, self.now_us);
        }
        let answer = match reply {
            Reply::Answer(answer) => answer,
            Reply::Made(update) => {
                let from = self.world.sessions[client].at;
                self.publish(from, &update);
                let answer = self.until_shown(client, update.version)?;
                let deleted = matches!(request, Request::Delete { .. });
                if deleted && answer == Answer::Written(update.version) {
                    Answer::Deleted(Some(update.version))
                } else {
                    answer
                }
            }
        };
        self.look_around();
        self.answering = None;
        Ok(answer)
    }

    fn direct(&mut self, direction: &Direction) -> Result<(), String> {
        self.obey(direction)?;
        self.look_around();
        Ok(())
    }

    fn look(&mut self, server: usize) -> Result<Look, String> {
        let server = &self.world.servers[server];
        let shown = server.store.iter();
        let shown =
            shown.map(|(key, value, version)| (key.to_owned(), (value.to_owned(), version)));
        Ok(Look {
            applied: server.replica.applied().to_string(),
            held: server.replica.pending().len(),
            shown: shown.collect(),
        })
    }

    fn find(&mut self, server: usize, version: Version) -> Result<Whereabouts, String> {
        let server = &self.world.servers[server];
        Ok(match server.has(version) {
            true if server.replica.is_shown(version) => Whereabouts::Applied,
            true => Whereabouts::Held,
            false => Whereabouts::Absent,
        })
    }

    fn news(&mut self) -> Vec<News> {
        // What came behind an answer is told at the next call: then the answer has been recorded.
        let behind = std::mem::take(&mut self.news_behind);
        std::mem::replace(&mut self.news, behind)
    }
}

impl Simulator {
    /// Waits until a write can be answered.
    fn until_shown(&mut self, client: usize, version: Version) -> Result<Answer, String> {
        self.look_around();
        let deadline = self.now_us + STABLE_US;
        while !self.world.is_answered(client, version) {
            if self.now_us >= deadline {
                self.world.give_up(client);
                return Ok(Answer::Refused(Refusal::Unknown(format!("{version} is not stable"))));
            }
            self.idle(deadline)?;
        }
        Ok(Answer::Written(version))
    }
}
