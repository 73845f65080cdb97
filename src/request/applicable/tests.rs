use proptest::prelude::*;
use proptest::sample::{Index, select as any_of, subsequence};

use super::*;
use crate::base::id::CounterOwner;
use crate::base::property::Property;
use crate::host::headers::Headers;
use crate::host::stream::{Properties, RequestHead};
use crate::policy::document::from_yaml;
use crate::request::checks;
use crate::request::identify::identify;
use crate::store::key::{KeyMaker, LimitKeys};

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
const ROUTES: [&str; 9] = [
    "/**",
    "/v1/*",
    "/v1/a",
    "GET /v1/**",
    "/v2/a",
    "/v2/**",
    "/*/a",
    "/v1/{one}/**",
    "PUT /v2/*",
];
/// Some have several readings: an encoded slash divides segments for one server and not for the
/// other.
const PATHS: [&str; 10] = [
    "/v1/a",
    "/v1/b/c",
    "/v2/a",
    "/v2/c",
    "/v3/c",
    "/",
    "/v1%2Fa",
    "/v1/b%2Fc",
    "/v2;x/c",
    "/v3%2Fb/v2%2Fa",
];
const KEYS: [&str; 4] = [
    "[]",
    "[org]",
    "[org, plan], absent: skip",
    "[plan], absent: skip",
];
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

/// A `for`. With a tier, `/**` is among its routes, so that they do not contradict it.
fn selector() -> impl Strategy<Value = String> {
    let tier = prop::option::of(any_of(vec!["read", "write", "[read, write]"]));
    let routes = prop_oneof![
        Just(None),
        list(&ROUTES, "/**").prop_map(|routes| Some((true, routes))),
        list(&ROUTES, "").prop_map(|routes| Some((false, routes))),
    ];
    let values = || prop::option::weighted(0.6, list(&VALUES, ""));
    // Neither covers a whole selector.
    let except =
        prop::option::weighted(0.3, any_of(vec!["['/v1/a/x']", "['/*/c', 'GET /v2/a/b']"]));
    (tier, routes, except, values(), values()).prop_filter_map(
        "selects by nothing",
        |(tier, routes, except, org, plan)| {
            let tier = tier
                .filter(|_| routes.as_ref().is_none_or(|(any, _)| *any))
                .map(str::to_owned);
            let routes = routes.map(|(_, routes)| routes);
            let keys = [
                ("tier", tier),
                ("routes", routes),
                ("except", except.map(str::to_owned)),
                ("org", org),
                ("plan", plan),
            ];
            let keys: Vec<String> = keys
                .into_iter()
                .filter_map(|(key, value)| Some(format!("{key}: {}", value?)))
                .collect();
            (!keys.is_empty()).then(|| format!("{{ {} }}", keys.join(", ")))
        },
    )
}

/// One entry for each selector, under `key`.
fn entries(key: &str, kind: &str, selectors: &[(String, &str)], rest: &str) -> String {
    let entry = |(number, (selector, per)): (usize, &(String, &str))| {
        format!("- {{ name: {kind}{number}, for: {selector}, per: {per}{rest} }}\n")
    };
    let all: String = selectors.iter().enumerate().map(entry).collect();
    if all.is_empty() {
        all
    } else {
        format!("{key}:\n{all}")
    }
}

/// A host that knows a request's head and nothing else.
struct Head(Headers);

impl RequestHead for Head {
    fn request_headers(&self) -> Headers {
        self.0.clone()
    }
}

impl Properties for Head {
    fn property(&self, _: Property) -> Option<Vec<u8>> {
        None
    }
}

/// Finds the same the slow way: compares every selector with every reading.
struct Oracle<'a> {
    request: &'a Request,
    caller: &'a Caller<'a>,
    policy: &'a Policy,
}

