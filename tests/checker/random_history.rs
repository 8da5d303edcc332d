//! Small random histories: of a store that delivers in causal order and then settles conflicts by
//! chance, and of stores that show anything.

use std::fmt::Write;

use crate::random::Random;

/// What a history is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) sessions: usize,
    pub(crate) operations: usize,
    pub(crate) keys: usize,
    /// In a hundred: reads that show any write, and not what the session's replica holds.
    pub(crate) wild: u64,
    /// Whether there are deletes, and writes of unknown fate.
    pub(crate) open: bool,
}

struct Planned {
    key: usize,
    value: Option<usize>,
    version: String,
}

/// One session's replica.
#[derive(Clone, Default)]
struct View {
    /// The writes that were delivered, as bits.
    delivered: u32,
    /// By key.
    shown: [Option<usize>; 3],
}

struct Making<'a> {
    random: &'a mut Random,
    habits: Habits,
    writes: Vec<Planned>,
    /// What was delivered to the writer of each write before it.
    pasts: Vec<u32>,
    views: Vec<View>,
}

/// Makes up a history.
pub(crate) fn lines(random: &mut Random, habits: Habits) -> String {
    let mut making = Making {
        random,
        habits,
        writes: Vec::new(),
        pasts: Vec::new(),
        views: vec![View::default(); habits.sessions],
    };
    let plan = making.plan();
    let mut text = String::new();
    for writes in plan {
        let session = making.random.place(habits.sessions);
        let line = if writes { making.write_line(session) } else { making.read_line(session) };
        writeln!(text, "session={session} {line}").expect("a text takes all");
    }
    text
}

impl Making<'_> {
    /// Which operations write, and what: so that a read can show what is still to be written.
    fn plan(&mut self) -> Vec<bool> {
        let tidy = self.random.chance(70);
        let mut plan = Vec::new();
        for time in 1..=self.habits.operations {
            plan.push(self.random.chance(45));
            if plan[time - 1] {
                let deletes = self.habits.open && self.random.chance(25);
                let timestamp = if tidy { 10 * time } else { self.random.place(200) };
                self.writes.push(Planned {
                    key: self.random.place(self.habits.keys),
                    value: (!deletes).then(|| self.random.place(3)),
                    version: format!("({timestamp}, {time})"),
                });
            }
        }
        plan
    }

    /// Delivers a write, after those that are before it.
    fn deliver(&mut self, session: usize, number: usize) {
        let wanted = (self.pasts[number] | (1 << number)) & !self.views[session].delivered;
        self.views[session].delivered |= wanted;
        for arriving in (0..=number).filter(|arriving| wanted & (1 << arriving) != 0) {
            let shown = &mut self.views[session].shown[self.writes[arriving].key];
            let wins = shown.is_none_or(|shown| {
                let follows = self.pasts[arriving] & (1 << shown) != 0;
                let precedes = self.pasts[shown] & (1 << arriving) != 0;
                follows || (!precedes && self.random.chance(50))
            });
            if wins {
                *shown = Some(arriving);
            }
        }
    }

    fn write_line(&mut self, session: usize) -> String {
        let number = self.pasts.len();
        self.pasts.push(self.views[session].delivered);
        let unknown = self.habits.open && self.random.chance(30);
        if !unknown || self.random.chance(50) {
            self.deliver(session, number);
        }
        let unnamed = self.random.chance(50);
        let Planned { key, value, version } = &self.writes[number];
        match value {
            Some(value) if unknown => format!("op=unknown key={key} value={value}"),
            Some(value) => format!("op=write key={key} value={value} version=\"{version}\""),
            None if unknown => format!("op=unknown key={key}"),
            None if unnamed => format!("op=delete key={key}"),
            None => format!("op=delete key={key} version=\"{version}\""),
        }
    }

    fn read_line(&mut self, session: usize) -> String {
        let key = self.random.place(self.habits.keys);
        if !self.pasts.is_empty() && self.random.chance(60) {
            let number = self.random.place(self.pasts.len());
            self.deliver(session, number);
        }
        let mut shown = self.views[session].shown[key];
        if self.random.chance(self.habits.wild) {
            // One more for the initial value.
            let of_key = |number: &usize| self.writes[*number].key == key;
            let any: Vec<usize> = (0..self.writes.len()).filter(of_key).collect();
            shown = any.get(self.random.place(any.len() + 1)).copied();
            if self.random.chance(10) {
                return format!("op=read key={key} value=0 version=\"(999, 999)\"");
            }
        }
        let (pushed, told) = (self.random.chance(20), self.random.chance(50));
        match shown.map(|number| &self.writes[number]) {
            Some(Planned { value: Some(value), version, .. }) => {
                let operation = if pushed { "push" } else { "read" };
                format!("op={operation} key={key} value={value} version=\"{version}\"")
            }
            Some(Planned { value: None, version, .. }) if told => {
                format!("op=push key={key} version=\"{version}\"")
            }
            _ => format!("op=read key={key}"),
        }
    }
}
