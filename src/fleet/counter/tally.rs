//! The units of a counter that were charged and have not returned.
//!
//! Of a rolling window this is a log: units, and the instant of the last of them. A twentieth of
//! the window is one entry. A bucket and a calendar window have one entry at most; a bucket's debt
//! also has a fraction of a unit, counted in parts of the time in which the bucket fills, so that
//! no rounding is lost or gained however often it is charged.

use super::signed;
use crate::fleet::command::{Command, EXACT_MAX, Kind, SPAN_MAX, UNITS_MAX};

/// The longest time in an answer: half of the exact range.
const TIME_MAX: u64 = EXACT_MAX / 2;

/// Into how many grains a rolling window is divided.
const GRAINS: u64 = 20;

/// The charges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Tally {
    /// From the oldest to the newest.
    log: Vec<Entry>,
    /// A bucket's debt beyond whole units, in parts of `fill`; less than that.
    fraction: u64,
    /// The time to fill of the bucket that was charged last.
    fill: u64,
}

/// Units that were charged at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    at: u64,
    units: u64,
}

impl Tally {
    /// Moves all instants, after a step of the clock.
    pub(super) fn move_back(&mut self, back: u64) {
        for entry in &mut self.log {
            entry.at = entry.at.saturating_sub(back);
        }
    }

    /// Charges units at an instant, or at the last charge if that is later.
    pub(super) fn charge(&mut self, command: &Command, at: u64, units: u64) {
        if units == 0 {
            return;
        }
        let at = self.log.last().map_or(at, |last| last.at.max(at));
        match command.kind {
            Kind::Bucket => self.refill(command, at),
            Kind::Rolling => {
                let grain = (command.span / GRAINS).max(1);
                let last = self.log.last_mut();
                if let Some(last) = last.filter(|last| last.at / grain == at / grain) {
                    last.at = at;
                    last.units = (last.units + units).min(UNITS_MAX);
                    return;
                }
            }
            Kind::Calendar => {}
        }
        match self
            .log
            .last_mut()
            .filter(|_| command.kind != Kind::Rolling)
        {
            Some(last) => {
                last.at = at;
                last.units = (last.units + units).min(UNITS_MAX);
            }
            None => self.log.push(Entry {
                at,
                units: units.min(UNITS_MAX),
            }),
        }
    }

    /// Drops units that have returned by `now`.
    pub(super) fn settle(&mut self, command: &Command, now: u64) {
        match command.kind {
            Kind::Bucket => self.refill(command, now),
            Kind::Rolling => self.log.retain(|entry| entry.at + command.span > now),
            Kind::Calendar => {}
        }
    }

    /// Pays a bucket's debt for the time until `to`, at the command's rate.
    fn refill(&mut self, command: &Command, to: u64) {
        if self.fill != command.span {
            // The same part of a unit, rounded up.
            let (whole, rest) = muldiv(self.fraction, command.span, self.fill.max(1));
            self.fraction = whole + u64::from(rest > 0);
            self.fill = command.span;
        }
        let Some(last) = self.log.last_mut() else {
            return;
        };
        if self.fraction >= self.fill {
            (last.units, self.fraction) = (last.units + 1, self.fraction - self.fill);
        }
        let passed = to.saturating_sub(last.at).min(SPAN_MAX);
        let (units, fraction) = muldiv(passed, command.quota, command.span);
        self.fraction = pay(last, self.fraction, self.fill, (units, fraction));
        last.at = last.at.max(to);
    }

    /// Gives units back that were charged after the command's `since`, as far as time has not.
    pub(super) fn refund(&mut self, command: &Command, now: u64) {
        let mut units = command.refund;
        let passed = now.saturating_sub(command.since);
        match command.kind {
            // The oldest units, since the others then count longer.
            Kind::Rolling if passed < command.span => {
                for entry in &mut self.log {
                    let given = units.min(entry.units);
                    entry.units -= given;
                    units -= given;
                }
                self.log.retain(|entry| entry.units > 0);
            }
            Kind::Bucket if units > 0 && passed <= SPAN_MAX => {
                let (returned, part) = muldiv(passed, command.quota, command.span);
                if let Some(last) = self.log.last_mut().filter(|_| returned < units) {
                    let given = if part > 0 {
                        (units - returned - 1, command.span - part)
                    } else {
                        (units - returned, 0)
                    };
                    self.fraction = pay(last, self.fraction, self.fill, given);
                }
            }
            Kind::Calendar => {
                if let Some(last) = self.log.last_mut() {
                    last.units = last.units.saturating_sub(units);
                }
            }
            Kind::Bucket | Kind::Rolling => {}
        }
    }

    /// The units that count, rounded up.
    pub(super) fn used(&self, command: &Command) -> u64 {
        let units = self
            .log
            .iter()
            .fold(0, |sum, entry| UNITS_MAX.min(sum + entry.units));
        units + u64::from(command.kind == Kind::Bucket && self.fraction > 0)
    }

    /// How long until `units` fit in addition to those that count then, if `held` units count from
    /// now on.
    pub(super) fn free_in(&self, command: &Command, now: u64, held: u64, units: u64) -> u64 {
        let quota = signed(command.quota);
        let over = signed(self.used(command) + held + units) - quota;
        if over <= 0 {
            return 0;
        }
        match command.kind {
            Kind::Bucket if quota == 0 => command.span,
            Kind::Bucket => {
                // The unit that the fraction was rounded up to is not owed as a whole.
                let whole = over.unsigned_abs() - u64::from(self.fraction > 0);
                let (time, rest) = muldiv(command.span, whole, command.quota);
                let rest = (rest + self.fraction).div_ceil(command.quota);
                TIME_MAX.min(time + rest)
            }
            Kind::Rolling => {
                let mut over = over;
                let fits = self.log.iter().find(|entry| {
                    over -= signed(entry.units);
                    over <= 0
                });
                fits.map_or(command.span, |entry| entry.at + command.span - now)
            }
            Kind::Calendar => command.span.saturating_sub(now),
        }
    }
}

/// Takes units and a part of one, in parts of `fill`, from an entry and its fraction. The fraction
/// that is left.
fn pay(entry: &mut Entry, fraction: u64, fill: u64, (units, part): (u64, u64)) -> u64 {
    let borrowed = u64::from(part > fraction);
    match entry.units.checked_sub(units + borrowed) {
        Some(left) => {
            entry.units = left;
            fraction + borrowed * fill - part
        }
        None => {
            entry.units = 0;
            0
        }
    }
}

/// `a * b / c` as a whole number of at most [`TIME_MAX`], and the remainder. `c` is not zero.
pub(super) fn muldiv(a: u64, b: u64, c: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    let (whole, rest) = (product / u128::from(c), product % u128::from(c));
    let narrow = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
    (narrow(whole).min(TIME_MAX), narrow(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_divided_without_loss() {
        assert_eq!(muldiv(7, 3, 4), (5, 1));
        assert_eq!(
            muldiv(SPAN_MAX, (1 << 32) - 1, SPAN_MAX),
            ((1 << 32) - 1, 0)
        );
        assert_eq!(muldiv(SPAN_MAX, UNITS_MAX, 1), (TIME_MAX, 0));
    }
}
