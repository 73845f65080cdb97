//! The way of a body through the filter: in slices, to its end, in a tunnel, and from a host that
//! does not give it.

mod held;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::filter::bodies::Step;
use crate::queue::stream::Answer;

const POLICY: &str = r#"
version: 1
name: demo
callers:
  credentials: [{ name: key, header: x-key }]
  unknown: anonymous
  absent: anonymous
limits:
  - { name: all, per: [], calendar: { quota: 9, window: 1d }, charge: success }
  - { name: lines, for: { routes: ["/lines"] }, per: [], calendar: { quota: 100, window: 1d },
      over: count, cost: { lines: request } }
concurrency:
  - { name: pool, for: { routes: ["/held-pool"] }, per: [], slots: 1,
      queue: { length: 1, timeout: 10s } }
payloads:
  - { name: file, for: { routes: ["/files"] }, bytes: 1MB, decoded_bytes: 1MB }
  - { name: json, for: { routes: ["/json"] }, json: { depth: 9 } }
  - { name: held, for: { routes: ["/held", "/held-pool"] }, bytes: 1MB, json: { depth: 9 },
      hold: true }
  - { name: rest, bytes: 100KB }
"#;

const LEFT: &str = "x-ratelimit-remaining";

/// The work that a callback may spend while other bodies are pending.
fn none() -> Slice {
    Slice::new(0)
}

fn open(
    proxy: &Proxy,
    policy: &Rc<Runtime<Proxy>>,
    path: &str,
    more: Pairs<'_>,
) -> (Stream<Proxy>, Flow) {
    let head: [(&str, &[u8]); 2] = [(":method", b"POST"), (":path", path.as_bytes())];
    proxy.send(policy, &[&head, more].concat())
}

/// A part of a body in the host's buffer.
fn give(
    proxy: &Proxy,
    stream: &mut Stream<Proxy>,
    part: &[u8],
    ends: bool,
    slice: &mut Slice,
) -> Flow {
    proxy.body.replace(part.to_vec());
    stream.on_request_body(proxy, part.len(), ends, slice)
}

/// Takes steps of a suspended stream, each with this many units, until it needs no more.
fn work(proxy: &Proxy, stream: &mut Stream<Proxy>, units: u64) -> Step {
    for _ in 0..100_000 {
        match stream.on_work(proxy, &mut Slice::new(units)) {
            Step::Again => assert!(stream.is_suspended()),
            step @ (Step::Done | Step::Resume | Step::Replied) => {
                assert!(!stream.is_suspended());
                assert_eq!(
                    stream.on_work(proxy, &mut slice()),
                    Step::Done,
                    "nothing is resumed twice"
                );
                return step;
            }
        }
    }
    panic!("it never ends");
}

fn left(proxy: &Proxy, policy: &Rc<Runtime<Proxy>>) -> String {
    let (mut stream, _) = open(proxy, policy, "/look", &[]);
    let left = proxy.answer(&mut stream, &[(":status", "404")])[LEFT].clone();
    stream.on_end(proxy);
    left
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file("a", zip::write::SimpleFileOptions::default())
        .unwrap();
    archive.write_all(bytes).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_body_has_ended_when_so_much_has_come_as_its_head_says() {
    let gzip = gzip(&[b'x'; 500]);
    let zip = zip(&[b'x'; 500]);
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 8].to_vec();
    for (path, encoding, body) in [
        ("/files", "gzip", cut(&gzip)),
        ("/files", "identity", cut(&zip)),
        ("/json", "", b"{\"a\":[1,2".to_vec()),
    ] {
        for parts in [
            vec![&body[..]],
            vec![&body[..3], &body[3..]],
            body.chunks(1).collect(),
        ] {
            for slices in [false, true] {
                let proxy = Proxy::new();
                let policy = proxy.runtime(POLICY);
                let length = body.len().to_string();
                let head = [
                    ("content-encoding", encoding.as_bytes()),
                    ("content-length", length.as_bytes()),
                ];
                let (mut stream, _) = open(&proxy, &policy, path, &head);
                let (last, before) = parts.split_last().unwrap();
                for part in before {
                    assert_eq!(
                        give(&proxy, &mut stream, part, false, &mut slice()),
                        Flow::Continue
                    );
                }
                // The last bytes are not forwarded, although the end is another callback.
                if slices {
                    assert_eq!(
                        give(&proxy, &mut stream, last, false, &mut none()),
                        Flow::Suspend
                    );
                    assert_eq!(work(&proxy, &mut stream, 1), Step::Replied);
                } else {
                    assert_eq!(
                        give(&proxy, &mut stream, last, false, &mut slice()),
                        Flow::Stop,
                        "{path} {encoding}"
                    );
                }
                stream.on_end(&proxy);
                assert_eq!(proxy.replies.borrow_mut().pop().unwrap().status, 400);
                assert_eq!(
                    left(&proxy, &policy),
                    "8",
                    "a request whose body is refused pays"
                );
            }
        }
    }
}

