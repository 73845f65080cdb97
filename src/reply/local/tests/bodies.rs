//! The body of a refusal, for each kind of refusal.

use super::*;
use crate::policy::template::{PAYLOAD, REFUSED, Template};

#[test]
fn every_placeholder_is_filled_for_every_kind_of_refusal() {
    let policy = policy("");
    let checks = checks(&policy);
    let limits: Vec<LimitStatus> = checks[..2]
        .iter()
        .map(|check| LimitStatus::of(check, &policy).unwrap())
        .collect();
    let request = request(b"");
    let text = "{trace_id}|{limit}|{retry_after}|{status}|{reason}|{max}|{title}|{detail}|{quota}|\
                {remaining}|{reset}";
    let known = [REFUSED, PAYLOAD].concat();
    let template = Template::parse(text, &known, |_| None).unwrap();
    let expected = [
        "caller: r-1|||401|||Unauthorized|Valid credentials are required.|||",
        "path: r-1|||400|||Bad Request|The path has a NUL.|||",
        "limit: r-1|day|600|429|||Too Many Requests|The limit day is exceeded. Retry after 600 \
         seconds.|9|0|0",
        "never: r-1|minute||429|||Too Many Requests|The limit minute is exceeded: the request \
         costs more than the limit can ever admit.|3|0|",
        "seat: r-1|seat|5|409|||Conflict|The limit seat is exceeded. Retry after 5 seconds.|||",
        "pool: r-1|pool|1|429|||Too Many Requests|The limit pool is exceeded. Retry after 1 \
         seconds.|1|0|",
        "payload: r-1|body||422|json_depth|3|Unprocessable Content|The payload nests more than \
         3 arrays and objects.|||",
        "busy: r-1|body|1|503|busy|0|Service Unavailable|Too many payloads are being decoded at \
         this moment.|||",
        "fault: r-1|||503|||Service Unavailable|The gateway cannot decide on the request at \
         this moment.|||",
    ];
    for ((name, refusal), expected) in kinds(&policy, &checks).into_iter().zip(expected) {
        let to = ReplyTo::head(&request, None, &refusal, NOW);
        let applied = Applied {
            limits: &limits,
            pools: &[POOL],
        };
        let values = Answer::of(&policy, refusal, to, applied).values();
        let body = template.body(Escape::Plain, |placeholder, out| {
            values.fill(placeholder, out)
        });
        assert_eq!(format!("{name}: {body}"), expected);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn the_usual_bodies_are_problems_and_a_grpc_caller_gets_a_message() {
    let policy = policy("");
    let checks = checks(&policy);
    let problem = |status: u32, title: &str, detail: &str| {
        format!(r#"{{"status":{status},"title":"{title}","detail":"{detail}"}}"#)
    };
    let over = "Too Many Requests";
    let never = "the request costs more than the limit can ever admit";
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
        let reply = |content_type| answer(&policy, refusal, &request(content_type));
        assert_eq!(reply(b"text/plain").body, body, "{name}");
        for grpc in [
            &b"application/grpc"[..],
            b"application/grpc-web+proto",
            b"application/grpc-web-text",
        ] {
            let reply = reply(grpc);
            assert_eq!(reply.body, message, "{name}");
            assert!(
                reply.headers.iter().all(|(name, _)| name != "content-type"),
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
        ("text/plain", "R minute  r-1"),
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
        let reply = answer(&policy, refusal, &request(b""));
        assert_eq!(
            reply.headers.last(),
            Some(&("content-type".into(), content_type.to_owned())),
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
        let reply = answer(&policy, refusal, &request(b""));
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
