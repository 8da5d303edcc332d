//! The protocol: how replicas that write at any time, and talk when they can, never show an effect
//! before its cause.
//!
//! This module is pure: no sockets, threads, locks, clocks or randomness. Input goes in, effects
//! come out. The server, the tests' simulation and everything else run the same code.
//!
//! # Model
//!
//! Every *server* keeps a full copy of the store, its *replica*. A client talks to one server. A
//! write is accepted there, its *origin*, at once; it gets a [`Version`] and travels to all other
//! servers as an [`Update`]. Messages may be late, reordered, repeated or lost; servers may stop
//! and start again, with or without what they had. Nobody lies.
//!
//! *Causal order* (Lamport 1978, Ahamad 1995) is a session's own operations in order, and every
//! read after the write that it shows, closed transitively. The promise is *causal+* (Lloyd 2011),
//! also called causal convergence, `CCv` (Bouajjani 2017): a server shows an update only after all
//! that comes before it in causal order, and servers that have applied the same updates show the
//! same values. It is not causal memory (CM): last-writer-wins may let a session see a concurrent
//! write overtake its own.
//!
//! # Rules
//!
//! - **R1, chains.** A *life* is a server between one start and the next; a *chain* is the updates
//!   of one life, named by the timestamp of its first write. An update carries the timestamp of its
//!   predecessor in the chain, 0 for the first. [`Applied`] holds an interval for each chain and
//!   answers: has this exact write been applied? See [`applied`].
//! - **R2, receive.** Raise the clock by the update's timestamp, even if the update is then held or
//!   is a duplicate. Applied already: drop it. Its predecessor and all its dependencies applied:
//!   apply it, and then whatever waited for it. Otherwise hold it back, filed under the first
//!   version that it misses. Held updates are only a cache. See [`replica`] and [`pending`].
//! - **R3, context.** A session's [`Context`] has at most one version for each chain. A write takes
//!   it as its dependencies, less what its own chain says anyway; then the context is just the new
//!   version, which carries the rest (as COPS keeps only the nearest dependencies). See [`context`].
//! - **R4, clock at a start.** A new life writes only above every timestamp and clock that the
//!   peers it can reach have seen of anyone. Until they have answered it refuses writes.
//! - **R5, link.** Servers tell each other which life they are in, above which timestamp it writes,
//!   and what they have applied. What a newer life says replaces what the older one said.
//! - **R6, log.** Applied updates are appended to one log, whose order is a causal order. Any
//!   server may send any update of it to whoever lacks it: what no living link of an origin
//!   supplies, another server relays. Who lacks what is no longer in the log gets a snapshot.
//! - **R7, snapshot.** What a server shows at one moment, deletes among it, and what it had applied
//!   by then. It is taken in, in one step: the higher version of each key, the longer part of each
//!   chain; what was held back and is in it is dropped, what waited for it is looked at again. What
//!   only one side has although the other has applied it was deleted there and the delete forgotten:
//!   it goes. See [`Replica::install`] and [`Store::merge`].
//! - **R8, start without data.** Such a server takes a snapshot from a peer before it applies single
//!   updates; it starts empty only if there is none to be had. Otherwise a session that saw nothing,
//!   as a delete was forgotten, could see the old value here. Until then it shows nothing at all.
//! - **R9, lost for ever.** What is held back for a write that no server has or holds, of a life
//!   that is over, is dropped, once what all servers said last agrees on everyone's life. See
//!   [`Settled::is_lost`] and [`Replica::drop_lost`].
//! - **R10, forgetting a delete.** A delete is forgotten when every server has applied it, this one
//!   has applied everything at or below it that any server has, nobody holds anything at or below
//!   it, and all agree on everyone's life. We add: and when all have said that they would. From
//!   then on nobody lets a server in that wrote below it unknown to all, which would bring the key
//!   back here and not there. See [`records`].
//! - **R11, pushes.** Only what became visible is pushed, and `applied` is raised before the store
//!   shows the update, so that no reply shows what the session's context cannot name.
//!
//! # Invariants
//!
//! - **I1** An update is applied only after its predecessor and all its dependencies: the exact
//!   writes, whatever the store holds.
//! - **I2** An update is applied at most once, and what is applied of a chain has no gap.
//! - **I3** No version is given out twice, and a local write's version is above every timestamp
//!   that was received before it, held back or not.
//! - **I4** A held update waits for a version that is not applied; when that is applied, the update
//!   is looked at again. So nothing is held that could be shown.
//! - **I5** Replicas that have applied the same updates have the same store.
//! - **I6** A write depends on all that its session saw, in every chain, and on nothing else.
//! - **I7** A refused update changes nothing; a clock is never dragged more than a minute ahead.
//! - **I8** What is dropped from a full hold-back is asked for again when there is room.
//! - **I9** What is forgotten cannot come back, and nothing that could still be shown is dropped.
//!
//! # The trap
//!
//! It is tempting to test a dependency by looking into the store: is the key's version at least as
//! new? With last-writer-wins that is wrong. A puts `j`, then `k`. C already holds its own, newer
//! `k`. B reads A's `k` and puts `y`. `y` reaches C before A's updates; C's own `k` is "new
//! enough"; `y` is shown while `j` is missing. The test `the_stored_version_trap` plays this.
//!
//! # Other rules
//!
//! To see what causal order is for, switch it off: [`order`] has the delivery rules side by side.
//!
//! # Where we differ from the papers
//!
//! - Every server has every key. COPS and Eiger (Lloyd 2011, 2013) split the keys over many
//!   machines in each data centre, and check dependencies by asking around. Here one set answers.
//! - A dependency is a version, not a key and a version: it names the write, not the place.
//! - Bolt-on (Bailis 2013) and causal broadcast (Birman 1991) carry a vector with every message.
//!   Here an update carries its predecessor and what its session read since its last write.
//! - Restarts without data are part of the protocol, hence chains. The papers assume that a server
//!   returns with its memory or not at all.
//!
//! # Papers
//!
//! Lamport 1978, *Time, Clocks, and the Ordering of Events*. Birman, Schiper, Stephenson 1991,
//! *Lightweight Causal and Atomic Group Multicast*. Ladin et al. 1992, *Lazy Replication*. Terry et
//! al. 1994, *Session Guarantees*. Ahamad et al. 1995, *Causal Memory*. Lloyd et al. 2011, *Don't
//! Settle for Eventual* (COPS). Mahajan, Alvisi, Dahlin 2011, *Consistency, Availability,
//! Convergence*. Lloyd et al. 2013, *Stronger Semantics* (Eiger). Bailis et al. 2013, *Bolt-on
//! Causal Consistency*. Kulkarni et al. 2014, *Logical Physical Clocks*. Bouajjani et al. 2017, *On
//! Verifying Causal Consistency*.

pub mod applied;
pub mod clock;
pub mod context;
pub mod effect;
pub mod hashed;
pub mod order;
pub mod pending;
pub mod records;
pub mod replica;
pub mod store;
pub mod update;
pub mod version;

pub use applied::{Applied, Chain};
pub use clock::{Clock, ClockKind, TooFarAhead};
pub use context::Context;
pub use effect::{Effect, Loading, Refusal, Stamp, Waited};
pub use hashed::Hashed;
pub use order::Order;
pub use pending::{Held, Limits, Pending};
pub use records::{Horizon, Record, Settled};
pub use replica::{Checkpoint, Replica};
pub use store::{Shown, Store};
pub use update::{Change, Update};
pub use version::{Version, VersionError};
