mod bodies;

use super::*;
use crate::base::id::{Id as _, LimitId, PayloadId, PoolId, SeatId};
use crate::base::path::Ambiguity;
use crate::base::time::Timestamp;
use crate::engine;
use crate::host::fault::Fault;
use crate::host::headers::Headers;
use crate::host::stream::GrpcStatus;
use crate::limit::{Balance, Cost, Decision, FailureMode, Rule};
use crate::payload::body::Reason;
use crate::payload::body::Rejection;
use crate::policy::document::from_yaml;
use crate::queue::stream::Reason as QueueReason;
use crate::reply::fields::LimitStatus;
use crate::request::head::Request;
use crate::store::key::KeyMaker;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: token, header: authorization, scheme: Bearer },
                { name: basic, header: x-basic, scheme: Basic }]
  unknown: anonymous
  absent: anonymous
  attributes: { user: [{ header: x-user, trusted: true }] }
limits:
  - { name: minute, per: [], bucket: { burst: 3, refill: 1/min } }
  - { name: day, per: [], calendar: { quota: 9, window: 1d } }
concurrency: [{ name: pool, per: [], slots: 1, queue: { length: 1, timeout: 1s } }]
seats: [{ name: seat, per: [], holder: user, seats: 1, idle: 1d, status: 409 }]
payloads: [{ name: body, json: { depth: 3 }, bytes: 9B }]
"#;

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

const POOL: PoolStatus = PoolStatus {
    pool: PoolId::FIRST,
    slots: 1,
    free: None,
    route: None,
};

fn policy(replies: &str) -> Policy {
    Policy::compile(&from_yaml(&format!("{POLICY}{replies}")).unwrap()).unwrap()
}

fn request(content_type: &[u8]) -> Request {
    let pairs: [(&str, &[u8]); 3] = [
        (":path", b"/"),
        ("content-type", content_type),
        ("x-request-id", b"r-1"),
    ];
    Request {
        headers: Headers::new(Headers::encode(&pairs)),
        ..Request::default()
    }
}

/// The checks of a request that both limits deny, `day` for the longer time, and the seat limit as
/// well.
fn checks(policy: &Policy) -> [LimitCheck; 3] {
    let key = KeyMaker::new(&[0; 16], 9).partition(b"a").finish();
    let deny = |seconds| Decision::Deny {
        retry_after: Span::from_seconds(seconds),
        balance: Balance::default(),
    };
    let check = |owner, rule, answer| {
        let mut check = LimitCheck::new(owner, key, rule, Cost::Now(1), FailureMode::Deny);
        (check.answer, check.at) = (Ok(answer), NOW);
        check
    };
    let limit = |number: u16, answer| {
        let id = LimitId::new(number);
        check(
            CounterOwner::Limit(id),
            policy.limits.get(id).unwrap().rule.rule,
            answer,
        )
    };
    let seats = check(
        CounterOwner::Seats(SeatId::FIRST),
        Rule::Seats(policy.seats[0].seats),
        deny(5),
    );
    [limit(0, deny(20)), limit(1, deny(600)), seats]
}

fn rejection(reason: Reason, max: Option<u64>) -> Refusal<'static> {
    Refusal::Payload {
        payload: PayloadId::FIRST,
        limit: "body",
        rejection: Rejection { reason, max },
    }
}

/// One refusal of each kind, by name.
fn kinds<'a>(policy: &'a Policy, checks: &'a [LimitCheck]) -> [(&'static str, Refusal<'a>); 9] {
    let by_limit = |check, retry_after| {
        Refusal::of_limits(policy, engine::Refusal { check, retry_after }, checks, NOW)
    };
    [
        ("caller", Refusal::Unauthorized(AuthFailure::Unknown)),
        ("path", Refusal::Path(Ambiguity::Nul)),
        ("limit", by_limit(1, Some(Span::from_seconds(600)))),
        ("never", by_limit(0, None)),
        ("seat", by_limit(2, Some(Span::from_seconds(5)))),
        (
            "pool",
            Refusal::Pool {
                pool: PoolId::FIRST,
                limit: "pool",
                reason: QueueReason::QueueFull,
            },
        ),
        ("payload", rejection(Reason::JsonDepth, Some(3))),
        ("busy", rejection(Reason::Busy, None)),
        ("fault", Refusal::Fault),
    ]
}

