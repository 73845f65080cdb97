use std::fmt::Write as _;

use super::super::Policy;
use super::super::document::from_yaml;
use super::super::route::Matches;
use super::{Branch, NODES_PER_TERM, Node, SelectorId, SelectorIndex};
use crate::base::id::{Id as _, LimitId};
use crate::base::path::PathBuffer;

/// A policy with a limit for each of these `for`.
fn policy(selectors: impl IntoIterator<Item = String>) -> Policy {
    let mut text = "version: 1
name: p
tiers: [{ name: read, routes: [/v1/**] }, { name: write, routes: [/v2/**] }]
callers:
  credentials: [{ name: key, header: x-key }]
  directory: []
  attributes: { org: [{ header: x-org, trusted: true }], plan: [{ header: x-plan, trusted: true }] }
limits:
"
    .to_owned();
    for (number, selector) in selectors.into_iter().enumerate() {
        writeln!(
            text,
            "- {{ name: l{number}, per: [], bucket: {{ burst: 1, refill: 1/s }}, for: {selector} }}"
        )
        .unwrap();
    }
    Policy::compile(&from_yaml(&text).unwrap()).unwrap()
}

/// The limits that the index finds for a request for `path` by a caller with these attributes.
fn found(policy: &Policy, path: &str, attributes: &[(&str, &str)]) -> Vec<usize> {
    let (mut buffer, mut matches, mut found) = (
        PathBuffer::new(),
        Matches::new(),
        vec![SelectorId::Limit(LimitId::FIRST)],
    );
    buffer.read(path.as_bytes());
    policy.routes.matches(b"GET", &buffer, &mut matches);
    let value = |id| {
        let has = attributes
            .iter()
            .find(|(name, _)| *name == policy.attributes.name(id));
        has.map(|(_, value)| value.as_bytes())
    };
    policy
        .index
        .find(policy.tier_of(&matches), matches.ids(), value, &mut found);
    let number = |id| {
        if let SelectorId::Limit(id) = id {
            Some(id.index())
        } else {
            None
        }
    };
    found.into_iter().filter_map(number).collect()
}

/// How many nodes hold selectors, counting each selector.
fn nodes(index: &SelectorIndex) -> usize {
    fn below(node: &Node) -> usize {
        let branches = node.branches.iter().map(|branch| match branch {
            Branch::Routes(nodes) => nodes.iter().map(below).sum(),
            Branch::Tiers(nodes) => nodes.values().map(below).sum(),
            Branch::Values(_, nodes) => nodes.values().map(below).sum(),
        });
        branches.fold(node.ids.len(), usize::saturating_add)
    }
    below(&index.root)
}

#[test]
fn a_request_visits_only_limits_that_may_match() {
    const CALLER: [(&str, &str); 2] = [("org", "o17"), ("plan", "p3")];
    for (selector, expected) in [
        ("{ org: oNUMBER }", vec![17]),
        ("{ tier: read, org: oNUMBER }", vec![17]),
        (
            "{ tier: [read, write], routes: [/v1/a], org: oNUMBER }",
            vec![17],
        ),
        (
            "{ routes: [/v1/*, /v1/a, /v2/a], org: [oNUMBER, xNUMBER] }",
            vec![17],
        ),
        ("{ plan: p3, org: oNUMBER }", vec![17]),
        (
            "{ plan: [p2, p3], tier: read, org: [o17, xNUMBER], routes: [/v1/NUMBER, /v1/rNUMBER] \
             }",
            vec![],
        ),
        ("{ tier: write, org: o17 }", vec![]),
        ("{ routes: [/v2/**], org: o17 }", vec![]),
    ] {
        let policy =
            policy((0..2_000).map(|number| selector.replace("NUMBER", &number.to_string())));
        assert_eq!(found(&policy, "/v1/a", &CALLER), expected, "{selector}");
        assert_eq!(
            found(&policy, "/v1/a", &[("plan", "p3")]),
            [0; 0],
            "{selector}"
        );
    }
}

#[test]
fn what_is_found_is_in_the_order_of_the_document_and_once() {
    let policy = policy(
        [
            "{ org: [o2, o1] }",
            "{ routes: [/v1/a, /v1/*] }",
            "{ plan: p }",
            "{ tier: read, org: o1 }",
            "{ plan: q }",
        ]
        .map(str::to_owned),
    );
    assert_eq!(
        found(&policy, "/v1/a", &[("plan", "p"), ("org", "o1")]),
        [0, 1, 2, 3]
    );
    assert_eq!(
        found(&policy, "/v2/a", &[("plan", "q"), ("org", "o2")]),
        [0, 4]
    );
    assert_eq!(found(&policy, "/v2/a", &[]), [0; 0]);
}

#[test]
fn lists_that_multiply_take_no_more_memory_than_they_have_entries() {
    let list = |kind: &str, count: usize| {
        (0..count)
            .map(|entry| format!("{kind}{entry}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let routes = list("/v1/", 300);
    // The routes are the same for all; the organizations are not.
    let selector = |number: usize| {
        format!(
            "{{ routes: [{routes}], org: [{}] }}",
            list(&format!("o{number}-"), 300)
        )
    };
    let policy = policy((0..20).map(selector));
    assert!(
        nodes(&policy.index) <= 20 * 600 * NODES_PER_TERM,
        "{}",
        nodes(&policy.index)
    );
    assert_eq!(found(&policy, "/v1/7", &[("org", "o3-5")]), [3]);
    assert_eq!(found(&policy, "/v1/300", &[("org", "o3-5")]), [0; 0]);
    assert_eq!(found(&policy, "/v1/7", &[("org", "o20-5")]), [0; 0]);
}

#[test]
fn short_lists_are_indexed_by_every_combination() {
    let policy = policy(["{ routes: [/v1/a, /v1/b], org: [o1, o2, o3], plan: [p, q] }".to_owned()]);
    assert_eq!(nodes(&policy.index), 12);
    assert_eq!(policy.index.unindexed, []);
    assert_eq!(
        found(&policy, "/v1/b", &[("org", "o3"), ("plan", "q")]),
        [0]
    );
}
