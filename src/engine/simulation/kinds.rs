//! The kinds of limit that the simulations run, with rules small enough to be reached.

use super::*;

/// The kind of the limits: each user's is the first, the organization's the second.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Bucket,
    /// One with exact times, one in grains.
    Rolling,
    Calendar,
    /// Each user's for those that share it, the organization's for its users.
    Seats,
}

impl Kind {
    /// Those that count units.
    pub(super) const ALL: [Self; 3] = [Self::Bucket, Self::Rolling, Self::Calendar];

    pub(super) fn rules(self) -> [Rule; 2] {
        let bucket = |burst, refill| {
            Rule::Bucket(Bucket::new(burst, Refill::parse(refill).unwrap()).unwrap())
        };
        let rolling = |quota| Rule::Rolling(Rolling::new(quota, Span::from_seconds(10)).unwrap());
        let calendar = |quota| {
            Rule::Calendar(
                Calendar::new(quota, Over::Refuse, Period::Seconds(10), Zone::UTC).unwrap(),
            )
        };
        match self {
            Self::Bucket => [bucket(5, "60/min"), bucket(9, "120/min")],
            Self::Rolling => [rolling(20), rolling(36)],
            Self::Calendar => [calendar(5), calendar(9)],
            Self::Seats => {
                [2, 2].map(|seats| Rule::Seats(Seats::new(seats, Span::from_seconds(10)).unwrap()))
            }
        }
    }

    /// The rules for one request.
    pub(super) fn asked(self, world: &mut World<WallClock>, user: u32) -> [Rule; 2] {
        let [of_user, of_org] = self.rules();
        match [of_user, of_org] {
            [Rule::Seats(of_user), Rule::Seats(of_org)] => [
                of_user.for_holder(world.below(4)),
                of_org.for_holder(user.into()),
            ]
            .map(Rule::Seats),
            rules => rules,
        }
    }
}

/// Runs `run` for each seed and each kind of limit.
pub(super) fn for_each_kind(
    seeds: impl IntoIterator<Item = u64>,
    kinds: &[Kind],
    run: impl Fn(u64, Kind),
) {
    for_each_seed(seeds, |seed| {
        for kind in kinds {
            run(seed, *kind);
        }
    });
}
