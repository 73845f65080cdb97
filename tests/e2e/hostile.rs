//! Requests that only attackers send.

use super::{ALPHA, BETA, spend};
use crate::harness::{Call, Client, Gateway, Policy, TestBed, raw};
use std::fmt::Write as _;
use tokio::task::JoinSet;

pub(crate) async fn no_bytes_crash_the_filter(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    // Each twice, the second time with the client's side closed at once. Some are never answered,
    // so all wait concurrently.
    let mut answers = JoinSet::new();
    for (request, half_close) in malformed()
        .into_iter()
        .flat_map(|request| [(request.clone(), false), (request, true)])
    {
        let address = gateway.address;
        answers.spawn(async move { (raw(address, &request, half_close).await, request) });
    }
    for (answer, request) in answers.join_all().await {
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 503"), "{shown}\n{answer}");
    }
    unharmed(&gateway).await;
}

pub(crate) async fn ambiguous_credentials_are_refused(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let (key, other, beta) = (ALPHA[0], ALPHA[1], BETA);
    let reason = async |reason| {
        gateway
            .admin
            .metric("sluicegate_unauthorized_total", &[("reason", reason)])
            .await
    };
    // Envoy joins these lines with a comma to one, which no caller has.
    for second in [key, other] {
        let headers = format!("authorization: Bearer {key}\r\nauthorization: Bearer {second}\r\n");
        assert_eq!(
            status(&gateway, "/v2/things", headers.as_bytes()).await,
            401,
            "{headers}"
        );
    }
    assert_eq!(reason("unknown").await, 2);
    for headers in [
        format!("x-api-key: {key}\r\nx-api-key: {beta}\r\n"),
        format!("x-api-key: {key}\r\nX-API-Key: {key}\r\n"),
    ] {
        assert_eq!(
            status(&gateway, "/v2/things", headers.as_bytes()).await,
            401,
            "{headers}"
        );
    }
    let query = format!("/v2/things?api_key={key}&api_key={other}");
    assert_eq!(status(&gateway, &query, b"").await, 401, "{query}");
    assert_eq!(reason("ambiguous").await, 3);

    let both = format!("authorization: Bearer {key}\r\nx-api-key: {beta}\r\n");
    assert_eq!(
        status(&gateway, "/v2/things", both.as_bytes()).await,
        401,
        "two organizations"
    );
    assert_eq!(reason("conflicting").await, 1);
    let one_unknown = format!("authorization: Bearer {key}\r\nx-api-key: nobody\r\n");
    assert_eq!(
        status(&gateway, "/v2/things", one_unknown.as_bytes()).await,
        401,
        "one of them unknown"
    );
    assert_eq!(reason("unknown").await, 3);
    let one_organization = format!("authorization: Bearer {key}\r\nx-api-key: {other}\r\n");
    assert_eq!(
        status(&gateway, "/v2/things", one_organization.as_bytes()).await,
        200,
        "two keys, one organization"
    );
    unharmed(&gateway).await;
}

pub(crate) async fn an_empty_credential_is_absent(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let key = ALPHA[0];
    for headers in [
        "authorization:\r\n",
        "authorization: Bearer\r\n",
        "authorization: Bearer  \r\n",
        "x-api-key:\r\n",
    ] {
        assert_eq!(
            status(&gateway, "/v2/things", headers.as_bytes()).await,
            401,
            "{headers}"
        );
        let with_key = format!("/v2/things?api_key={key}");
        assert_eq!(
            status(&gateway, &with_key, headers.as_bytes()).await,
            200,
            "{headers} together with a valid one"
        );
    }
    assert_eq!(status(&gateway, "/v2/things?api_key=", b"").await, 401);
    assert_eq!(status(&gateway, "/v2/things?api_key", b"").await, 401);
    let absent = gateway
        .admin
        .metric("sluicegate_unauthorized_total", &[("reason", "absent")])
        .await;
    assert_eq!(absent, 6);
}

pub(crate) async fn a_scheme_is_case_insensitive(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let key = ALPHA[0];
    for scheme in ["Bearer", "bearer", "BEARER", "bEARER", "Bearer "] {
        let header = format!("authorization: {scheme} {key}\r\n");
        assert_eq!(
            status(&gateway, "/v2/things", header.as_bytes()).await,
            200,
            "{header}"
        );
    }
    let (left, _) = spend(&gateway.client(), &Call::get("/v2/things").bearer(key)).await;
    assert_eq!(left, 5, "each of them is the same caller");
}

/// Envoy marks the second half of an internal redirect with headers, which a client can send, too.
pub(crate) async fn no_client_can_forge_a_redirect(bed: &TestBed) {
    let gateway = bed.open(&Policy::named("exact")).await;
    let call = Call::get("/v2/things").bearer(ALPHA[0]);
    let forged = call
        .clone()
        .header("x-envoy-original-url", "http://x/v2/moved")
        .header("x-envoy-internal", "true");
    let (admitted, _) = spend(
        &gateway.client(),
        &forged.header("x-forwarded-for", "10.0.0.1"),
    )
    .await;
    assert_eq!(admitted, 10);
    assert_eq!(gateway.client().send(call).await.status, 429);
}

