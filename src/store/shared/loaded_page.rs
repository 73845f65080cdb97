//! The pages that one request needs, and its checks on each of them.

use crate::base::time::Timestamp;
use crate::host::fault::Fault;
use crate::host::shared::Version;
use crate::host::shared::cell::Seen;
use crate::store::LimitCheck;
use crate::store::key::Key;
use crate::store::page::eviction::{CounterPage, Effect};

/// A page that the checks of one request need.
#[derive(Debug)]
pub(super) struct LoadedPage {
    pub(super) number: u32,
    pub(super) page: Result<CounterPage, Fault>,
    pub(super) version: Version,
    /// The page is from the cache, and only a swap can show whether it is still there.
    pub(super) is_speculative: bool,
}

impl LoadedPage {
    pub(super) fn new(number: u32, seen: Result<Seen, Fault>) -> Self {
        match seen {
            Ok(Seen {
                bytes,
                version,
                is_speculative,
            }) => Self {
                number,
                page: Ok(CounterPage::read(bytes)),
                version,
                is_speculative,
            },
            Err(fault) => Self {
                number,
                page: Err(fault),
                version: Version::ABSENT,
                is_speculative: false,
            },
        }
    }

    pub(super) fn evaluate(&self, check: &mut LimitCheck, now: Timestamp) {
        match &self.page {
            Ok(page) => evaluate(check, page, now),
            Err(fault) => check.evaluate(Err(*fault), now),
        }
    }
}

/// The checks whose counters are on page `number`.
pub(super) fn checks_on(
    checks: &mut [LimitCheck],
    number: u32,
) -> impl Iterator<Item = &mut LimitCheck> {
    checks
        .iter_mut()
        .filter(move |check| check.key.page == number)
}

/// Whether all checks of page `number` admit the request.
pub(super) fn all_admit(checks: &[LimitCheck], number: u32) -> bool {
    checks
        .iter()
        .filter(|check| check.key.page == number)
        .all(LimitCheck::admits)
}

/// Answers a check by the records on its page.
pub(super) fn evaluate(check: &mut LimitCheck, page: &CounterPage, now: Timestamp) {
    let state = page.find(check.key.fingerprint);
    check.evaluate(
        state.as_ref().map(Option::as_ref).map_err(|fault| *fault),
        now,
    );
    if let Some((key, rule)) = check.lock_record() {
        let state = page.find(key.fingerprint);
        check.evaluate_lock(
            &rule,
            state.as_ref().map(Option::as_ref).map_err(|fault| *fault),
            now,
        );
    }
}

/// Makes out the receipts of page `number`, and writes the states that follow. Returns what they
/// did to the page; `None` if nothing is to be stored.
pub(super) fn charge_page(
    page: &mut CounterPage,
    number: u32,
    checks: &mut [LimitCheck],
    capacity: usize,
    now: Timestamp,
) -> Result<Option<Effect>, Fault> {
    for check in checks_on(checks, number) {
        check.make_charge(now);
    }
    let pinned = |fingerprint| {
        checks.iter().any(|check| {
            check.key
                == Key {
                    page: number,
                    fingerprint,
                }
        })
    };
    let mut all: Option<Effect> = None;
    for check in checks.iter().filter(|check| check.key.page == number) {
        if let Some(state) = &check.next {
            let effect = page.put(check.key.fingerprint, state, capacity, now, pinned)?;
            all.get_or_insert_default().add(effect);
        }
    }
    Ok(all)
}
