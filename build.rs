//! Writes the world's time zones into a table that is small enough for the filter, and names the
//! commit.
//!
//! The data is that of the IANA database as `jiff` bundles it, so its release is the one in
//! Cargo.lock, on every machine. Only the offsets from 2020 to 2100 are kept: the filter asks for
//! the present (decision 0009).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a build that cannot make the table must fail"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

const FIRST: &str = "2020-01-01T00:00:00Z";
const LAST: &str = "2100-01-01T00:00:00Z";

const MINUTE: i64 = 60;
/// All offsets are quarters of an hour since 1972.
const QUARTER: i64 = 15 * MINUTE;

/// The rules of the clocks of one or more zones: the first offset in quarters of an hour, then each
/// change, with its minute since the epoch and the offset from then on.
type ZoneRules = (i64, Vec<(i64, i64)>);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=SLUICEGATE_COMMIT={}", commit());
    let database = TimeZoneDatabase::bundled();
    let mut numbers: BTreeMap<ZoneRules, usize> = BTreeMap::new();
    let mut names: Vec<(String, usize)> = Vec::new();
    for name in database.available() {
        let zone = database.get(name.as_str()).expect("a zone that is there");
        let next = numbers.len();
        names.push((
            name.as_str().to_owned(),
            *numbers.entry(rules_of(&zone)).or_insert(next),
        ));
    }
    names.sort();
    let utc = names
        .iter()
        .position(|(name, _)| name == "UTC")
        .expect("UTC is a zone");
    let mut by_number: Vec<&ZoneRules> = numbers.keys().collect();
    by_number.sort_by_key(|rules| numbers[*rules]);

    let mut code = String::new();
    writeln!(code, "const UTC: u16 = {utc};").unwrap();
    writeln!(
        code,
        "static NAMES: [(&str, u8); {}] = {names:?};",
        names.len()
    )
    .unwrap();
    writeln!(code, "static RULES: [ZoneRules; {}] = [", by_number.len()).unwrap();
    for (first, changes) in by_number {
        let (minutes, offsets): (Vec<i64>, Vec<i64>) = changes.iter().copied().unzip();
        writeln!(
            code,
            "    ZoneRules {{ first: {first}, minutes: &{minutes:?}, offsets: &{offsets:?} }},"
        )
        .unwrap();
    }
    writeln!(code, "];").unwrap();
    let folder = std::env::var_os("OUT_DIR").expect("cargo names a folder");
    std::fs::write(Path::new(&folder).join("zones.rs"), code).expect("the table can be written");
}

fn rules_of(zone: &TimeZone) -> ZoneRules {
    let (first, last): (Timestamp, Timestamp) = (FIRST.parse().unwrap(), LAST.parse().unwrap());
    let whole = |seconds: i64, unit: i64| {
        assert_eq!(
            seconds % unit,
            0,
            "{seconds} s in {zone:?} are not whole units of {unit} s"
        );
        seconds / unit
    };
    let offset = |seconds: i32| whole(i64::from(seconds), QUARTER);
    let begin = offset(zone.to_offset(first).seconds());
    let (mut before, mut changes) = (begin, Vec::new());
    for change in zone
        .following(first)
        .take_while(|change| change.timestamp() < last)
    {
        let after = offset(change.offset().seconds());
        if after != before {
            changes.push((whole(change.timestamp().as_second(), MINUTE), after));
            before = after;
        }
    }
    (begin, changes)
}

/// The commit of this build: from the environment, or else from git; `unknown` in an archive
/// without git.
fn commit() -> String {
    println!("cargo::rerun-if-env-changed=SLUICEGATE_COMMIT");
    if let Some(stated) = std::env::var("SLUICEGATE_COMMIT")
        .ok()
        .filter(|stated| !stated.is_empty())
    {
        return stated;
    }
    // In a folder of some other repository, git would answer with that one's commit.
    if git(&["rev-parse", "--show-prefix"]).as_deref() != Some("") {
        return "unknown".to_owned();
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        // A file that is not there would have cargo build each time.
        let path = git(&["rev-parse", "--git-path", name]).map(PathBuf::from);
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// The output of git in the package's folder; `None` if it fails or is missing.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
