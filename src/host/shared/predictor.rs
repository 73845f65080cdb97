//! Predicting the version of a value without reading it.
//!
//! Reading a page costs four times as much as writing it, and a worker that is alone knows its
//! content: the last that it wrote. It lacks the version, which the host gives with a read alone.
//! But the host takes all versions from one counter, which each write moves on:
//!
//! ```text
//!   the counter was at least n ─▶ our write got at least n + 1 ─▶ all later writes get more
//! ```
//!
//! So if the value under our key has the version n + 1, then we wrote it, and no worker has written
//! since. If it has another version, the swap conflicts, and the value is read as usual. A wrong
//! prediction can cost a write, but it cannot lose one (decision 0019).
//!
//! Versions are 32 bits and wrap around. A prediction must not be used after that many writes:
//! [`PREDICTION_AGE_MAX`].

use std::cell::Cell;

use super::Version;
use crate::base::time::Span;

/// How long a prediction may be used. The host would have to write seventy million times a second
/// to wrap its versions around in this time.
pub const PREDICTION_AGE_MAX: Span = Span::from_seconds(60);

/// Writes without a prediction after a wrong one. The number doubles each time up to the maximum:
/// if several workers are busy, most predictions are wrong, and then they cost next to nothing.
const BACKOFF_MIN: u32 = 16;
const BACKOFF_MAX: u32 = 8_192;

/// One worker's knowledge of the host's counter.
#[derive(Debug)]
pub struct VersionPredictor {
    /// A lower bound of the counter, if one is known.
    latest: Cell<Option<u32>>,
    /// The version of the last write, if no other worker wrote at that moment.
    predicted: Cell<Option<u32>>,
    numbering: Cell<Numbering>,
    /// Writes until the next probe.
    cooldown: Cell<u32>,
    backoff: Cell<u32>,
    backoff_min: u32,
    /// Writes since the last probe.
    streak: Cell<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// Not probed yet.
    Unknown,
    /// One counter numbers all versions.
    Global,
    /// Each key has its own counter.
    PerKey,
}

/// Writes a value under one of two keys that only probes use, and reads its version, which may be
/// that of another worker's probe since.
pub trait VersionProbe {
    /// The version; `None` if the host fails.
    fn write(&self, key: ProbeKey) -> Option<u32>;
}

/// The keys of [`VersionProbe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKey {
    /// The first key.
    A,
    /// The second key.
    B,
}

impl Default for VersionPredictor {
    fn default() -> Self {
        Self::new(BACKOFF_MIN)
    }
}

impl VersionPredictor {
    /// A predictor that knows nothing yet. After the first wrong prediction, it makes none for
    /// `backoff_min` writes.
    #[must_use]
    pub const fn new(backoff_min: u32) -> Self {
        Self {
            latest: Cell::new(None),
            predicted: Cell::new(None),
            numbering: Cell::new(Numbering::Unknown),
            cooldown: Cell::new(0),
            backoff: Cell::new(backoff_min),
            backoff_min,
            streak: Cell::new(0),
        }
    }

    /// The version of the last write, if it can be predicted.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.predicted.get().map(Version::of)
    }

    /// Notes that this worker has written.
    pub fn stored(&self, probe: &impl VersionProbe) {
        self.predicted.set(self.latest.get().map(next));
        if self.predicted.get().is_some() {
            self.latest.set(self.predicted.get());
            self.streak.set(self.streak.get().saturating_add(1));
            if self.streak.get() > self.backoff.get() {
                self.backoff.set(self.backoff_min);
            }
        } else if let Some(cooldown) = self.cooldown.get().checked_sub(1) {
            self.cooldown.set(cooldown);
        } else {
            self.probe(probe);
        }
    }

    /// Notes that a swap of this worker met another version: other workers are writing.
    pub fn conflicted(&self) {
        self.predicted.set(None);
        if self.latest.take().is_some() {
            let backoff = self.backoff.get();
            self.cooldown.set(backoff);
            self.backoff.set(backoff.saturating_mul(2).min(BACKOFF_MAX));
            self.streak.set(0);
        }
    }

    /// Probes the counter, for the writes that follow.
    fn probe(&self, probe: &impl VersionProbe) {
        match self.numbering.get() {
            Numbering::PerKey => {}
            Numbering::Global => self.latest.set(probe.write(ProbeKey::A)),
            Numbering::Unknown => {
                let versions = [ProbeKey::A, ProbeKey::B, ProbeKey::A].map(|key| probe.write(key));
                let [Some(first), Some(second), Some(third)] = versions else {
                    return;
                };
                // A counter of each key would give the first key two numbers with none between
                // them.
                let one = is_before(first, second) && is_before(second, third);
                self.numbering.set(if one {
                    Numbering::Global
                } else {
                    Numbering::PerKey
                });
                self.latest.set(one.then_some(third));
            }
        }
    }
}