impl Oracle<'_> {
    /// The first condition that does not hold.
    fn mismatch(&self, selector: &Selector, reading: Reading<'_>) -> Option<&'static str> {
        let of_tier = |tiers: &Vec<_>| reading.tier.is_some_and(|tier| tiers.contains(&tier));
        let of_route = |routes: &Vec<_>| reading.matches.ids().iter().any(|id| routes.contains(id));
        let has = |(attribute, values): &Condition| {
            let value = self.caller.value(*attribute);
            values.iter().any(|wanted| value == Some(wanted.as_bytes()))
        };
        match () {
            () if !selector.tiers.as_ref().is_none_or(of_tier) => Some("tier"),
            () if !selector.routes.as_ref().is_none_or(of_route) => Some("routes"),
            () if of_route(&selector.except) => Some("except"),
            () if !selector.attributes.iter().all(has) => Some("attribute"),
            () => None,
        }
    }

    fn exemption(&self, reading: Reading<'_>) -> Option<ExemptionId> {
        let mut all = self.policy.exempt.entries();
        all.find(|(_, selector)| self.mismatch(selector, reading).is_none())
            .map(|(id, _)| id)
    }

    /// Why a scope does not apply in one reading.
    fn why_not(&self, scope: &Scope, reading: Reading<'_>) -> Option<&'static str> {
        let lacks = |part: &KeyPart| match part {
            KeyPart::Attribute(attribute) => self.caller.value(*attribute).is_none(),
            KeyPart::Capture(_) | KeyPart::Word(_) => false,
        };
        let key = (scope.absent == Absent::Skip && scope.per.iter().any(lacks)).then_some("key");
        let exempt = self.exemption(reading).map(|_| "exempt");
        self.mismatch(&scope.selector, reading).or(key).or(exempt)
    }

    fn all<'s, I: Copy>(&self, scopes: impl Iterator<Item = (I, &'s Scope)>) -> Vec<I> {
        let applies = |scope| {
            self.request
                .readings()
                .any(|reading| self.why_not(scope, reading).is_none())
        };
        scopes
            .filter(|(_, scope)| applies(*scope))
            .map(|(id, _)| id)
            .collect()
    }

    fn payloads(&self) -> Vec<Option<PayloadId>> {
        let first = |reading| {
            let mut all = self.policy.payloads.entries();
            all.find(|(_, payload)| self.why_not(&payload.scope, reading).is_none())
                .map(|(id, _)| id)
        };
        self.request.readings().map(first).collect()
    }
}

