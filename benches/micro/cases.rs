//! The cases: single steps of the request path, then whole requests.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use sluicegate::base::id::{CounterOwner, LimitId};
use sluicegate::base::path::PathBuffer;
use sluicegate::base::time::Span;
use sluicegate::base::units::Refill;
use sluicegate::base::zone::Zone;
use sluicegate::engine::{Verdict, decide};
use sluicegate::limit::calendar::{Calendar, Over};
use sluicegate::limit::gcra::Bucket;
use sluicegate::limit::period::Period;
use sluicegate::limit::rolling::Rolling;
use sluicegate::limit::{Cost, FailureMode, Rule};
use sluicegate::payload::json::{JsonRules, Meter};
use sluicegate::policy::Policy;
use sluicegate::policy::limits::Limit;
use sluicegate::policy::route::{Matches, Route, RouteTable};
use sluicegate::policy::selector_index::SelectorId;
use sluicegate::reply::addressee::ReplyTo;
use sluicegate::reply::fields::{self, Applied, LimitStatus, Responder};
use sluicegate::request::head::Request;
use sluicegate::request::identify::identify;
use sluicegate::store::LimitCheck;
use sluicegate::store::shared::SharedStore;

use super::host::Host;
use super::traffic::{CALLERS, Gate, START, TRAFFIC, compile};

/// Any owner: it does not matter here.
const OWNER: CounterOwner = CounterOwner::Limit(LimitId::FIRST);

/// The number of callers whose limits are charged.
const FEW: usize = 100;

/// A step to repeat.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The repetitions in one turn.
    pub(crate) times: usize,
    /// The bytes read each time, if they determine the cost.
    pub(crate) bytes: Option<usize>,
    pub(crate) step: Box<dyn FnMut()>,
}

impl Case {
    fn new(name: impl Into<String>, step: impl FnMut() + 'static) -> Self {
        Self {
            name: name.into(),
            times: 1_000,
            bytes: None,
            step: Box::new(step),
        }
    }
}

/// Runs one turn. The name is unique, since callgrind finds the function by it.
#[inline(never)]
pub(crate) fn one_turn(case: &mut Case) {
    for _ in 0..case.times {
        (case.step)();
    }
}

/// The cases whose names contain one of these words; without words, all.
pub(crate) fn named(words: &[&str]) -> Vec<Case> {
    let mut cases = all();
    cases.retain(|case| words.is_empty() || words.iter().any(|word| case.name.contains(word)));
    cases
}

fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = [10, 100, 1_000, 10_000].map(route).into();
    cases.extend(callers());
    cases.extend([1, 10_000].map(selectors));
    for (kind, rule) in rules() {
        cases.extend([1, 3, 8].map(|count| limits(kind, rule, count)));
    }
    let rules = "value: { at: /data, bytes: 2MB }, objects: { where: { type: item }, below: /data, \
                 count: 100000, depth: 6 }";
    cases.extend([
        document("any", "depth: 128"),
        document("a value and objects", rules),
    ]);
    cases.extend(["x-ratelimit", "ietf"].map(fields));
    for traffic in &TRAFFIC {
        let mut gate = Gate::warmed(traffic);
        cases.push(Case::new(
            format!("request, {}, admitted", traffic.preset),
            move || gate.admitted(),
        ));
    }
    for traffic in &TRAFFIC {
        let (mut gate, held) = Gate::exhausted(traffic);
        cases.push(Case::new(
            format!("request, {}, refused", traffic.preset),
            move || {
                black_box(&held);
                gate.refused();
            },
        ));
    }
    cases
}

