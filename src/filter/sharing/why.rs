//! The causes of failed calls, with advice for the operator.

use std::fmt;

use crate::observe::EngineOutcome;

/// The cause of a failed call, and advice.
pub(super) struct Why(&'static str);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

pub(super) const NO_CLUSTER: Why = Why(
    "Envoy has no such cluster, or it is full: add the cluster that `sluicegate render envoy \
     --engine HOST:PORT` writes",
);
pub(super) const NO_CONNECTION: Why =
    Why("it refuses the connection, or no host of the cluster is healthy");
pub(super) const NO_ANSWER: Why = Why("it did not answer within `store.engine.timeout`");
pub(super) const CUT_OFF: Why = Why("it closed the connection without an answer");

/// Envoy states why it answered a call itself.
pub(super) fn refusal_outcome(body: &[u8]) -> EngineOutcome {
    let overflow = b"overflow";
    if body.windows(overflow.len()).any(|part| part == overflow) {
        EngineOutcome::Overflow
    } else {
        EngineOutcome::Unavailable
    }
}
