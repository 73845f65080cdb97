//! Which requests a limit charges, by their responses.

/// When an admitted request is charged. Each takes its units when it is admitted, so that
/// concurrent requests cannot exceed the limit, and is refunded if it turns out not to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChargeWhen {
    /// Always.
    #[default]
    Admitted,
    /// Unless it fails, and the client did not cause that.
    Success,
    /// If it fails.
    Failure,
    /// If the response has one of these statuses.
    Statuses(StatusSet),
}

/// A set of HTTP statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet {
    /// In ascending order.
    ranges: Box<[(u16, u16)]>,
}

/// The outcome of a request, as its response states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// Whether the request failed: a status of 400 or above, or a `grpc-status` other than 0.
    pub is_failure: bool,
    /// Whether the client caused the failure, because it broke the protocol or never finished its
    /// request.
    pub is_caused_by_client: bool,
    /// Whether request and response are a gRPC call, whose HTTP status has no meaning.
    pub is_grpc: bool,
}

impl ChargeWhen {
    /// Whether a request with this outcome is charged.
    #[must_use]
    pub fn charges(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Admitted => true,
            Self::Success => !outcome.is_failure || outcome.is_caused_by_client,
            Self::Failure => outcome.is_failure,
            Self::Statuses(statuses) => !outcome.is_grpc && statuses.contains(outcome.status),
        }
    }

    /// Whether the response decides.
    #[must_use]
    pub fn depends_on_response(&self) -> bool {
        *self != Self::Admitted
    }
}

impl StatusSet {
    /// The set of these ranges, each from its first to its last status.
    #[must_use]
    pub fn new(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        Self {
            ranges: ranges.into(),
        }
    }

    /// Whether a status is in the set.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let holds = |&(first, last): &(u16, u16)| (first..=last).contains(&status);
        self.ranges.iter().any(holds)
    }

    /// The statuses as they are written in a policy: `401`, or `4xx` for a class.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.ranges.iter().map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{}xx", first / 100)
            }
        })
    }
}

/// The first and the last status of a class such as `4xx`.
#[must_use]
pub fn parse_class(text: &str) -> Option<(u16, u16)> {
    match text.as_bytes() {
        [digit @ b'1'..=b'5', b'x', b'x'] => {
            let first = u16::from(digit & 15).checked_mul(100)?;
            Some((first, first.checked_add(99)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(classes: &[&str], statuses: &[u16]) -> StatusSet {
        let classes = classes.iter().map(|class| parse_class(class).unwrap());
        let statuses = statuses.iter().map(|status| (*status, *status));
        StatusSet::new(classes.chain(statuses).collect())
    }

    const fn outcome(status: u16) -> Outcome {
        Outcome {
            status,
            is_failure: status >= 400,
            is_caused_by_client: false,
            is_grpc: false,
        }
    }

    #[test]
    fn a_list_has_statuses_and_classes() {
        let statuses = set(&["5xx"], &[401, 403]);
        for status in 100..=599 {
            let expected = [401, 403].contains(&status) || status >= 500;
            assert_eq!(statuses.contains(status), expected, "{status}");
        }
        assert_eq!(statuses.names().collect::<Vec<_>>(), ["401", "403", "5xx"]);
        for bad in [
            "", "4", "40", "4XX", "xxx", "401", "4x0", "4xxx", "6xx", "0xx",
        ] {
            assert_eq!(parse_class(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_way_to_charge_goes_by_the_outcome() {
        let by_client = Outcome {
            is_caused_by_client: true,
            ..outcome(400)
        };
        let grpc = |is_failure| Outcome {
            is_failure,
            is_grpc: true,
            ..outcome(200)
        };
        let all = [
            outcome(200),
            outcome(401),
            outcome(503),
            by_client,
            grpc(true),
            grpc(false),
        ];
        let cases = [
            (ChargeWhen::Admitted, [true, true, true, true, true, true]),
            (ChargeWhen::Success, [true, false, false, true, false, true]),
            (ChargeWhen::Failure, [false, true, true, true, true, false]),
            (
                ChargeWhen::Statuses(set(&["2xx"], &[401])),
                [true, true, false, false, false, false],
            ),
        ];
        for (when, expected) in cases {
            assert_eq!(
                all.map(|outcome| when.charges(&outcome)),
                expected,
                "{when:?}"
            );
        }
    }
}