/// The reply on one line, with the number of its `X-RateLimit` fields.
fn line(name: &str, reply: &LocalReply) -> String {
    let LocalReply {
        status,
        grpc_status,
        details,
        ..
    } = reply;
    let mut line = format!("{name}: {status} {grpc_status:?} {details}");
    let (fields, others): (Vec<_>, Vec<_>) = reply
        .headers
        .iter()
        .partition(|(name, _)| name.starts_with("x-ratelimit"));
    for (name, value) in others {
        line.push_str(&format!(" {name}={value}"));
    }
    format!("{line} fields={}", fields.len())
}

#[test]
fn every_kind_of_refusal_has_its_status_details_and_headers() {
    let policy = policy("");
    let checks = checks(&policy);
    let limits: Vec<LimitStatus> = checks[..2]
        .iter()
        .map(|check| LimitStatus::of(check, &policy).unwrap())
        .collect();
    let request = request(b"");
    let lines = kinds(&policy, &checks).map(|(name, refusal)| {
        let applied = Applied {
            limits: &limits,
            pools: &[POOL],
        };
        let to = ReplyTo::head(&request, None, &refusal, NOW);
        let reply = reply(&policy, refusal, to, applied);
        line(name, &reply)
    });
    let json = "content-type=application/problem+json";
    let challenges =
        "www-authenticate=Bearer realm=\"demo\", error=\"invalid_token\", Basic realm=\"demo\"";
    assert_eq!(
        lines,
        [
            format!(
                "caller: 401 Unauthenticated sluicegate_unauthorized:unknown {challenges} {json} \
                 fields=0"
            ),
            format!("path: 400 InvalidArgument sluicegate_path_refused:nul {json} fields=0"),
            format!(
                "limit: 429 ResourceExhausted sluicegate_refused:day retry-after=600 {json} \
                 fields=3"
            ),
            format!("never: 429 ResourceExhausted sluicegate_refused:minute {json} fields=2"),
            format!(
                "seat: 409 ResourceExhausted sluicegate_refused:seat retry-after=5 {json} fields=3"
            ),
            format!(
                "pool: 429 ResourceExhausted sluicegate_queue_refused:pool:queue_full \
                 retry-after=1 {json} fields=3"
            ),
            format!(
                "payload: 422 InvalidArgument sluicegate_payload_refused:body:json_depth {json} \
                 fields=3"
            ),
            format!(
                "busy: 503 Unavailable sluicegate_payload_refused:body:busy retry-after=1 {json} \
                 fields=3"
            ),
            format!("fault: 503 Unavailable sluicegate_fault {json} fields=0"),
        ]
    );
}

#[test]
fn a_payload_has_the_grpc_status_that_fits_its_http_status() {
    for reason in Reason::ALL {
        let expected = match reason.status() {
            413 => GrpcStatus::ResourceExhausted,
            415 => GrpcStatus::Unimplemented,
            400 | 422 => GrpcStatus::InvalidArgument,
            503 => GrpcStatus::Unavailable,
            other => panic!("{other}"),
        };
        assert_eq!(
            rejection(reason, None).grpc_status(),
            expected,
            "{reason:?}"
        );
    }
}

#[test]
fn only_an_invalid_bearer_token_is_an_error_of_its_challenge() {
    let policy = policy("");
    for why in AuthFailure::ALL {
        let error = if why == AuthFailure::Absent {
            ""
        } else {
            ", error=\"invalid_token\""
        };
        assert_eq!(
            challenges(&policy, why),
            format!("Bearer realm=\"demo\"{error}, Basic realm=\"demo\"")
        );
    }
}

#[test]
#[should_panic(expected = "a verdict names one of its checks")]
fn a_verdict_on_a_check_that_does_not_exist_breaks_an_invariant() {
    let denial = engine::Refusal {
        check: 0,
        retry_after: None,
    };
    let _ = Refusal::of_limits(&policy(""), denial, &[], NOW);
}

/// The answer to a request without fields.
fn answer(policy: &Policy, refusal: Refusal<'_>, request: &Request) -> LocalReply {
    let to = ReplyTo::head(request, None, &refusal, NOW);
    reply(policy, refusal, to, Applied::default())
}
