//! Every duration that the protocol rests on, and what follows from them.

use std::time::Duration;

/// How long a call of Redis may take before it counts as failed.
pub(crate) const CALL_WITHIN: Duration = Duration::from_millis(10);
/// How long a connection may take.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_millis(250);
/// How long a request may wait for grants, as many calls as that may take.
pub(crate) const PATIENCE_CALLS: u32 = 20;

/// How often a node says that it is there.
pub(crate) const BEAT_MS: u64 = 250;
/// How often a node tries to come back.
pub(crate) const RETURN_MS: u64 = 50;
/// How long after it was sent a beat may still be taken for one, by Redis's clock: a stalled Redis works off old ones later.
pub(crate) const BEAT_VALID_MS: u64 = 1_000;
/// How long after its last beat the others take a node for cut off, and leave it its share.
pub(crate) const LAPSE_MS: u64 = 2_000;
/// How long after a beat of anybody grants may rest on what it left in the registry.
pub(crate) const ASK_MS: u64 = 1_000;
/// How long after its last beat a node that is cut off may think that every later grant leaves it its share: the beat may have been taken
/// late, lapses then, is noticed with somebody's next beat, and a grant may be on its way.
pub(crate) const GUARD_MS: u64 = BEAT_VALID_MS + LAPSE_MS + ASK_MS + 100;
/// How long the share of a node that does not come back is left to it. After that it must not spend it.
pub(crate) const HOLD_MS: u64 = 60 * 60 * 1_000;
/// How long the first node of all waits for others that may know of counts which Redis has lost.
pub(crate) const GRACE_MS: u64 = 600;
/// A grant that was not used for so long is given back.
pub(crate) const IDLE_MS: u64 = 1_000;
/// A client that was refused is asked for again after so long, as others may have given back what they did not need.
pub(crate) const RECHECK_MS: u64 = IDLE_MS + BEAT_MS + 100;
/// And then, while there is nothing, after so many times as long each time: five times in a window of 15 minutes, however much a
/// refused client asks.
pub(crate) const RECHECK_GROWTH: u64 = 4;
/// How long a start may take, without [`GRACE_MS`].
pub(crate) const START_WITHIN: Duration = Duration::from_secs(5);
/// How long the orderly end may take.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_millis(500);
/// What of a time that another clock has measured is not relied on: a thousandth.
pub(crate) const DRIFT: u64 = 1_000;