/// The version after `version`. No version is 0, which the host takes for *not seen*.
fn next(version: u32) -> u32 {
    version.checked_add(1).unwrap_or(1)
}

/// Whether `one` was given before `other`, as versions begin anew.
fn is_before(one: u32, other: u32) -> bool {
    (1..=u32::MAX / 2).contains(&other.wrapping_sub(one))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the numbers are small")]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::*;

    /// A host with one counter, or with one for each key.
    #[derive(Default)]
    struct Host {
        counter: Cell<u32>,
        by_key: Option<RefCell<HashMap<bool, u32>>>,
        calls: Cell<u32>,
    }

    impl VersionProbe for Host {
        fn write(&self, key: ProbeKey) -> Option<u32> {
            self.calls.set(self.calls.get().saturating_add(1));
            if let Some(counters) = &self.by_key {
                let mut counters = counters.borrow_mut();
                let counter = counters.entry(key == ProbeKey::A).or_insert(40);
                *counter = counter.saturating_add(1);
                return Some(*counter);
            }
            Some(self.bump())
        }
    }

    impl Host {
        fn bump(&self) -> u32 {
            self.counter.set(next(self.counter.get()));
            self.counter.get()
        }
    }

    #[test]
    fn a_worker_that_is_alone_is_always_right() {
        let host = Host {
            counter: Cell::new(u32::MAX - 9),
            ..Host::default()
        };
        let predictor = VersionPredictor::default();
        assert_eq!(predictor.version(), None);
        host.bump();
        predictor.stored(&host);
        for _ in 0..40 {
            let version = host.bump();
            predictor.stored(&host);
            assert_eq!(
                predictor.version(),
                Some(Version::of(version)),
                "also if they begin anew"
            );
        }
        assert_eq!(host.calls.get(), 3);
    }

    #[test]
    fn a_prediction_is_never_above_the_version_of_its_write() {
        let (host, predictor) = (Host::default(), VersionPredictor::default());
        for round in 0..10_000_u32 {
            for _ in 0..round.trailing_zeros() % 4 {
                host.bump();
            }
            let version = host.bump();
            predictor.stored(&host);
            let predicted = predictor.version();
            assert!(
                predicted.is_none_or(|predicted| predicted.cas() <= version),
                "{predicted:?} for {version}"
            );
            if round % 50 == 49 {
                predictor.conflicted();
                assert_eq!(predictor.version(), None);
            }
        }
    }

    #[test]
    fn wrong_predictions_become_rare() {
        let (host, predictor) = (Host::default(), VersionPredictor::default());
        for _ in 0..100_000 {
            host.bump();
            predictor.stored(&host);
            predictor.conflicted();
        }
        assert!(host.calls.get() < 40, "{} probes", host.calls.get());
        for _ in 0..3 * BACKOFF_MAX {
            host.bump();
            predictor.stored(&host);
        }
        assert!(
            predictor.version().is_some() && predictor.backoff.get() == BACKOFF_MIN,
            "alone again"
        );
    }

    #[test]
    fn a_host_that_counts_each_key_by_itself_is_not_trusted() {
        let host = Host {
            by_key: Some(RefCell::default()),
            ..Host::default()
        };
        let predictor = VersionPredictor::default();
        for _ in 0..1_000 {
            predictor.stored(&host);
            assert_eq!(predictor.version(), None);
        }
        assert_eq!(host.calls.get(), 3);
    }
}
