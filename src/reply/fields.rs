//! The `X-RateLimit-*` fields, which show the one limit that is closest to its end.

use crate::base::time::{Span, Timestamp};
use crate::limit::Decision;
use crate::policy::replies::{Fields, Reset};
use crate::store::Claim;

/// The numbers of one limit, as its fields show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    limit: u32,
    remaining: u64,
    full_in: Span,
    at: Timestamp,
}

/// The names of the fields: the gateway's own, whatever the upstream sends under them.
pub const NAMES: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

impl Shown {
    /// The numbers of a claim; `None` where it could not be answered.
    #[must_use]
    pub fn of(claim: &Claim, at: Timestamp) -> Option<Self> {
        let limit = claim.bucket.burst();
        let shown = |remaining, full_in| Some(Self { limit, remaining, full_in, at });
        match claim.answer {
            Ok(Decision::Admit { remaining, full_in }) => shown(remaining, full_in),
            Ok(Decision::Deny { full_in, .. }) => shown(0, full_in),
            Ok(Decision::NeverFits) => shown(0, claim.bucket.window()),
            Err(_) => None,
        }
    }

    /// The place of the claim with the fewest units left.
    #[must_use]
    pub fn fewest(claims: &[Claim]) -> Option<usize> {
        let left = |claim: &Claim| match claim.answer {
            Ok(Decision::Admit { remaining, .. }) => remaining,
            Ok(Decision::Deny { .. } | Decision::NeverFits) => 0,
            Err(_) => u64::MAX,
        };
        claims.iter().enumerate().min_by_key(|(_, claim)| left(claim)).map(|(index, _)| index)
    }

    /// The fields, each with its name. Reset is when the limit is full again, rounded up.
    pub fn fields(self, form: Fields) -> impl Iterator<Item = (&'static str, u64)> {
        let reset = match form.reset {
            Reset::Seconds => self.full_in.seconds_up(),
            Reset::UnixSeconds => self.at.after(self.full_in).unix_seconds_up(),
        };
        NAMES.into_iter().zip([u64::from(self.limit), self.remaining, reset])
    }
}
