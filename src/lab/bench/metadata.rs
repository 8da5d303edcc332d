//! What an update carries beyond its key and its value, counted on the link between two servers.

use crate::protocol::encode::array_into;
use crate::protocol::link::Frame;
use crate::protocol::resp::Decoder;

use super::Bench;
use super::figures::{float, length, mean};
use super::load::{self, key};
use super::table::{Goal, Unit};
use super::tap::Tap;

/// How many updates are counted.
const UPDATES: usize = 20_000;
const DEPTH: usize = 16;
const VALUE: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let mut tap = None;
    let (_children, mut wires) = bench.servers_behind(2, &["--no-discovery"], |place, port| {
        if place > 0 {
            return Ok(port);
        }
        Ok(tap.insert(Tap::on(port, true)?).port())
    })?;
    let tap = tap.ok_or("the first server has no tap")?;
    wires[1].ask(&["SET", "cause", "there"])?;
    let cause = load::own_last(&mut wires[1], 2)?;
    load::wait_until_applied(&mut wires, &[cause])?;
    let before = tap.bytes();
    let updates = bench.size(UPDATES);
    for first in (0..updates).step_by(DEPTH) {
        let mut bytes = Vec::new();
        for number in first..first + DEPTH {
            array_into(&mut bytes, &["GET", "cause"]);
            array_into(&mut bytes, &["SET", &key(number), VALUE]);
        }
        load::Batch { bytes, requests: 2 * DEPTH }.play(&mut wires[0])?;
    }
    let last = load::own_last(&mut wires[0], 1)?;
    load::wait_until_applied(&mut wires, &[last])?;
    let passed = float(tap.bytes() - before);
    let sizes = sizes(&tap.kept())?;
    if sizes.len() < updates {
        return Err(format!("{} of {updates} updates were seen on the link", sizes.len()));
    }
    let goal = Some(Goal::below(96.0, 64.0));
    let row = "metadata of an update on the wire: version, predecessor, one dependency, framing";
    bench.table.add(row, Unit::Bytes, goal, &sizes);
    let all = passed / length(sizes.len()) - length(key(0).len() + VALUE.len());
    let row = "the same with its part of acknowledgements and heartbeats, both ways";
    bench.table.add(row, Unit::Bytes, None, &[all]);
    bench.say(&format!("mean {:.1} B, with all that passes {all:.1} B", mean(&sizes)));
    Ok(())
}

/// Of each update with one dependency in what came over a link: its bytes but for key and value.
fn sizes(link: &[u8]) -> Result<Vec<f64>, String> {
    let mut decoder = Decoder::default();
    decoder.expect_peer();
    decoder.extend(link);
    let mut sizes = Vec::new();
    loop {
        let before = decoder.unread();
        let found = decoder.next_request().map_err(|error| error.to_string())?;
        let Some(frame) = found.map(Frame::decode) else { return Ok(sizes) };
        // The greeting is none of the frames of an established link.
        let Ok(Frame::Update(update)) = frame else { continue };
        if let ([_], [change]) = (&update.dependencies[..], &update.changes[..]) {
            let said = change.key.len() + change.value.as_ref().map_or(0, String::len);
            sizes.push(length(before - decoder.unread() - said));
        }
    }
}
