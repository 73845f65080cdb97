//! The caller of a request, and how it was identified.

use std::fmt::Write as _;

use super::super::explanation::{Callers, Credential, Found};
use super::{line, plain, table};

pub(super) fn callers(text: &mut String, callers: &Callers) {
    let asked = match (callers.asked, &callers.route) {
        (true, Some(route)) => format!("must identify themselves, by {route}"),
        (true, None) => "must identify themselves".to_owned(),
        (false, _) if callers.defined => {
            "need not identify themselves: no route of callers.for matches".to_owned()
        }
        (false, _) => "need not identify themselves: the policy has no callers".to_owned(),
    };
    line(text, "callers", &asked);
    table(text, callers.credentials.iter().map(credential).collect());
    let caller = match &callers.refused {
        Some(refused) => {
            let message = plain(&refused.message);
            format!("refused ({}): {message}", refused.reason)
        }
        None if callers.attributes.is_empty() => "nothing is known".to_owned(),
        None => String::new(),
    };
    line(text, "caller", &caller);
    let rows = callers
        .attributes
        .iter()
        .map(|it| [plain(&it.name), plain(&it.value), plain(&it.from)]);
    table(text, rows.collect());
    if callers.refused.is_none() && !callers.missing.is_empty() {
        let _ = writeln!(text, "  without {}", callers.missing.join(", "));
    }
}

/// The name of a credential, its place, and whether it identifies a caller.
fn credential(credential: &Credential) -> [String; 3] {
    let found = match credential.found {
        Found::NotPresented => "not presented",
        Found::Known => "known to the directory",
        Found::Unknown => "unknown to the directory",
        Found::Expired => "unknown: its entry in the directory has expired",
        Found::Verified => "verified by an earlier filter",
        Found::PassedOver => "unknown, and ignored: another one identifies the caller",
        Found::Ambiguous => "presented twice",
        Found::NotLookedAt => "not looked at",
    };
    let identifier = credential
        .identifier
        .as_ref()
        .map(|identifier| format!(": {identifier}"))
        .unwrap_or_default();
    [
        plain(&credential.name),
        plain(&credential.place),
        format!("{found}{identifier}"),
    ]
}
