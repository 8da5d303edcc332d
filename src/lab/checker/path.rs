//! Why something is before something else: the fewest changes of session that lead there.

use std::collections::{HashMap, VecDeque};

/// Why an operation is before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// The session did it later.
    Session,
    /// It shows what the other wrote.
    Reads,
    /// Both write one key; `reader` shows the later one, and is after the earlier one.
    Conflict { reader: usize },
}

/// One write before another of its key, because `reader` comes after both and shows the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Conflict {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) reader: usize,
}

impl Conflict {
    /// As a step.
    pub(super) fn step(self) -> Step {
        let Self { from, to, reader } = self;
        Step { from, to, because: Because::Conflict { reader } }
    }
}

/// One operation before another, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) because: Because,
}

/// A way from one operation to another, or back to itself: with the fewest steps, if going on in
/// one session is none. Steps in one session become one. `None`: there is no way.
pub(super) fn path(
    from: usize,
    to: usize,
    successors: impl Fn(usize, &mut dyn FnMut(usize, Because)),
) -> Option<Vec<Step>> {
    let mut reached: HashMap<usize, (u32, Step)> = HashMap::new();
    let mut queue = VecDeque::from([(0, from)]);
    while let Some((length, at)) = queue.pop_front() {
        if at == to && length > 0 {
            break;
        }
        if reached.get(&at).is_some_and(|&(shortest, _)| shortest < length) {
            continue;
        }
        successors(at, &mut |after, because| {
            let longer = length + u32::from(because != Because::Session);
            if reached.get(&after).is_none_or(|&(shortest, _)| longer < shortest) {
                reached.insert(after, (longer, Step { from: at, to: after, because }));
                if longer == length {
                    queue.push_front((longer, after));
                } else {
                    queue.push_back((longer, after));
                }
            }
        });
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut at = to;
    loop {
        let step = reached.get(&at)?.1;
        match steps.last_mut() {
            Some(later)
                if (later.because, step.because) == (Because::Session, Because::Session) =>
            {
                later.from = step.from;
            }
            _ => steps.push(step),
        }
        at = step.from;
        if at == from {
            break;
        }
    }
    steps.reverse();
    Some(steps)
}