/// Requests with bytes, lengths and forms that no HTTP client sends.
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn malformed() -> Vec<Vec<u8>> {
    let key = ALPHA[0];
    let mut many = String::new();
    for index in 0..90 {
        write!(many, "x-api-key: {index}\r\n").expect("text");
    }
    let long = "a/".repeat(20_000);
    let dots = "../".repeat(10_000);
    let percent = "%2e%2e%2f".repeat(3_000);
    vec![
        head("/v2/things", b"authorization: Bearer \xff\xfe\r\n"),
        head("/v2/things", b"authorization: \xff\r\n"),
        head("/v2/things", b"x-api-key: \xc3\x28\x00\r\n"),
        head("/v2/things", b"x-api-key: \x80\xbf\xff\r\n"),
        head(
            "/v2/things",
            &[
                b"traceparent: \xff\xff\r\nx-request-id: \xfe\r\n\
                               x-api-key: ",
                key.as_bytes(),
                b"\r\n",
            ]
            .concat(),
        ),
        head(
            "/v2/things",
            &[
                b"user-agent: \xff\r\ncookie: \xff\r\nx-\xff: a\r\n\
                               x-api-key: ",
                key.as_bytes(),
                b"\r\n",
            ]
            .concat(),
        ),
        head(
            "/v2/things",
            &[
                b"content-type: \xff\r\n\
                               x-api-key: ",
                key.as_bytes(),
                b"\r\n",
            ]
            .concat(),
        ),
        head("/v2/\u{e9}", b""),
        b"GET /v2/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        head("/v2/%ff%fe?api_key=%ff", b""),
        head("/v2/%zz/%", b""),
        head("/v2/things?api_key=%", b""),
        head("/v2/things?api_key=&api_key", b""),
        head("/v2/things?&&==&api_key==", b""),
        head("/v2/%00/%2f/%5c/..;/", b""),
        head(&format!("/v2/{long}timeseries"), b""),
        head(&format!("/v2/{dots}things"), b""),
        head(&format!("/v2/{percent}"), b""),
        head(&format!("/v2/things?api_key={long}"), b""),
        head("/v2/things", many.as_bytes()),
        head(
            "/v2/things",
            format!("authorization: Bearer {}\r\n", "k".repeat(50_000)).as_bytes(),
        ),
        head("/v2/things", b"authorization:\r\n"),
        head("/v2/things", b"authorization: Bearer\r\n"),
        head("/v2/things", b"authorization: Bearer \r\n"),
        head("*", b""),
        head("v2/things", b""),
        head("http://other/v2/things", b""),
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /v2/things HTTP/1.1\r\n\r\n".to_vec(),
        b"GET /v2/things HTTP/1.0\r\n\r\n".to_vec(),
        b"GET  HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"POST /v2/things HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nauthorization: \
          Bearer nobody\r\n\r\nzz\r\n"
            .to_vec(),
        format!(
            "POST /v2/things HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nauthorization: Bearer \
                 {key}\r\n\r\nhalf"
        )
        .into_bytes(),
        b"\xff\xfe\xfd\x00\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff".to_vec(),
    ]
}

/// A GET request with exactly these header lines.
fn head(path: &str, lines: &[u8]) -> Vec<u8> {
    [
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").as_bytes(),
        lines,
        b"\r\n",
    ]
    .concat()
}

async fn status(gateway: &Gateway, path: &str, lines: &[u8]) -> u16 {
    let answer = raw(gateway.address, &head(path, lines), false).await;
    let text = String::from_utf8_lossy(&answer);
    text.get(9..12)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status in {text}"))
}

/// Fails if the filter's VM ever trapped on any worker.
pub(crate) async fn unharmed(gateway: &Gateway) {
    let reloads = gateway.admin.stats("vm_reload").await;
    assert!(reloads.iter().all(|(_, count)| *count == 0), "{reloads:?}");
    let log = gateway.log();
    for sign in [
        "panicked",
        "wasm_fail_stream",
        "Uncaught",
        "Function: proxy_",
    ] {
        assert!(!log.contains(sign), "`{sign}` is in the log");
    }
    let faults = gateway.admin.metric("sluicegate_faults_total", &[]).await;
    assert_eq!(faults, 0, "the host never failed");
    // Sixteen connections reach every worker.
    for index in 0..16 {
        let client = if index % 2 == 0 {
            gateway.client()
        } else {
            Client::http2(gateway.address)
        };
        // If every key has a budget, none of these has spent its own.
        let call = Call::get("/free").header("x-api-key", &format!("unharmed-{index}"));
        assert_eq!(client.send(call).await.status, 200);
    }
}