#[test]
fn a_whole_body_passes_at_its_length_and_ends_after_that() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let body = gzip(&[b'x'; 500]);
    let length = body.len().to_string();
    for lines in [
        length.clone(),
        format!("{length}, {length}"),
        format!(" {length} "),
    ] {
        let head = [
            ("content-encoding", &b"gzip"[..]),
            ("content-length", lines.as_bytes()),
        ];
        let (mut stream, _) = open(&proxy, &policy, "/files", &head);
        assert_eq!(
            give(&proxy, &mut stream, &body, false, &mut slice()),
            Flow::Continue
        );
        // However the end is reported.
        let mut other = slice();
        let end = match lines.len() % 2 {
            0 => stream.on_request_trailers(&proxy, &mut other),
            _ => stream.on_request_body(&proxy, 0, true, &mut other),
        };
        assert_eq!(end, Flow::Continue);
        stream.on_end(&proxy);
    }
    // More bytes than stated are refused, if a host lets them pass.
    let head = [
        ("content-encoding", &b"gzip"[..]),
        ("content-length", length.as_bytes()),
    ];
    let (mut stream, _) = open(&proxy, &policy, "/files", &head);
    assert_eq!(
        give(&proxy, &mut stream, &body, false, &mut slice()),
        Flow::Continue
    );
    assert_eq!(
        give(&proxy, &mut stream, b"x", false, &mut slice()),
        Flow::Stop
    );
    assert_eq!(
        proxy.replies.borrow_mut().pop().unwrap().details,
        "sluicegate_payload_refused:file:bytes"
    );
    // Several lengths that differ state no length, so only the host can report the end.
    let head = [("content-length", &b"3"[..]), ("content-length", b"9")];
    let (mut stream, _) = open(&proxy, &policy, "/json", &head);
    assert_eq!(
        give(&proxy, &mut stream, b"[1,", false, &mut slice()),
        Flow::Continue
    );
    assert_eq!(
        give(&proxy, &mut stream, b"2]", true, &mut slice()),
        Flow::Continue
    );
}

#[test]
fn a_body_is_read_in_slices_whatever_happens_meanwhile() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    let body = b"{\"a\":[1,2,3,4,5,6,7,8,9]}";
    for (trailers, cut, expected) in [
        (false, 0, Step::Resume),
        (true, 0, Step::Resume),
        (false, 1, Step::Replied),
        (true, 1, Step::Replied),
    ] {
        let body = &body[..body.len() - cut];
        let (mut stream, flow) = open(&proxy, &policy, "/json", &[]);
        assert_eq!(flow, Flow::Continue);
        assert_eq!(
            give(&proxy, &mut stream, &body[..9], false, &mut none()),
            Flow::Suspend
        );
        assert_eq!(stream.on_work(&proxy, &mut Slice::new(4)), Step::Again);
        // It has its own steps: bytes that arrive meanwhile are kept, even if this callback could
        // read them.
        assert_eq!(
            give(&proxy, &mut stream, &body[9..], !trailers, &mut slice()),
            Flow::Suspend
        );
        if trailers {
            assert_eq!(
                stream.on_request_trailers(&proxy, &mut slice()),
                Flow::Suspend
            );
        }
        assert_eq!(work(&proxy, &mut stream, 3), expected);
        stream.on_end(&proxy);
    }
    // Once resumed, it continues as any other.
    let (mut stream, _) = open(&proxy, &policy, "/json", &[]);
    assert_eq!(
        give(&proxy, &mut stream, &body[..9], false, &mut none()),
        Flow::Suspend
    );
    assert_eq!(work(&proxy, &mut stream, 3), Step::Resume);
    assert_eq!(
        give(&proxy, &mut stream, &body[9..], true, &mut slice()),
        Flow::Continue
    );
    // A stream that ends while it is suspended needs no step.
    let (mut stream, _) = open(&proxy, &policy, "/json", &[]);
    assert_eq!(
        give(&proxy, &mut stream, body, true, &mut none()),
        Flow::Suspend
    );
    stream.on_end(&proxy);
    proxy.replies.take();
    // A body of which only the bytes are counted never waits.
    let (mut stream, _) = open(&proxy, &policy, "/", &[]);
    assert_eq!(
        give(&proxy, &mut stream, &[0; 9_999], false, &mut none()),
        Flow::Continue
    );
}