/// Matches a path of four segments. However many routes there are, four match it.
fn route(count: usize) -> Case {
    const KINDS: [&str; 4] = [
        "GET /api/v1/r{}/*",
        "/api/v1/r{}/items",
        "/api/v1/r{}/**",
        "GET,HEAD /api/v1/r{}/i*",
    ];
    let mut routes = RouteTable::builder();
    for number in 0..count {
        let route = KINDS[number % 4].replace("{}", &(number / 4).to_string());
        routes.add(Route::parse(&route).unwrap(), &route);
    }
    let (routes, mut path, mut matches) = (routes.build(), PathBuffer::new(), Matches::new());
    path.read(b"/api/v1/r1/items");
    Case::new(format!("match, {count} routes"), move || {
        routes.matches(black_box(b"GET"), black_box(&path), &mut matches);
        assert_eq!(matches.ids().len(), 4);
    })
}

fn callers() -> [Case; 3] {
    let case = |name: &str, policy: Policy, head: Vec<u8>, known: bool| {
        let (host, mut request) = (Host::at(START), Request::default());
        host.take_head(&head.into());
        request.read(&host, &policy, true);
        Case::new(format!("identify, {name}"), move || {
            assert_eq!(
                black_box(identify(black_box(&request), &policy)).is_ok(),
                known
            );
        })
    };
    let traffic = &TRAFFIC[0];
    let of_a_header = "{ version: 1, name: micro, limits: [{ name: one, per: [org], bucket: \
                       { burst: 1, refill: 1/s } }], \
        callers: { credentials: [{ name: key, header: x-api-key }], unknown: anonymous, \
        absent: anonymous, \
        attributes: { org: [{ header: user-agent, trusted: true }] } } }";
    [
        case(
            "in a directory of 1,000",
            traffic.policy(),
            traffic.head(7),
            true,
        ),
        case(
            "unknown to it",
            traffic.policy(),
            traffic.head(CALLERS),
            false,
        ),
        case("by a header", compile(of_a_header), traffic.head(7), true),
    ]
}

/// Finds the limits that may apply to a caller, when each limit is for one organization.
fn selectors(count: usize) -> Case {
    let mut text =
        "version: 1\nname: micro\ncallers: { credentials: [{ name: key, header: x-api-key }], \
        directory: [], attributes: { org: [{ header: x-org, trusted: true }] } }\nlimits:\n"
            .to_owned();
    for org in 0..count {
        writeln!(
            text,
            "- {{ name: of-{org}, for: {{ org: org-{org} }}, per: [], bucket: {{ burst: 1, \
             refill: 1/s }} }}"
        )
        .unwrap();
    }
    let (policy, mut found) = (compile(&text), Vec::new());
    Case::new(
        format!("select, {count} limits of an organization each"),
        move || {
            policy
                .index
                .find(None, &[], |_| Some(black_box(b"org-0")), &mut found);
            assert_eq!(found, [SelectorId::Limit(LimitId::FIRST)]);
        },
    )
}

