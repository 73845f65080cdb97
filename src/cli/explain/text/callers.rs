//! Who sent a request, and how that was found.

use std::fmt::Write as _;

use super::super::explanation::{Callers, Found};
use super::{line, plain, table};

pub(super) fn callers(text: &mut String, callers: &Callers) {
    let asked = match (callers.asked, &callers.route) {
        (true, Some(route)) => format!("asked who they are, by {route}"),
        (true, None) => "asked who they are".to_owned(),
        (false, _) if callers.defined => {
            "nobody is asked here: no route of callers.for matches".to_owned()
        }
        (false, _) => "nobody is asked: the policy has no callers".to_owned(),
    };
    line(text, "callers", &asked);
    let rows = callers.credentials.iter().map(|credential| {
        let found = match credential.found {
            Found::NotPresented => "not presented",
            Found::Known => "known to the directory",
            Found::Unknown => "unknown to the directory",
            Found::Verified => "verified by an earlier filter",
            Found::PassedOver => "unknown, and passed over: another one says who calls",
            Found::Ambiguous => "stands twice",
            Found::NotLookedAt => "not looked at",
        };
        let who = credential
            .identifier
            .as_ref()
            .map(|identifier| format!(": {identifier}"))
            .unwrap_or_default();
        [
            plain(&credential.name),
            plain(&credential.place),
            format!("{found}{who}"),
        ]
    });
    table(text, rows.collect());
    if let Some(refused) = &callers.refused {
        line(
            text,
            "caller",
            &format!(
                "not let in ({}): {}",
                refused.reason,
                plain(&refused.message)
            ),
        );
        let rows = callers
            .attributes
            .iter()
            .map(|it| [plain(&it.name), plain(&it.value), plain(&it.from)]);
        table(text, rows.collect());
        return;
    }
    line(
        text,
        "caller",
        if callers.attributes.is_empty() {
            "nothing is known"
        } else {
            ""
        },
    );
    let rows = callers
        .attributes
        .iter()
        .map(|it| [plain(&it.name), plain(&it.value), plain(&it.from)]);
    table(text, rows.collect());
    if !callers.missing.is_empty() {
        let _ = writeln!(text, "  without {}", callers.missing.join(", "));
    }
}