#[test]
fn a_request_that_is_served_pays_whatever_its_body_does_then() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(POLICY);
    for (status, left_after) in [("200", "8"), ("404", "8")] {
        let (mut stream, _) = open(&proxy, &policy, "/json", &[]);
        give(&proxy, &mut stream, b"[1", false, &mut slice());
        proxy.answer(&mut stream, &[(":status", status)]);
        assert_eq!(
            give(&proxy, &mut stream, b"]]", false, &mut slice()),
            Flow::Stop
        );
        stream.on_end(&proxy);
        // Only success is charged, and the second request failed.
        assert_eq!(left(&proxy, &policy), left_after);
    }
    // A cost by the body is charged for the part that arrived.
    let (mut stream, _) = open(&proxy, &policy, "/lines", &[]);
    give(&proxy, &mut stream, b"a\nb\nc\n", false, &mut slice());
    proxy.answer(&mut stream, &[(":status", "200")]);
    assert_eq!(
        give(&proxy, &mut stream, &[b'\n'; 100_001], false, &mut slice()),
        Flow::Stop
    );
    let units = "policy=.=demo;.;limit=.=lines;.;sluicegate_units_total";
    assert_eq!(proxy.count(units), 3);
    // A body that is refused before its first byte was read is not free.
    let (mut stream, _) = open(&proxy, &policy, "/lines", &[]);
    assert_eq!(
        give(&proxy, &mut stream, &[b'\n'; 100_001], false, &mut slice()),
        Flow::Stop
    );
    stream.on_end(&proxy);
    assert_eq!(proxy.count(units), 4);
}

#[test]
fn a_connect_opens_a_tunnel_if_it_succeeds() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(&POLICY.replace("quota: 9,", "quota: 900,"));
    let connect = |status: &str| {
        proxy.request.replace(Headers::encode(&[
            (":method", b"CONNECT"),
            (":authority", b"e:443"),
        ]));
        let mut stream = Stream::new(Rc::clone(&policy), StreamId(99));
        assert_eq!(stream.on_request_headers(&proxy, false), Flow::Continue);
        proxy.answer(&mut stream, &[(":status", status)]);
        give(&proxy, &mut stream, &[0; 200_000], false, &mut slice())
    };
    assert_eq!(
        (
            connect("200"),
            connect("299"),
            connect("101"),
            connect("404")
        ),
        (Flow::Continue, Flow::Continue, Flow::Stop, Flow::Stop)
    );
}

#[test]
fn a_tunnel_has_no_payload_limit_once_it_begins() {
    let proxy = Proxy::new();
    let policy = proxy.runtime(&POLICY.replace("quota: 9,", "quota: 900,"));
    let upgrade = [
        ("upgrade", &b"websocket"[..]),
        ("connection", b"keep-alive, Upgrade"),
    ];
    for path in ["/", "/json", "/held"] {
        let (mut stream, flow) = open(&proxy, &policy, path, &upgrade);
        assert_eq!(flow, Flow::Continue, "never held");
        proxy.answer(&mut stream, &[(":status", "101")]);
        assert_eq!(
            give(&proxy, &mut stream, &[0xff; 200_000], false, &mut slice()),
            Flow::Continue,
            "{path}"
        );
    }
    // A request head opens no tunnel without the response, and neither does another response.
    for (head, status) in [
        (&upgrade[..], None),
        (&upgrade, Some("200")),
        (&[("upgrade", b"websocket")], Some("101")),
        (&[("connection", b"upgrade")], Some("101")),
        (&[], Some("101")),
    ] {
        let (mut stream, _) = open(&proxy, &policy, "/", head);
        if let Some(status) = status {
            proxy.answer(&mut stream, &[(":status", status)]);
        }
        assert_eq!(
            give(&proxy, &mut stream, &[0; 100_001], false, &mut slice()),
            Flow::Stop,
            "{head:?} {status:?}"
        );
    }
    let with_body = [&upgrade[..], &[("content-length", b"2")]].concat();
    assert_eq!(
        open(&proxy, &policy, "/held", &with_body).1,
        Flow::Hold,
        "it has a body that can be waited for"
    );
    // A body that was being read when the tunnel began is forwarded.
    let (mut stream, _) = open(&proxy, &policy, "/json", &upgrade);
    assert_eq!(
        give(&proxy, &mut stream, b"not JSON", false, &mut none()),
        Flow::Suspend
    );
    proxy.answer(&mut stream, &[(":status", "101")]);
    assert_eq!(work(&proxy, &mut stream, 1), Step::Resume);
}