fn rules() -> [(&'static str, Rule); 3] {
    let month = Period::parse("1mo").unwrap();
    [
        (
            "bucket",
            Rule::Bucket(Bucket::new(1_000_000, Refill::parse("1000000/h").unwrap()).unwrap()),
        ),
        // With this traffic, a record has twenty entries, nearly the maximum.
        (
            "rolling",
            Rule::Rolling(Rolling::new(4_000, Span::from_seconds(10)).unwrap()),
        ),
        (
            "calendar",
            Rule::Calendar(Calendar::new(1_000_000_000, Over::Refuse, month, Zone::UTC).unwrap()),
        ),
    ]
}

/// Evaluates the limits of one caller after another: computes their keys and charges them.
fn limits(kind: &str, rule: Rule, count: usize) -> Case {
    let host = Host::at(START);
    let mut store = SharedStore::open(host.clone(), "micro", 100_000, &[1; 16]).unwrap();
    let callers: Vec<String> = (0..FEW).map(|caller| format!("org-{caller}")).collect();
    let identities: Vec<String> = (0..count).map(|limit| format!("limit-{limit}")).collect();
    let (mut checks, mut turn) = (Vec::new(), 0_usize);
    let mut step = move || {
        turn += 1;
        // Each caller sends two requests a second.
        host.wait(Span::from_nanos(5_000_000));
        ask(
            &mut store,
            &host,
            rule,
            &identities,
            &callers[turn % FEW],
            &mut checks,
        );
    };
    for _ in 0..20 * FEW {
        step();
    }
    Case::new(format!("charge, {count} × {kind}"), step)
}

fn ask(
    store: &mut SharedStore<Host>,
    host: &Host,
    rule: Rule,
    identities: &[String],
    caller: &str,
    checks: &mut Vec<LimitCheck>,
) {
    checks.clear();
    for identity in identities {
        let mut key = store.keys().partition(identity.as_bytes());
        key.push(Some(caller.as_bytes()));
        checks.push(LimitCheck::new(
            OWNER,
            key.finish(),
            rule,
            Cost::Now(1),
            FailureMode::Allow,
        ));
    }
    assert_eq!(
        decide(store, host, checks, &mut host.time()),
        Verdict::Admit
    );
}

/// Measures a body of one megabyte, in pieces as the host would deliver it.
fn document(name: &str, rules: &str) -> Case {
    let policy = compile(&format!(
        "{{ version: 1, name: micro, payloads: [{{ name: one, bytes: 2MB, json: {{ {rules} }} }}] \
         }}"
    ));
    let rules: Arc<JsonRules> = policy.payloads[0].bounds.json.clone().unwrap();
    let mut body = String::from("{\"data\":[");
    for number in 0.. {
        write!(
            body,
            "{{\"id\":\"{number}\",\"type\":\"item\",\"attributes\":{{\"title\":\"A headline of \
             some length\",\
            \"body\":\"Words, words and a \\\"quoted\\\" one — about as many as there are in a \
            line.\",\
            \"price\":12.50,\"stock\":{number},\"shown\":true,\"tags\":[\"a\",\"bc\",null]}}}}"
        )
        .unwrap();
        if body.len() > 1_000_000 {
            break;
        }
        body.push(',');
    }
    body.push_str("]}");
    let bytes = body.len();
    let step = move || {
        let mut meter = Meter::new(Arc::clone(&rules), 1);
        for chunk in body.as_bytes().chunks(64 * 1024) {
            meter.feed(black_box(chunk)).unwrap();
        }
        black_box(meter.finish()).unwrap();
    };
    Case {
        times: 2,
        bytes: Some(bytes),
        ..Case::new(format!("read 1 MB of JSON, {name}"), step)
    }
}

/// Writes the response fields of three limits.
fn fields(family: &str) -> Case {
    let limits = "{ name: per-user, per: [], bucket: { burst: 100, refill: 60/min } }, \
        { name: per-org, per: [], rolling: { quota: 8000, window: 10s } }, \
        { name: per-month, per: [], calendar: { quota: 1000000, window: 1mo } }";
    let replies = format!("fields: {{ family: {family}, when: always }}");
    let policy = compile(&format!(
        "{{ version: 1, name: micro, limits: [{limits}], replies: {{ {replies} }} }}"
    ));
    let host = Host::at(START);
    let mut store = SharedStore::open(host.clone(), "micro", 1_000, &[1; 16]).unwrap();
    let check = |(id, limit): (LimitId, &Limit)| {
        let key = store.keys().partition(&limit.scope.identity).finish();
        LimitCheck::new(
            CounterOwner::Limit(id),
            key,
            limit.rule.rule,
            Cost::Now(1),
            FailureMode::Allow,
        )
    };
    let mut checks: Vec<LimitCheck> = policy.limits.entries().map(check).collect();
    decide(&mut store, &host, &mut checks, &mut host.time());
    let shown: Vec<LimitStatus> = checks
        .iter()
        .filter_map(|check| LimitStatus::of(check, &policy))
        .collect();
    assert_eq!(shown.len(), 3);
    Case::new(format!("write fields, {family}, 3 limits"), move || {
        assert!(
            !black_box(fields::all(
                &policy,
                Applied {
                    limits: black_box(&shown),
                    pools: &[]
                },
                Responder::Upstream,
                ReplyTo::anyone(START)
            ))
            .is_empty()
        );
    })
}
