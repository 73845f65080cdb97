use super::*;
use crate::base::id::{Id as _, LimitId, PayloadId, PoolId, SeatId};
use crate::base::path::Ambiguity;
use crate::base::time::Span;
use crate::engine;
use crate::host::fault::Fault;
use crate::host::headers::Headers;
use crate::host::stream::GrpcStatus;
use crate::limit::{Balance, Cost, Decision, FailureMode, Rule};
use crate::payload::body::Reason;
use crate::policy::document::from_yaml;
use crate::queue::stream::Reason as QueueReason;
use crate::reply::fields::LimitStatus;
use crate::reply::refusal::ReplyContext;
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
            policy.limits.get(id).unwrap().rule,
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

#[test]
fn every_placeholder_is_filled_for_every_kind_of_refusal() {
    let policy = policy("");
    let checks = checks(&policy);
    let request = request(b"");
    let placeholders = [
        Placeholder::TraceId,
        Placeholder::Limit,
        Placeholder::RetryAfter,
        Placeholder::Status,
        Placeholder::Reason,
        Placeholder::Max,
        Placeholder::Title,
        Placeholder::Detail,
    ];
    let expected = [
        "caller: r-1||null|401||0|Unauthorized|valid credentials are required",
        "path: r-1||null|400||0|Bad Request|The path has a NUL.",
        "limit: r-1|day|600|429||0|Too Many Requests|The limit day is exceeded. Retry after 600 \
         seconds.",
        "never: r-1|minute|null|429||0|Too Many Requests|The limit minute is exceeded: the request \
         costs more than it ever admits.",
        "seat: r-1|seat|5|409||0|Conflict|The limit seat is exceeded. Retry after 5 seconds.",
        "pool: r-1|pool|1|429||0|Too Many Requests|The limit pool is exceeded. Retry after 1 \
         seconds.",
        "payload: r-1|body|null|422|json_depth|3|Unprocessable Content|The payload nests more than \
         3 arrays and objects.",
        "busy: r-1|body|1|503|busy|0|Service Unavailable|Too many payloads are being decoded at \
         this moment.",
        "fault: r-1||null|503||0|Service Unavailable|The gateway cannot decide on the request at \
         this moment.",
    ];
    for ((name, refusal), expected) in kinds(&policy, &checks).into_iter().zip(expected) {
        let context = ReplyContext::of(&request, 7);
        for to in [
            ReplyTo::head(&request, &refusal, NOW),
            ReplyTo::from(&context),
        ] {
            let values = placeholders.map(|placeholder| {
                let mut text = String::new();
                fill(&mut text, placeholder, refusal, to, refusal.status(&policy));
                text
            });
            assert_eq!(format!("{name}: {}", values.join("|")), expected);
        }
    }
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
            pools: &[PoolId::FIRST],
        };
        let reply = reply_at_head(&policy, refusal, &request, NOW, applied);
        let mut line = format!(
            "{name}: {} {:?} {}",
            reply.status, reply.grpc_status, reply.details
        );
        for (name, value) in reply
            .headers
            .iter()
            .filter(|(name, _)| !name.starts_with("x-ratelimit"))
        {
            line.push_str(&format!(" {name}={value}"));
        }
        let fields = reply
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-ratelimit"))
            .count();
        format!("{line} fields={fields}")
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
            format!("never: 429 ResourceExhausted sluicegate_refused:minute {json} fields=3"),
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
fn the_usual_bodies_are_problems_and_a_grpc_caller_gets_a_message() {
    let policy = policy("");
    let checks = checks(&policy);
    let problem = |status: u32, title: &str, detail: &str| {
        format!(r#"{{"status":{status},"title":"{title}","detail":"{detail}"}}"#)
    };
    let over = "Too Many Requests";
    let never = "the request costs more than it ever admits";
    let expected = [
        (
            problem(401, "Unauthorized", "Valid credentials are required."),
            "valid credentials are required".to_owned(),
        ),
        (
            problem(400, "Bad Request", "The path has a NUL."),
            "The path has a NUL.".to_owned(),
        ),
        (
            problem(
                429,
                over,
                "The limit day is exceeded. Retry after 600 seconds.",
            ),
            "limit day exceeded: retry after 600 s".to_owned(),
        ),
        (
            problem(
                429,
                over,
                &format!("The limit minute is exceeded: {never}."),
            ),
            format!("limit minute exceeded: {never}"),
        ),
        (
            problem(
                409,
                "Conflict",
                "The limit seat is exceeded. Retry after 5 seconds.",
            ),
            "limit seat exceeded: retry after 5 s".to_owned(),
        ),
        (
            problem(
                429,
                over,
                "The limit pool is exceeded. Retry after 1 seconds.",
            ),
            "limit pool exceeded: all slots and the queue are taken: retry after 1 s".to_owned(),
        ),
        (
            problem(
                422,
                "Unprocessable Content",
                "The payload nests more than 3 arrays and objects.",
            ),
            "The payload nests more than 3 arrays and objects.".to_owned(),
        ),
        (
            problem(
                503,
                "Service Unavailable",
                "Too many payloads are being decoded at this moment.",
            ),
            "Too many payloads are being decoded at this moment.".to_owned(),
        ),
        (
            problem(
                503,
                "Service Unavailable",
                "The gateway cannot decide on the request at this moment.",
            ),
            "The gateway cannot decide on the request at this moment.".to_owned(),
        ),
    ];
    for ((name, refusal), (body, message)) in kinds(&policy, &checks).into_iter().zip(expected) {
        let reply = |content_type| {
            reply_at_head(
                &policy,
                refusal,
                &request(content_type),
                NOW,
                Applied::default(),
            )
        };
        assert_eq!(reply(b"text/plain").body, body, "{name}");
        for grpc in [
            &b"application/grpc"[..],
            b"application/grpc-web+proto",
            b"application/grpc-web-text",
        ] {
            let reply = reply(grpc);
            assert_eq!(reply.body, message, "{name}");
            assert!(
                reply
                    .headers
                    .iter()
                    .all(|(name, _)| *name != "content-type"),
                "{name}: Envoy sets it"
            );
        }
    }
}

#[test]
fn the_words_of_a_policy_replace_the_usual_ones_for_their_kinds() {
    let policy = policy(
        r#"
replies:
  refused: { content_type: text/plain, body: "R {limit} {retry_after} {trace_id}" }
  unauthorized: { content_type: text/html, body: "U {trace_id}" }
  payload: { content_type: text/css, body: "P {limit} {status} {reason} {max}" }
"#,
    );
    let checks = checks(&policy);
    let problem = "application/problem+json";
    let expected = [
        ("text/html", "U r-1"),
        (
            problem,
            r#"{"status":400,"title":"Bad Request","detail":"The path has a NUL."}"#,
        ),
        ("text/plain", "R day 600 r-1"),
        ("text/plain", "R minute null r-1"),
        ("text/plain", "R seat 5 r-1"),
        ("text/plain", "R pool 1 r-1"),
        ("text/css", "P body 422 json_depth 3"),
        ("text/css", "P body 503 busy 0"),
        (
            problem,
            concat!(
                r#"{"status":503,"title":"Service Unavailable","detail":"#,
                r#""The gateway cannot decide on the request at this moment."}"#,
            ),
        ),
    ];
    for ((name, refusal), (content_type, body)) in kinds(&policy, &checks).into_iter().zip(expected)
    {
        let reply = reply_at_head(&policy, refusal, &request(b""), NOW, Applied::default());
        assert_eq!(
            reply.headers.last(),
            Some(&("content-type", content_type.to_owned())),
            "{name}"
        );
        assert_eq!(reply.body, body, "{name}");
    }
}

#[test]
fn the_standard_problem_names_all_limits_that_refuse() {
    let policy = policy("replies: { fields: { family: ietf } }");
    let mut checks = checks(&policy);
    let violated = |refusal: Refusal<'_>| {
        let reply = reply_at_head(&policy, refusal, &request(b""), NOW, Applied::default());
        let problem: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        (
            problem["status"].clone(),
            problem["violated-policies"].clone(),
        )
    };
    let pool = Refusal::Pool {
        pool: PoolId::FIRST,
        limit: "pool",
        reason: QueueReason::Unavailable(Fault::Full),
    };
    assert_eq!(violated(pool), (429.into(), serde_json::json!(["pool"])));
    let denial = engine::Refusal {
        check: 2,
        retry_after: None,
    };
    assert_eq!(
        violated(Refusal::of_limits(&policy, denial, &checks, NOW)),
        (409.into(), serde_json::json!(["minute", "day", "seat"]))
    );
    checks[1].answer = Ok(Decision::Admit(Balance::default()));
    assert_eq!(
        violated(Refusal::of_limits(&policy, denial, &checks, NOW)),
        (409.into(), serde_json::json!(["minute", "seat"]))
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