/// Keeps each reason in a word.
#[derive(Default)]
struct Words(Vec<(LimitId, &'static str)>);

impl Trace<'_> for Words {
    const LISTENS: bool = true;

    fn reject(&mut self, limit: LimitId, why: Mismatch<'_>) {
        let word = match why {
            Mismatch::Tier => "tier",
            Mismatch::Identified => "identified",
            Mismatch::Address => "address",
            Mismatch::Routes => "routes",
            Mismatch::Except(_) => "except",
            Mismatch::Attribute(_) => "attribute",
            Mismatch::Key(_) => "key",
            Mismatch::Unlimited(_) => "unlimited",
            Mismatch::Exempt => "exempt",
        };
        self.0.push((limit, word));
    }
}

/// Compares the walk with the oracle, for a request with this head.
fn compare(
    policy: &Policy,
    applicable: &mut Applicable,
    pairs: &[(&str, &[u8])],
) -> Result<(), TestCaseError> {
    let mut request = Request::default();
    request.read(&Head(Headers::new(Headers::encode(pairs))), policy, false);
    let caller = identify(&request, policy).unwrap();
    let oracle = Oracle {
        request: &request,
        caller: &caller,
        policy,
    };
    let mut words = Words::default();
    applicable.find(&request, &caller, policy, &mut words);

    let exempt: Option<Vec<ExemptionId>> = request
        .readings()
        .map(|reading| oracle.exemption(reading))
        .collect();
    prop_assert_eq!(
        applicable.exemption,
        exempt.and_then(|all| all.first().copied())
    );
    prop_assert_eq!(
        &applicable.limits,
        &oracle.all(
            policy
                .limits
                .entries()
                .map(|(id, limit)| (id, &limit.scope))
        )
    );
    prop_assert_eq!(
        &applicable.pools,
        &oracle.all(policy.pools.entries().map(|(id, pool)| (id, &pool.scope)))
    );
    let held = policy
        .seats
        .entries()
        .filter(|(_, seats)| caller.value(seats.holder).is_some());
    prop_assert_eq!(
        &applicable.seats,
        &oracle.all(held.map(|(id, seats)| (id, &seats.scope)))
    );
    let payloads = oracle.payloads();
    let differ = payloads.iter().any(|payload| payload != &payloads[0]);
    prop_assert_eq!(applicable.ambiguity, differ.then_some(Ambiguity::Payload));
    prop_assert_eq!(applicable.payload, payloads[0]);

    let mut reasons = Vec::new();
    for reading in request.readings() {
        let all = policy.limits.entries();
        reasons.extend(
            all.filter_map(|(id, limit)| Some((id, oracle.why_not(&limit.scope, reading)?))),
        );
    }
    prop_assert_eq!(words.0, reasons);

    compare_checks(policy, applicable, &request, &caller)
}

/// Compares the checks with the limits that apply.
fn compare_checks(
    policy: &Policy,
    applicable: &Applicable,
    request: &Request,
    caller: &Caller<'_>,
) -> Result<(), TestCaseError> {
    let keys = LimitKeys::new(&KeyMaker::new(&[0; 16], 1), &policy.identities());
    let mut checks = Vec::new();
    checks::fill(&mut checks, applicable, request, caller, policy, &keys);
    let limits = applicable.limits.iter().map(|id| CounterOwner::Limit(*id));
    let owners: Vec<CounterOwner> = limits
        .chain(applicable.seats.iter().map(|id| CounterOwner::Seats(*id)))
        .collect();
    prop_assert_eq!(
        checks.iter().map(|check| check.owner).collect::<Vec<_>>(),
        owners
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_applies(
        selectors in prop::collection::vec((selector(), any_of(KEYS.to_vec())), 1..30),
        others in prop::collection::vec(selector(), 0..4),
        exempt in prop::collection::vec(selector(), 0..3),
        requests in prop::collection::vec(
            (
                any_of(vec!["GET", "PUT"]),
                any_of(PATHS.to_vec()),
                any::<Index>(),
                any::<Index>(),
            ),
            1..20,
        ),
    ) {
        let mut text = HEAD.to_owned();
        if !exempt.is_empty() {
            text += &format!("exempt: [{}]\n", exempt.join(", "));
        }
        text += &entries(
            "limits",
            "l",
            &selectors,
            ", bucket: { burst: 1, refill: 1/s }",
        );
        text += &entries("concurrency", "c", &selectors, ", slots: 1");
        let unkeyed: Vec<_> = selectors
            .iter()
            .map(|(selector, _)| (selector.clone(), "[plan]"))
            .collect();
        text += &entries("seats", "s", &unkeyed, ", holder: org, seats: 1, idle: 1d");
        if !others.is_empty() {
            let payload = |(number, selector)| {
                format!(
                    "- {{ name: p{number}, for: {selector}, \
                                                        bytes: 1KB }}\n"
                )
            };
            text += &format!(
                "payloads:\n\
                              {}",
                others.iter().enumerate().map(payload).collect::<String>()
            );
        }
        // A limit that can never be reached is refused.
        let compiled = Policy::compile(&from_yaml(&text).unwrap());
        prop_assume!(compiled.is_ok());
        let policy = compiled.unwrap();
        let mut applicable = Applicable::default();
        for (method, path, org, plan) in requests {
            // One value more than any selector asks for, and none.
            let mut pairs = vec![(":method", method), (":path", path)];
            let values: Vec<&str> = VALUES.iter().copied().chain(["z", ""]).collect();
            pairs.extend([("x-org", *org.get(&values)), ("x-plan", *plan.get(&values))]);
            let pairs: Vec<(&str, &[u8])> = pairs
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect();
            compare(&policy, &mut applicable, &pairs)?;
        }
    }
}
