use proptest::prelude::*;
use proptest::sample::{Index, select as any_of, subsequence};

use super::*;
use crate::base::id::PayloadId;
use crate::host::headers::Headers;
use crate::policy::document::from_yaml;
use crate::request::identify::identify;
use crate::request::payload::holding;
use crate::store::key::KeyMaker;

const HEAD: &str = "
version: 1
name: p
tiers: [{ name: read, routes: ['/v1/**'] }, { name: write, routes: ['/v2/**', '/*/c'] }]
callers:
  credentials: [{ name: key, header: x-key }]
  directory: []
  absent: anonymous
  attributes:
    org: [{ header: x-org, trusted: true }]
    plan: [{ header: x-plan, trusted: true }]
";
const ROUTES: [&str; 9] =
    ["/**", "/v1/*", "/v1/a", "GET /v1/**", "/v2/a", "/v2/**", "/*/a", "/v1/{one}/**", "PUT /v2/*"];
const PATHS: [&str; 6] = ["/v1/a", "/v1/b/c", "/v2/a", "/v2/c", "/v3/c", "/"];
const VALUES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// A list in a document: short, or long enough that several of them multiply too far.
fn list(all: &'static [&'static str], least: &'static str) -> impl Strategy<Value = String> {
    let short = subsequence(all, 1..=2);
    let long = subsequence(all, all.len() / 2..=all.len());
    prop_oneof![short, long].prop_map(move |mut chosen| {
        if !least.is_empty() && !chosen.contains(&least) {
            chosen.push(least);
        }
        format!("['{}']", chosen.join("', '"))
    })
}

/// A `for`. Beside a tier `/**` is among its routes, so that they do not contradict it.
fn selector() -> impl Strategy<Value = String> {
    let tier = prop::option::of(any_of(vec!["read", "write", "[read, write]"]));
    let routes = prop_oneof![
        Just(None),
        list(&ROUTES, "/**").prop_map(|routes| Some((true, routes))),
        list(&ROUTES, "").prop_map(|routes| Some((false, routes))),
    ];
    let values = || prop::option::weighted(0.6, list(&VALUES, ""));
    (tier, routes, values(), values()).prop_filter_map("selects by nothing", |(tier, routes, org, plan)| {
        let tier = tier.filter(|_| routes.as_ref().is_none_or(|(any, _)| *any)).map(str::to_owned);
        let routes = routes.map(|(_, routes)| routes);
        let keys = [("tier", tier), ("routes", routes), ("org", org), ("plan", plan)];
        let keys: Vec<String> =
            keys.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?))).collect();
        (!keys.is_empty()).then(|| format!("{{ {} }}", keys.join(", ")))
    })
}

/// One entry for each selector, under `key`.
fn entries(key: &str, kind: &str, selectors: &[String], rest: &str) -> String {
    let entry = |(number, selector): (usize, &String)| format!("- {{ name: {kind}{number}, for: {selector}{rest} }}\n");
    let all: String = selectors.iter().enumerate().map(entry).collect();
    if all.is_empty() { all } else { format!("{key}:\n{all}") }
}

/// The one reading of a plain path.
fn reading(request: &Request) -> Reading<'_> {
    request.readings().next().unwrap()
}

