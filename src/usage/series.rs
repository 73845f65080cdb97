//! One series: what its points have in common. It is written as bytes, the key of the table.

use crate::base::varint;

/// The outcome of the requests of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// The limit did not refuse them.
    Passed,
    /// The limit refused them.
    Blocked,
    /// The limit is in shadow, and would have refused them.
    WouldRefuse,
}

/// The tags of a series besides those that each has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags<'a> {
    /// Those of a caller.
    Caller {
        /// The quota of the limit.
        count: u64,
        /// The seconds for which it is granted.
        period: u64,
        /// The policy's own tags, by name.
        own: Vec<(&'a str, &'a str)>,
    },
    /// None: the callers that found no place.
    Overflow,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// The limit's name.
    pub limit: &'a str,
    /// The outcome of the requests.
    pub status: Status,
    /// Whose they are.
    pub tags: Tags<'a>,
}

const CALLER: u8 = 1;
const OVERFLOW: u8 = 0;

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Blocked, Self::WouldRefuse];

    /// The value of `rate_limit_status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Blocked => "blocked",
            Self::WouldRefuse => "would_refuse",
        }
    }

    /// The status with this number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl<'a> Series<'a> {
    /// The series as bytes. Those of one metric follow each other in their order.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_text(self.metric, &mut out);
        push_text(self.limit, &mut out);
        out.push(self.status as u8);
        match &self.tags {
            Tags::Overflow => out.push(OVERFLOW),
            Tags::Caller { count, period, own } => {
                out.push(CALLER);
                varint::push(*count, &mut out);
                varint::push(*period, &mut out);
                for (name, value) in own {
                    push_text(name, &mut out);
                    push_text(value, &mut out);
                }
            }
        }
        out
    }

    /// Reads what [`Series::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (metric, rest) = read_text(bytes)?;
        let (limit, rest) = read_text(rest)?;
        let ([status, kind], rest) = rest.split_first_chunk()?;
        let status = Status::of(*status)?;
        let tags = match (*kind, rest) {
            (OVERFLOW, []) => Tags::Overflow,
            (CALLER, rest) => {
                let (count, rest) = varint::read(rest)?;
                let (period, mut rest) = varint::read(rest)?;
                let mut own = Vec::new();
                while !rest.is_empty() {
                    let (name, after) = read_text(rest)?;
                    let (value, after) = read_text(after)?;
                    own.push((name, value));
                    rest = after;
                }
                Tags::Caller { count, period, own }
            }
            _ => return None,
        };
        Some(Self {
            metric,
            limit,
            status,
            tags,
        })
    }

    /// The series of the requests for which this one has no place.
    #[must_use]
    pub const fn overflow(&self) -> Self {
        Self {
            metric: self.metric,
            limit: self.limit,
            status: self.status,
            tags: Tags::Overflow,
        }
    }

    /// Its tags as texts, numbers included.
    #[must_use]
    pub fn texts(&self) -> Vec<(&'a str, String)> {
        let mut all = vec![("limit_name", self.limit.to_owned())];
        if let Tags::Caller { count, period, .. } = &self.tags {
            all.push(("limit_count", count.to_string()));
            all.push(("limit_period", period.to_string()));
        }
        all.push(("rate_limit_status", self.status.name().to_owned()));
        match &self.tags {
            Tags::Overflow => all.push((OVERFLOW_TAG, "true".to_owned())),
            Tags::Caller { own, .. } => {
                all.extend(own.iter().map(|(name, value)| (*name, (*value).to_owned())));
            }
        }
        all
    }
}

/// The tag of the points of the requests that found no place, as OpenTelemetry names it.
pub(super) const OVERFLOW_TAG: &str = "otel.metric.overflow";

fn push_text(text: &str, out: &mut Vec<u8>) {
    varint::push(u64::try_from(text.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(text.as_bytes());
}

fn read_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = split(bytes)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Splits off bytes after their length.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = varint::read(bytes)?;
    rest.split_at_checked(usize::try_from(size).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_series_reads_back_as_it_was_written(
            (metric, limit) in (".{0,9}", ".{0,9}"),
            (count, period) in (any::<u64>(), any::<u64>()),
            own in proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4),
            (status, is_overflow) in (0..3_u8, any::<bool>()),
        ) {
            let own = own.iter().map(|(name, value)| (&**name, &**value)).collect();
            let tags = match is_overflow {
                true => Tags::Overflow,
                false => Tags::Caller { count, period, own },
            };
            let status = Status::of(status).unwrap();
            let series = Series { metric: &metric, limit: &limit, status, tags };
            let bytes = series.encode();
            prop_assert_eq!(Series::decode(&bytes), Some(series));
            for end in 0..bytes.len() {
                let shorter = Series::decode(&bytes[..end]).map(|it| it.encode());
                prop_assert_ne!(shorter.as_ref(), Some(&bytes));
            }
        }

        #[test]
        fn any_bytes_are_a_series_or_none(bytes: Vec<u8>) {
            if let Some(series) = Series::decode(&bytes) {
                let again = series.encode();
                prop_assert_eq!(Series::decode(&again), Some(series.clone()));
            }
        }
    }
}
