//! What happens between a script's steps, in words.

use std::collections::HashMap;

use crate::core::{Order, Version};
use crate::lab::script::Script;
use crate::trace::{Event, Told, What};

/// Remembers what the updates say.
#[derive(Debug)]
pub(super) struct Narrator {
    servers: Vec<String>,
    order: Order,
    updates: HashMap<Version, String>,
}

impl Narrator {
    pub(super) fn new(script: &Script, order: Order) -> Self {
        Self { servers: script.servers.clone(), order, updates: HashMap::new() }
    }

    /// What to say of an event; nothing, if the script's step says it.
    pub(super) fn tell(&mut self, event: &Event) -> Option<String> {
        let server = &self.servers[(event.server - 1) as usize];
        match &event.what {
            What::Write { update, .. } | What::Receive { update, .. } => {
                self.updates.insert(update.version, words(update));
                None
            }
            What::Hold { version, missing } => {
                let update = self.name(*version);
                let why = match self.order {
                    Order::Total => "something older may still come".to_owned(),
                    Order::Original => format!("it comes later than {}", self.name(*missing)),
                    _ => format!("it waits for {}", self.name(*missing)),
                };
                Some(format!("{server} holds {update} back: {why}"))
            }
            What::Apply { version, shown_as, waited_us, released_by } => {
                let restamped = Some(shown_as).filter(|&shown_as| shown_as != version);
                let restamped = restamped.map(|version| format!(" as {version}"));
                let waited = waited_us.map(|us| format!(" after {} ms", us / 1_000));
                let cause = released_by.map(|cause| format!(": {} is there", self.name(cause)));
                let parts = [restamped, waited, cause].into_iter().flatten();
                let name = self.name(*version);
                Some(format!("{server} applies {name}{}", parts.collect::<String>()))
            }
            What::Start { .. }
            | What::Stop
            | What::Read { .. }
            | What::Snapshot { .. }
            | What::Link { .. } => None,
        }
    }

    /// An update's words and version. Of what was never heard of there is only the version.
    fn name(&self, version: Version) -> String {
        let words = self.updates.get(&version);
        words.map_or_else(|| version.to_string(), |words| format!("{words} {version}"))
    }
}

fn words(update: &Told) -> String {
    match &update.value {
        Some(value) => format!("{} = {value}", update.key),
        None => format!("the delete of {}", update.key),
    }
}
