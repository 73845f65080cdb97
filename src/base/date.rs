//! Dates of the proleptic Gregorian calendar, by the day and the month that they are counted as.

/// The months of a year.
pub(crate) const MONTHS_A_YEAR: i64 = 12;

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// The year.
    pub(crate) year: i64,
    /// The month, from 0.
    pub(crate) month: i64,
    /// The day of the month, from 1.
    pub(crate) day: i64,
}

impl Date {
    /// The date of a day that is counted from 1970-01-01.
    pub(crate) fn of(day: i64) -> Self {
        let month = month_of(day);
        Self {
            year: month.div_euclid(MONTHS_A_YEAR),
            month: month.rem_euclid(MONTHS_A_YEAR),
            day: day.saturating_sub(first_day(month)).saturating_add(1),
        }
    }
}

const DAYS_IN_400_YEARS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01. In years that begin in March the leap day is the last.
const DAYS_TO_EPOCH: i64 = 719_468;

/// The month that a day is in, counted from January of the year 0. Of the proleptic Gregorian
/// calendar; the arithmetic is that of Howard Hinnant's `civil_from_days`.
pub(crate) fn month_of(day: i64) -> i64 {
    let day = day.saturating_add(DAYS_TO_EPOCH);
    let (era, day) = (
        day.div_euclid(DAYS_IN_400_YEARS),
        day.rem_euclid(DAYS_IN_400_YEARS),
    );
    let leap_days = (day / 1_460)
        .saturating_add(day / 146_096)
        .saturating_sub(day / 36_524);
    let year = day.saturating_sub(leap_days) / 365;
    let day_of_year = day.saturating_sub(days_before_year(year));
    // March is 0: (5 * day + 2) / 153.
    let month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let years = era.saturating_mul(400).saturating_add(year);
    years
        .saturating_mul(MONTHS_A_YEAR)
        .saturating_add(month)
        .saturating_add(2)
}

/// The first day of a month that is counted as [`month_of`] does.
pub(crate) fn first_day(month: i64) -> i64 {
    let from_march = month.saturating_sub(2);
    let (years, month) = (
        from_march.div_euclid(MONTHS_A_YEAR),
        from_march.rem_euclid(MONTHS_A_YEAR),
    );
    let (era, year) = (years.div_euclid(400), years.rem_euclid(400));
    let day_of_year = month.saturating_mul(153).saturating_add(2) / 5;
    let days = days_before_year(year).saturating_add(day_of_year);
    era.saturating_mul(DAYS_IN_400_YEARS)
        .saturating_add(days)
        .saturating_sub(DAYS_TO_EPOCH)
}

/// The days of an era of 400 years before one of its years.
fn days_before_year(year: i64) -> i64 {
    year.saturating_mul(365)
        .saturating_add(year / 4)
        .saturating_sub(year / 100)
}
