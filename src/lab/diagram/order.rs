//! One order for the rows of all servers, in which nothing comes before its cause.
//!
//! The servers' clocks may disagree, so time only decides between rows that could both come next:
//! a topological order (Kahn 1962) of the happened-before relation (Lamport 1978).

use std::collections::HashMap;

use crate::core::Version;

use super::rows::{Act, Row};

/// Merges the rows of several servers, each in its own order. Sets `source`, and makes `since`
/// count among all rows. `ids` are the servers' ids.
pub(super) fn merged(lanes: Vec<Vec<Row>>, ids: &[u32]) -> Vec<Row> {
    let mut merge = Merge::new(lanes, ids);
    while let Some(lane) = merge.next_lane() {
        merge.take(lane);
    }
    merge.rows
}

/// An update at a server: who could have sent it.
type Copy = (usize, Version);

struct Merge {
    /// What is left, in reverse.
    lanes: Vec<Vec<Row>>,
    places: HashMap<u32, usize>,
    rows: Vec<Row>,
    /// Where each server's rows came to stand.
    taken: Vec<Vec<usize>>,
    /// The row in which a server has had an update, the last one so far.
    sources: HashMap<Copy, usize>,
    /// How many of the rows that are left will be such a row.
    sources_left: HashMap<Copy, usize>,
}

impl Merge {
    fn new(mut lanes: Vec<Vec<Row>>, ids: &[u32]) -> Self {
        let mut sources_left = HashMap::new();
        for row in lanes.iter().flatten() {
            if let Some(version) = row.has() {
                *sources_left.entry((row.server, version)).or_default() += 1;
            }
        }
        for lane in &mut lanes {
            lane.reverse();
        }
        Self {
            places: ids.iter().copied().zip(0..).collect(),
            rows: Vec::new(),
            taken: vec![Vec::new(); lanes.len()],
            sources: HashMap::new(),
            sources_left,
            lanes,
        }
    }

    /// The server whose turn it is: the earliest of those whose next row misses no cause. Should
    /// all miss one, which no true trace tells, just the earliest.
    fn next_lane(&self) -> Option<usize> {
        let heads = || self.lanes.iter().filter_map(|lane| lane.last());
        let first = |row: &&Row| (row.time_us, row.server);
        let ready = heads().filter(|row| !self.is_early(row)).min_by_key(first);
        ready.or_else(|| heads().min_by_key(first)).map(|row| row.server)
    }

    /// Whether a row shows something that its sender will only have later.
    fn is_early(&self, row: &Row) -> bool {
        let Some(copy) = self.sent(row) else { return false };
        !self.sources.contains_key(&copy) && self.sources_left.contains_key(&copy)
    }

    fn sent(&self, row: &Row) -> Option<Copy> {
        let Act::Arrive { from, update, .. } = &row.act else { return None };
        self.places.get(from).map(|&place| (place, update.version))
    }

    fn take(&mut self, lane: usize) {
        let Some(mut row) = self.lanes[lane].pop() else { return };
        row.source = self.sent(&row).and_then(|copy| self.sources.get(&copy).copied());
        row.since = row.since.and_then(|since| self.taken[lane].get(since).copied());
        if let Some(version) = row.has() {
            let copy = (lane, version);
            self.sources.insert(copy, self.rows.len());
            let left = self.sources_left.entry(copy).or_insert(1);
            *left -= 1;
            if *left == 0 {
                self.sources_left.remove(&copy);
            }
        }
        self.taken[lane].push(self.rows.len());
        self.rows.push(row);
    }
}

/// Gives each row its Lamport and vector time. A server counts one at each row; what it receives
/// carries the times of the row it was sent from.
pub(super) fn stamp(rows: &mut [Row], servers: usize) {
    let mut clocks = vec![(0, vec![0; servers]); servers];
    for number in 0..rows.len() {
        let sent = rows[number].source.map(|source| {
            let source = &rows[source];
            (source.lamport, source.vector.clone())
        });
        let server = rows[number].server;
        let (lamport, vector) = &mut clocks[server];
        if let Some((sent_lamport, sent_vector)) = sent {
            *lamport = sent_lamport.max(*lamport);
            for (own, other) in vector.iter_mut().zip(sent_vector) {
                *own = other.max(*own);
            }
        }
        *lamport += 1;
        vector[server] += 1;
        (rows[number].lamport, rows[number].vector) = (*lamport, vector.clone());
    }
}
