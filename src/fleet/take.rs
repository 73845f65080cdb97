//! A take, and its answer.
//!
//! A proxy has one lease at a time for each shared counter, and one take on its way. It repeats a
//! take, with the same numbers, until it is answered: the engine answers a repeated take as it did
//! the first, and changes nothing.

use crate::base::time::{Span, Timestamp};

/// Which shared counter: the first half of SHA-256 over the limit's identity and the caller's
/// values. A caller's name cannot be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterName(pub [u8; 16]);

/// A proxy, drawn at random once in the life of its process: a restarted proxy is another one, and
/// the engine charges the units that its predecessor held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(pub u64);

/// The rule's numbers. They travel with each take, so another policy applies from its first take,
/// and keeps the count.
///
/// On the wire a time is in whole microseconds: a fraction is rounded against the caller, and a
/// number beyond its range is the nearest one in it that grants no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// A token bucket.
    Bucket {
        /// Most units it holds; below 2^32.
        burst: u64,
        /// How long an empty bucket takes to fill; at most 366 days.
        fill: Span,
    },
    /// A window that rolls along with the time.
    Rolling {
        /// Most units in any interval of the window's length; below 10^15.
        quota: u64,
        /// The window's length; at most 366 days.
        window: Span,
    },
    /// A window of the calendar. Each one is a counter of its own.
    Calendar {
        /// Most units in the window; below 10^15.
        quota: u64,
        /// The first instant of the window.
        start: Timestamp,
        /// The first instant after the window.
        end: Timestamp,
    },
}

/// The use of the units that the proxy holds and has not spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// They stay in its lease, which is prolonged.
    Keep,
    /// They return to the counter.
    Return,
    /// The proxy lost its record and does not know how much it spent: all it held is charged.
    Forgotten,
}

/// A request of one proxy to the engine, about one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// The counter.
    pub counter: CounterName,
    /// Its rule.
    pub numbers: Numbers,
    /// The proxy that sends the take.
    pub proxy: ProxyId,
    /// Counts up for one proxy and counter; below 2^53. A take that was not answered is repeated
    /// with the same number and nothing else changed.
    pub seq: u64,
    /// Units of the lease that were spent since the last report. They are charged now, unless the
    /// lease has lapsed: then it was charged in full already.
    pub spent: u64,
    /// Units to charge beyond any lease, whether or not they fit: costs known late, and limits that
    /// only count. Always charged.
    pub extra: u64,
    /// Units that were reported earlier, as spent or extra, and are given back.
    pub refund: u64,
    /// Engine time in microseconds at or before which none of the refunded units was charged; zero
    /// without a refund.
    pub since: u64,
    /// The use of the rest of the lease.
    pub rest: Rest,
    /// Units that waiting requests lack.
    pub need: u64,
    /// The need and the units wanted in advance; not less than the need.
    pub want: u64,
    /// Locks the counter for all proxies for this long from now; zero locks nothing.
    pub lock: Span,
}

/// The engine's answer to one [`Take`].
///
/// Lengths of time count from the engine's `now`. A proxy that counts `valid` from when it first
/// sent the take ends its lease before the engine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Units added to the lease.
    pub granted: u64,
    /// How long the whole lease lives; zero if nothing is held.
    pub valid: Span,
    /// Zero if the need is granted. Otherwise the time until it fits if the units that others hold
    /// count as spent; a need that can never fit waits for a window, a calendar's for its end.
    pub wait: Span,
    /// Zero if the need is granted. Otherwise when it makes sense to ask again, a millisecond at
    /// least: after the wait, the next unit that returns, or the first lease with spare units of
    /// another proxy that lapses, whichever is soonest.
    pub again: Span,
    /// Units that no proxy has taken or holds after this; negative if the counter is overdrawn.
    pub left: i64,
    /// How long until one more unit is back; zero if none was taken.
    pub next: Span,
    /// How long until all units are back.
    pub reset: Span,
    /// The engine's time when it carried the take out, in microseconds since the epoch; in the
    /// answer to a copy too. Units that are reported later were charged after it.
    pub now: u64,
    /// Whether the lease as it was before this take is gone: it was charged at its expiry,
    /// returned, forgotten, or is reported as spent whole. Its end counts no more, and only
    /// `granted` is in the lease now.
    pub lapsed: bool,
    /// How long the counter is locked, and grants nothing; `wait` and `again` are as long then.
    pub locked: Span,
}
