//! What each statement does, waits for and expects.

use std::collections::BTreeSet;

use crate::core::Version;
use crate::lab::history::Kind;
use crate::lab::script::{Act, Action, Content, Direction, Expectation};

use super::driver::{Play, Trouble};
use super::{Answer, Look, Refusal, Request, Whereabouts};

/// What to write behind the statement in the transcript.
type Done = Result<String, Trouble>;

/// What was there instead.
fn unmet(instead: impl Into<String>) -> Trouble {
    Trouble::Unmet(instead.into())
}

fn unexpected(answer: &Answer) -> Trouble {
    Trouble::Broken(format!("the stage answers {answer:?}"))
}

impl Play<'_> {
    /// Does one step.
    pub(super) fn perform(&mut self, action: &Action) -> Done {
        match action {
            Action::Appear { client, server } => {
                self.record.begin_session(*client);
                self.simple(*client, Request::Appear { server: *server })
            }
            Action::Act { client, act } => self.act(*client, act),
            Action::Direct(direction) => {
                match direction {
                    Direction::Kill { server } => self.running[*server] = false,
                    Direction::Start { server } => self.running[*server] = true,
                    _ => {}
                }
                self.stage.direct(direction)?;
                Ok(String::new())
            }
            Action::Wait { ms } => {
                let until_us = self.stage.now_us().saturating_add(ms.saturating_mul(1_000));
                while self.stage.now_us() < until_us {
                    self.stage.idle(until_us)?;
                    self.tell_news();
                }
                Ok(String::new())
            }
            Action::Settle => self.settle(),
            Action::Expect(expectation) => self.expect(expectation),
        }
    }

    fn act(&mut self, client: usize, act: &Act) -> Done {
        match act {
            Act::Join => self.simple(client, Request::Join),
            Act::Move { server } => self.simple(client, Request::Move { server: *server }),
            Act::StartOver => {
                let done = self.simple(client, Request::StartOver)?;
                self.record.begin_session(client);
                Ok(done)
            }
            Act::Write { key, value } => self.write(client, key, value),
            Act::CannotWrite { key, value } => self.cannot_write(client, key, value),
            Act::Delete { key } => self.delete(client, key),
            Act::Read { key, expected } => self.read(client, key, expected.as_ref()),
            Act::Await { key, expected } => self.wait_for_read(client, key, expected),
            Act::CannotMove { server } => {
                match self.stage.ask(client, Request::Move { server: *server })? {
                    Answer::Refused(refusal) => Ok(told(&refusal)),
                    Answer::Done => Err(unmet("the session has moved")),
                    other => Err(unexpected(&other)),
                }
            }
        }
    }

    /// Asks until it is done, or refused for good.
    fn ask(&mut self, client: usize, request: Request<'_>) -> Result<Answer, Trouble> {
        let mut last = Refusal::Unreachable;
        let answer = self.until(|play| match play.stage.ask(client, request)? {
            Answer::Refused(Refusal::Unknown(why)) => {
                Ok(Some(Answer::Refused(Refusal::Unknown(why))))
            }
            Answer::Refused(refusal) => {
                last = refusal;
                Ok(None)
            }
            answer => Ok(Some(answer)),
        })?;
        Ok(answer.unwrap_or(Answer::Refused(last)))
    }

    /// A request that is done or not.
    fn simple(&mut self, client: usize, request: Request<'_>) -> Done {
        match self.ask(client, request)? {
            Answer::Done => Ok(String::new()),
            Answer::Refused(refusal) => Err(unmet(told(&refusal))),
            other => Err(unexpected(&other)),
        }
    }

    fn write(&mut self, client: usize, key: &str, value: &str) -> Done {
        match self.ask(client, Request::Write { key, value })? {
            Answer::Written(version) => Ok(self.note_write(client, key, value, version)),
            Answer::Refused(refusal) => {
                self.note_unknown(client, key, value, &refusal);
                Err(unmet(told(&refusal)))
            }
            other => Err(unexpected(&other)),
        }
    }

    fn cannot_write(&mut self, client: usize, key: &str, value: &str) -> Done {
        let answer = self.stage.ask(client, Request::Write { key, value })?;
        self.tell_news();
        match answer {
            Answer::Refused(refusal) => {
                self.note_unknown(client, key, value, &refusal);
                Ok(told(&refusal))
            }
            Answer::Written(version) => {
                let version = self.note_write(client, key, value, version);
                Err(unmet(format!("it is written {version}")))
            }
            other => Err(unexpected(&other)),
        }
    }

    fn note_write(&mut self, client: usize, key: &str, value: &str, version: Version) -> String {
        let written = (Some(value.to_owned()), Some(version));
        self.record.add(client, self.line, Kind::Write, key, written);
        self.newest.insert(key.to_owned(), version);
        version.to_string()
    }

    /// A write that may have happened all the same.
    fn note_unknown(&mut self, client: usize, key: &str, value: &str, refusal: &Refusal) {
        if matches!(refusal, Refusal::Unknown(_)) {
            let written = (Some(value.to_owned()), None);
            self.record.add(client, self.line, Kind::Unknown, key, written);
        }
    }

    fn delete(&mut self, client: usize, key: &str) -> Done {
        match self.ask(client, Request::Delete { key })? {
            Answer::Deleted(version) => {
                self.record.add(client, self.line, Kind::Delete, key, (None, version));
                let Some(version) = version else { return Ok(String::new()) };
                self.newest.insert(key.to_owned(), version);
                Ok(version.to_string())
            }
            Answer::Shown(None) => Ok(self.note_read(client, key, None)),
            Answer::Refused(refusal) => {
                if matches!(refusal, Refusal::Unknown(_)) {
                    self.record.add(client, self.line, Kind::Unknown, key, (None, None));
                }
                Err(unmet(told(&refusal)))
            }
            other => Err(unexpected(&other)),
        }
    }

    fn read(&mut self, client: usize, key: &str, expected: Option<&Content>) -> Done {
        match self.ask(client, Request::Read { key })? {
            Answer::Shown(found) => {
                let met = expected.is_none_or(|content| is(found.as_ref(), content));
                let shown = self.note_read(client, key, found);
                if met { Ok(shown) } else { Err(unmet(shown)) }
            }
            Answer::Refused(refusal) => Err(unmet(told(&refusal))),
            other => Err(unexpected(&other)),
        }
    }

    fn wait_for_read(&mut self, client: usize, key: &str, expected: &Content) -> Done {
        let mut last = Answer::Refused(Refusal::Unreachable);
        let met = self.until(|play| {
            last = play.stage.ask(client, Request::Read { key })?;
            let met = matches!(&last, Answer::Shown(found) if is(found.as_ref(), expected));
            Ok(met.then_some(()))
        })?;
        match last {
            Answer::Shown(found) => {
                let shown = self.note_read(client, key, found);
                met.map(|()| shown.clone()).ok_or(unmet(shown))
            }
            Answer::Refused(refusal) => Err(unmet(told(&refusal))),
            other => Err(unexpected(&other)),
        }
    }

    fn note_read(&mut self, client: usize, key: &str, found: Option<(String, Version)>) -> String {
        let shown = told_content(found.as_ref());
        self.record.add(client, self.line, Kind::Read, key, found.unzip());
        shown
    }

    fn settle(&mut self) -> Done {
        let settled = self.until(|play| {
            let looks = play.look_at_all()?;
            let same = looks.windows(2).all(|two| two[0].1.applied == two[1].1.applied);
            Ok((same && looks.iter().all(|(_, look)| look.held == 0)).then_some(()))
        })?;
        if settled.is_some() {
            return Ok(String::new());
        }
        let looks = self.look_at_all()?;
        let told = |(server, look): &(usize, Look)| {
            let name = &self.script.servers[*server];
            format!("{name} has applied '{}' and holds {}", look.applied, look.held)
        };
        Err(unmet(looks.iter().map(told).collect::<Vec<_>>().join("; ")))
    }

    /// What all running servers have.
    fn look_at_all(&mut self) -> Result<Vec<(usize, Look)>, String> {
        let running = (0..self.running.len()).filter(|&server| self.running[server]);
        running.map(|server| Ok((server, self.stage.look(server)?))).collect()
    }

    fn expect(&mut self, expectation: &Expectation) -> Done {
        match expectation {
            Expectation::Receives { server, key } => self.expect_there(*server, key, false),
            Expectation::Holds { server, key } => self.expect_there(*server, key, true),
            Expectation::Shows { server, key, content } => {
                let look = self.stage.look(*server)?;
                let found = look.shown.get(key);
                if is(found, content) {
                    Ok(String::new())
                } else {
                    Err(unmet(format!("it shows {}", told_content(found))))
                }
            }
            Expectation::Agreement => self.expect_agreement(),
        }
    }

    /// The newest write of a key must be held back at a server; or, if it need not be held,
    /// applied there.
    fn expect_there(&mut self, server: usize, key: &str, held: bool) -> Done {
        let Some(&version) = self.newest.get(key) else {
            return Err(unmet(format!("nobody has written {key}")));
        };
        let mut last = Whereabouts::Absent;
        let met = self.until(|play| {
            last = play.stage.find(server, version)?;
            let met = last == Whereabouts::Held || (!held && last == Whereabouts::Applied);
            // What is applied will never be held.
            Ok((met || last == Whereabouts::Applied).then_some(met))
        })?;
        let text = match last {
            Whereabouts::Applied => format!("{version} is applied there"),
            Whereabouts::Held => format!("{version} is held back there"),
            Whereabouts::Absent => format!("{version} has not arrived there"),
        };
        if met == Some(true) { Ok(text) } else { Err(unmet(text)) }
    }

    fn expect_agreement(&mut self) -> Done {
        let agreed = self.until(|play| {
            let looks = play.look_at_all()?;
            let same = looks.windows(2).all(|two| two[0].1.shown == two[1].1.shown);
            Ok(same.then_some(()))
        })?;
        if agreed.is_some() {
            return Ok(String::new());
        }
        Err(unmet(self.differences()?))
    }

    /// The keys about which running servers differ, and what each of them shows.
    fn differences(&mut self) -> Result<String, String> {
        let looks = self.look_at_all()?;
        let keys: BTreeSet<&String> =
            looks.iter().flat_map(|(_, look)| look.shown.keys()).collect();
        let mut told = Vec::new();
        for key in keys {
            let shown: Vec<_> = looks.iter().map(|(_, look)| look.shown.get(key)).collect();
            if shown.windows(2).all(|two| two[0] == two[1]) {
                continue;
            }
            for ((server, _), shown) in looks.iter().zip(shown) {
                let (name, shown) = (&self.script.servers[*server], told_content(shown));
                told.push(format!("{name} shows {key} = {shown}"));
            }
        }
        Ok(told.join(", "))
    }
}

fn is(found: Option<&(String, Version)>, content: &Content) -> bool {
    found.map(|(value, _)| value) == content.as_ref()
}

fn told_content(found: Option<&(String, Version)>) -> String {
    found.map_or_else(|| "nothing".to_owned(), |(value, version)| format!("{value} {version}"))
}

fn told(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Loading => "the server has just started and takes no writes yet".to_owned(),
        Refusal::Behind(version) => {
            format!("the server lacks {version}, which the session has seen")
        }
        Refusal::Unknown(why) => format!("{why}: it may have happened or not"),
        Refusal::Unreachable => "nobody answers".to_owned(),
    }
}
