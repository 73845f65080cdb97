//! The warnings about limits that all proxies share.

use super::warnings::warnings;

/// The warnings, after the note about the cluster.
fn of(limit: &str, engine: &str) -> Vec<String> {
    let mut all = warnings(
        "unknown: anonymous",
        &format!(
            "limits: [{{ name: l, per: [], scope: global, {limit} }}]\n\
             store: {{ engine: {{ redis: e{engine} }} }}"
        ),
    );
    let note = all.remove(0);
    assert!(
        note.starts_with("-: note: `scope: global` needs the cluster e "),
        "{note}"
    );
    all
}

#[test]
fn a_quota_that_is_too_small_to_take_in_advance_is_noted() {
    let text = "-:4: warning: /limits/0/scope: each request asks the engine, since a quota of 19 \
                is too small to take units in advance (20 or more is not)";
    assert_eq!(of("rolling: { quota: 19, window: 1m }", ""), [text]);
    assert_eq!(of("rolling: { quota: 20, window: 1m }", ""), [""; 0]);
}

#[test]
fn shares_that_do_not_add_up_are_noted() {
    let local = "rolling: { quota: 100, window: 1m }, failure: local";
    let found = of(local, "");
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .contains("/limits/0/failure: without the engine each proxy admits the whole quota")
    );
    assert_eq!(of(local, ", proxies: 3"), [""; 0]);
    let found = of(local, ", proxies: 101");
    assert!(
        found[0]
            .ends_with("each of 101 proxies admits at least 1, more in all than the quota of 100")
    );
}

#[test]
fn an_engine_without_a_use_is_noted() {
    let found = warnings(
        "unknown: anonymous",
        "limits: [{ name: l, per: [], bucket: { burst: 1, refill: 1/s } }]\n\
         store: { engine: { redis: e } }",
    );
    let text =
        "-:5: warning: /store/engine: no limit has `scope: global`, so nothing uses the engine";
    assert_eq!(found, [text]);
}
