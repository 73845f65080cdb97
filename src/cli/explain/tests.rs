//! The explanation agrees with the selection, for any policy and any request.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::host::Proxy;
use super::limits::View;
use super::outcome::Outcome;
use super::reasons::Reasons;
use crate::host::headers::Headers;
use crate::policy::Policy;
use crate::policy::document::from_yaml;
use crate::request::applicable::{Applicable, NoTrace};
use crate::request::head::Request;
use crate::request::identify::identify;

/// The keys demo-acme-1 and demo-globex-1; an unknown key is an anonymous caller.
const CALLERS: &str = "callers:
  for: { routes: [\"/a/**\", \"/b/**\"] }
  credentials: [{ name: key, header: x-key }]
  directory:
    - { sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: acme, \
    plan: paid }
    - { sha256: a9991e8d52644519c2b358319c96da263bdbb1ff46efa0512737edd479d317ba, org: globex, \
    plan: free }
  unknown: anonymous
  absent: anonymous
";
const KEYS: [&str; 4] = ["", "demo-acme-1", "demo-globex-1", "unknown"];
const PATHS: [&str; 6] = ["/a/1", "/a/1/x", "/b/2", "/health/x", "/", "/c?a=/a/1"];
const TIERS: [&str; 2] = [
    "{ name: write, routes: [\"POST /a/**\", \"POST /b/**\"] }",
    "{ name: read, routes: [\"GET /**\"] }",
];
const FORS: [&str; 5] = [
    "tier: [write, read]",
    "tier: read",
    "plan: [free, other]",
    "credential: key",
    "org: acme",
];
const ROUTES: [&str; 4] = [
    "\"/a/{id}\"",
    "\"/a/{id}/**\"",
    "\"POST /b/{id}\"",
    "\"/**/{id}\"",
];
const PARTS: [&str; 4] = ["org", "plan", "key", "credential"];
const EXEMPT: [&str; 3] = [
    "{ routes: [\"/health/**\"] }",
    "{ tier: read, plan: free }",
    "{ org: acme, routes: [\"/a/1\"] }",
];

prop_compose! {
    fn limit()(
        conditions in subsequence(FORS.to_vec(), 0..3),
        routes in subsequence(ROUTES.to_vec(), 0..3),
        parts in subsequence(PARTS.to_vec(), 0..3),
        captured in any::<bool>(),
        absent in select(vec!["skip", "count"]),
        enforcement in select(vec!["shadow", "enforce"]),
        overridden in any::<bool>(),
    ) -> String {
        let mut conditions: Vec<String> = conditions.iter().map(ToString::to_string).collect();
        let mut parts = parts;
        if !routes.is_empty() {
            conditions.push(format!("routes: [{}]", routes.join(", ")));
            parts.extend(captured.then_some("id"));
        }
        let selector = if conditions.is_empty() { String::new() } else { format!("for: {{ {} \
            }}, ", conditions.join(", ")) };
        let overrides = if overridden { ", overrides: [{ for: { plan: paid }, burst: 3 \
                                         }]" } else { "" };
        format!(
            "{selector}per: [{}], absent: {absent}, enforcement: {enforcement}, bucket: {{ \
             burst: 2, refill: 1/h }}{overrides}",
            parts.join(", ")
        )
    }
}

fn proxy(method: &str, path: &str, key: &str) -> Proxy {
    let mut pairs: Vec<(&str, &[u8])> =
        vec![(":method", method.as_bytes()), (":path", path.as_bytes())];
    if !key.is_empty() {
        pairs.push(("x-key", key.as_bytes()));
    }
    Proxy::with(method, path, Headers::new(Headers::encode(&pairs)))
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn the_limits_that_are_explained_are_those_that_are_selected(
        limits in prop::collection::vec(limit(), 1..6),
        exempt in subsequence(EXEMPT.to_vec(), 0..3),
        method in select(vec!["GET", "POST", "PUT"]),
        path in select(PATHS.to_vec()),
        key in select(KEYS.to_vec()),
        repeat in 1_u64..6,
    ) {
        let mut text = format!(
            "version: 1\nname: any\n{CALLERS}tiers: [{}]\n",
            TIERS.join(", ")
        );
        if !exempt.is_empty() {
            text += &format!("exempt: [{}]\n", exempt.join(", "));
        }
        text += "limits:\n";
        for (number, limit) in limits.iter().enumerate() {
            text += &format!("  - {{ name: l{number}, {limit} }}\n");
        }
        // A policy with an unreachable part or a duplicate key is refused.
        let compiled = from_yaml(&text)
            .ok()
            .and_then(|document| Policy::compile(&document).ok());
        prop_assume!(compiled.is_some());
        let policy = compiled.unwrap();
        let proxy = proxy(method, path, key);
        let mut request = Request::default();
        request.read(&proxy, &policy, true);
        let caller = identify(&request, &policy).unwrap();
        // The filter does not listen, and finds the same.
        let (mut applicable, mut reasons) = (Applicable::default(), Reasons::default());
        applicable.find(&request, &caller, &policy, &mut NoTrace);
        let selected: Vec<&str> = applicable
            .limits
            .iter()
            .map(|id| &*policy.limits.get(*id).unwrap().scope.name)
            .collect();
        let exempt = applicable.exemption;

        applicable.find(&request, &caller, &policy, &mut reasons);
        let view = View {
            policy: &policy,
            request: &request,
            caller: &caller,
            not_given: &[],
        };
        let outcome = Outcome::decided(&view, &proxy, &applicable, &reasons, repeat);
        let explained: Vec<&str> = outcome.limits.iter().map(|limit| &*limit.name).collect();
        prop_assert_eq!(&explained, &selected, "{}", text);
        prop_assert_eq!(outcome.exempt, exempt);
        for (id, limit) in policy.limits.entries() {
            let applies = selected.contains(&&*limit.scope.name);
            prop_assert_eq!(
                reasons.of(id).is_none(),
                applies,
                "{}: {}",
                limit.scope.name,
                text
            );
        }
        if outcome.exempt.is_none() {
            prop_assert_eq!(
                explained.len().saturating_add(outcome.not_applied.len()),
                policy.limits.len()
            );
        }
        prop_assert!(
            outcome
                .not_applied
                .iter()
                .all(|other| !other.message.is_empty())
        );
        // Two at once, and three for those that pay.
        let refused = outcome
            .limits
            .iter()
            .any(|limit| limit.decision == Some("refused"));
        prop_assert_eq!(outcome.decision.name() == "refused", refused, "{}", text);
        prop_assert!(repeat > 2 || !refused, "{}", text);
    }
}
