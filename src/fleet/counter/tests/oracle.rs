//! The promise of a limit, counted slowly from the units that were truly spent.
//!
//! Two promises. Of units of leases alone no interval has more than the limit states. And at each
//! grant, the units spent or charged late by then, and those that will be spent of all open leases,
//! are no more than the limit states.

use super::game::{Game, Unit};
use crate::fleet::take::Numbers;

/// Checks all that was spent in a game.
pub(super) fn check(game: &Game) {
    for grant in &game.grants {
        let counted = |unit: &&Unit| {
            unit.at <= grant.at
                && unit.refunded.is_none_or(|refunded| refunded > grant.at)
                && (unit.is_extra || unit.spent.is_some())
        };
        let units: Vec<&Unit> = game.units.iter().filter(counted).collect();
        check_grant(game, &units, grant.at, &grant.numbers);
    }
    let mut spent: Vec<u64> = game
        .units
        .iter()
        .filter(|unit| !unit.is_extra && unit.refunded.is_none())
        .filter_map(|unit| unit.spent)
        .collect();
    spent.sort_unstable();
    check_intervals(game, &spent);
}

/// When a unit counts from: a charge, or the instant at which it was spent.
fn from(unit: &Unit) -> u64 {
    if unit.is_extra {
        unit.at
    } else {
        unit.spent.unwrap_or(unit.at)
    }
}

fn check_grant(game: &Game, units: &[&Unit], at: u64, numbers: &Numbers) {
    match numbers {
        Numbers::Rolling { quota, window } => {
            let begin = at - window.nanos() / 1_000;
            let count = units.iter().filter(|unit| from(unit) > begin).count();
            assert!(count as u64 <= *quota, "{count} of {quota} in a window");
        }
        Numbers::Calendar { quota, .. } => {
            assert!(units.len() as u64 <= *quota, "{} of {quota}", units.len());
        }
        Numbers::Bucket { burst, fill } => {
            let fill = fill.nanos() / 1_000;
            let mut past: Vec<u64> = units.iter().map(|unit| from(unit)).collect();
            past.sort_unstable();
            let held = past.iter().filter(|from| **from > at).count() as u64;
            past.retain(|from| *from <= at);
            let debt = debt(&past, at, most(game, *burst), fill);
            let room = u128::from(burst - held.min(*burst)) * u128::from(fill);
            assert!(
                held <= *burst && debt <= room,
                "{held} held, debt {debt}/{fill}, of {burst}"
            );
        }
    }
}

/// A bucket's debt, in parts of the time to fill, at its fastest rate.
fn debt(spent: &[u64], at: u64, burst: u64, fill: u64) -> u128 {
    let (mut debt, mut last) = (0_u128, 0);
    for instant in spent.iter().copied().chain([at]) {
        debt = debt.saturating_sub(u128::from(instant - last) * u128::from(burst));
        debt += u128::from(fill);
        last = instant;
    }
    debt - u128::from(fill)
}

/// The largest number that any take had, if it changed.
fn most(game: &Game, own: u64) -> u64 {
    let numbers = game.grants.iter().map(|grant| match grant.numbers {
        Numbers::Bucket { burst, .. } => burst,
        Numbers::Rolling { quota, .. } | Numbers::Calendar { quota, .. } => quota,
    });
    numbers.max().unwrap_or(own).max(own)
}

fn check_intervals(game: &Game, spent: &[u64]) {
    let Some(grant) = game.grants.first() else {
        assert_eq!(spent.len(), 0, "nothing is spent that is not granted");
        return;
    };
    let mut numbers = grant.numbers;
    match &mut numbers {
        Numbers::Bucket { burst: own, .. }
        | Numbers::Rolling { quota: own, .. }
        | Numbers::Calendar { quota: own, .. } => *own = most(game, *own),
    }
    assert!(fits(&numbers, spent), "{numbers:?}: {spent:?}");
    if let (Numbers::Calendar { end, .. }, 0) = (numbers, game.played.steps) {
        let late = spent.iter().find(|at| **at >= end.micros());
        assert_eq!(late, None, "spent after the end");
    }
}

/// Whether no interval has more units than the limit states. The instants are in their order.
pub(super) fn fits(numbers: &Numbers, spent: &[u64]) -> bool {
    match *numbers {
        Numbers::Rolling { quota, window } => {
            let window = window.nanos() / 1_000;
            spent.iter().enumerate().all(|(first, begin)| {
                let within = spent[first..].iter().take_while(|at| **at < begin + window);
                within.count() as u64 <= quota
            })
        }
        Numbers::Calendar { quota, .. } => spent.len() as u64 <= quota,
        Numbers::Bucket { burst, fill } => {
            let fill = fill.nanos() / 1_000;
            let all = u128::from(burst) * u128::from(fill);
            (1..=spent.len()).all(|end| debt(&spent[..end], spent[end - 1], burst, fill) <= all)
        }
    }
}