/// Every one that holds, the slow way.
fn holding_all<'s>(selectors: impl Iterator<Item = &'s Selector>, request: &Request, caller: &Caller<'_>) -> Vec<u16> {
    let matches = |selector: &Selector| {
        selector.routes.as_ref().is_none_or(|routes| routes.iter().any(|id| request.matches.contains(*id)))
    };
    let all =
        (0_u16..).zip(selectors).filter(|(_, selector)| matches(selector) && holds(selector, reading(request), caller));
    all.map(|(number, _)| number).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_holds(
        selectors in prop::collection::vec(selector(), 1..30),
        others in prop::collection::vec(selector(), 0..4),
        exempt in prop::option::weighted(0.3, list(&VALUES, "")),
        requests in prop::collection::vec(
            (any_of(vec!["GET", "PUT"]), any_of(PATHS.to_vec()), any::<Index>(), any::<Index>()), 1..20,
        ),
    ) {
        let mut text = HEAD.to_owned();
        if let Some(orgs) = exempt {
            text += &format!("exempt: [{{ plan: [a, b], org: {orgs} }}]\n");
        }
        text += &entries("limits", "l", &selectors, ", per: [], bucket: { burst: 1, refill: 1/s }");
        text += &entries("concurrency", "c", &selectors, ", per: [], slots: 1");
        text += &entries("seats", "s", &selectors, ", per: [], holder: org, seats: 1, idle: 1d");
        text += &entries("payloads", "p", &others, ", bytes: 1KB");
        // A payload limit that can never be reached is refused.
        let compiled = Policy::compile(&from_yaml(&text).unwrap());
        prop_assume!(compiled.is_ok());
        let policy = compiled.unwrap();
        let keys = LimitKeys::new(&KeyMaker::new(&[0; 16], 1), &policy.identities());
        let (mut numbers, mut checks) = (Vec::new(), Vec::new());
        for (method, path, org, plan) in requests {
            // One value more than any selector asks for, and none.
            let mut pairs = vec![(":method", method), (":path", path)];
            let values: Vec<&str> = VALUES.iter().copied().chain(["z", ""]).collect();
            pairs.extend([("x-org", *org.get(&values)), ("x-plan", *plan.get(&values))]);
            let pairs: Vec<(&str, &[u8])> = pairs.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let mut request = Request { headers: Headers::new(Headers::encode(&pairs)), ..Request::default() };
            request.path.read(path.as_bytes());
            policy.routes.matches(method.as_bytes(), &request.path, &mut request.matches);
            request.tier = policy.tier_of(&request.matches);
            let caller = identify(&request, &policy).unwrap();

            let expected = holding_all(policy.limits.iter().map(|limit| &limit.scope.selector), &request, &caller);
            look(&policy.candidates, reading(&request), &caller, &mut numbers);
            prop_assert!(numbers.is_sorted_by(|one, next| one < next), "{:?}", numbers);
            numbers.retain(|number| holds(&policy.limits[usize::from(*number)].scope.selector, reading(&request), &caller));
            prop_assert_eq!(&numbers, &expected);

            let exempt = exemption(&request, &caller, &policy, &mut numbers);
            let all = policy.exempt.selectors.iter();
            prop_assert_eq!(exempt, holding_all(all, &request, &caller).first().copied().map(ExemptionId::new));
            let applies = |mut expected: Vec<u16>| {
                expected.retain(|_| exempt.is_none());
                expected
            };
            let expected = applies(expected);
            select(&request, &caller, &policy, &keys, &mut numbers, &mut checks);
            let seated = expected.iter().filter(|_| org.get(&values) != &"").map(|number| CounterOwner::Seats(SeatId::new(*number)));
            let limits = expected.iter().map(|number| CounterOwner::Limit(LimitId::new(*number)));
            let owners: Vec<CounterOwner> = limits.chain(seated).collect();
            prop_assert_eq!(checks.iter().map(|check| check.owner).collect::<Vec<_>>(), owners);
            let pools = pools(&request, &caller, &policy, &mut numbers);
            prop_assert_eq!(pools.iter().map(|(id, _)| id.index()).collect::<Vec<_>>(), expected.iter().map(|number| usize::from(*number)).collect::<Vec<_>>());
            let payload = holding(&request, &caller, &policy, &mut numbers).map(|holding| holding.id);
            let all = policy.payloads.iter().map(|payload| &payload.scope.selector);
            prop_assert_eq!(payload, applies(holding_all(all, &request, &caller)).first().copied().map(PayloadId::new));
        }
    }
}
