//! Bodies and their bounds, in every chunking.

#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::payload::json::ValueRule;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn measure(
    requirements: &Requirements,
    encoding: &str,
    body: &[u8],
    size: usize,
) -> Result<Measurements, Rejection> {
    let mut meter = BodyMeter::new(
        requirements,
        [encoding.as_bytes()],
        [7; 16],
        &Budget::default(),
    )?;
    for chunk in body.chunks(size) {
        meter.count(chunk.len() as u64)?;
        meter.offer(chunk)?;
        while meter.advance(&mut Slice::new(40))? == Progress::Pending {}
    }
    meter.finish()?;
    Ok(meter.measured())
}

/// The result, which is the same in every chunking.
fn measured(
    requirements: &Requirements,
    encoding: &str,
    body: &[u8],
) -> Result<Measurements, Rejection> {
    let whole = measure(requirements, encoding, body, body.len().max(1));
    for size in 1..body.len().min(70) {
        assert_eq!(
            measure(requirements, encoding, body, size),
            whole,
            "{requirements:?} by {size}"
        );
    }
    whole
}

fn rejected<T>(reason: Reason, max: Option<u64>) -> Result<T, Rejection> {
    Err(Rejection { reason, max })
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).unwrap()
}

fn json(rules: JsonRules) -> Option<Arc<JsonRules>> {
    Some(Arc::new(rules))
}

#[test]
fn bytes_are_those_sent_and_nothing_reads_them() {
    let requirements = Requirements {
        bytes: Some(5),
        ..Requirements::default()
    };
    assert!(
        !BodyMeter::new(
            &requirements,
            [&b"unheard-of"[..]],
            [0; 16],
            &Budget::default()
        )
        .unwrap()
        .reads()
    );
    assert_eq!(measured(&requirements, "", b"12345").unwrap().bytes, 5);
    assert_eq!(
        measured(&requirements, "", b"123456"),
        rejected(Reason::Bytes, Some(5))
    );
    let small = gzip(&[b'x'; 999]);
    let requirements = Requirements {
        bytes: Some(small.len() as u64),
        ..Requirements::default()
    };
    assert_eq!(
        measured(&requirements, "gzip", &small).unwrap().bytes,
        small.len() as u64
    );
}

#[test]
fn decoded_bytes_are_those_that_come_out() {
    let requirements = |max| Requirements {
        decoded_bytes: Some(max),
        ..Requirements::default()
    };
    for (encoding, body) in [
        ("", gzip(&[b'x'; 999])),
        ("gzip", gzip(&[b'x'; 999])),
        ("x-gzip, gzip", gzip(&gzip(&[b'x'; 999]))),
    ] {
        assert!(
            measured(&requirements(999), encoding, &body).is_ok(),
            "{encoding}"
        );
        assert_eq!(
            measured(&requirements(998), encoding, &body),
            rejected(Reason::DecodedBytes, Some(998)),
            "{encoding}"
        );
        let cut = &body[..body.len() - 1];
        assert_eq!(
            measured(&requirements(999), encoding, cut),
            rejected(Reason::MalformedEncoding, None),
            "{encoding}"
        );
    }
    assert_eq!(
        measured(&requirements(9), "compress", b"x"),
        rejected(Reason::UnsupportedEncoding, None)
    );
    assert!(
        measured(&requirements(9), "gzip", b"").is_ok(),
        "an empty body has no encoding"
    );
}

#[test]
fn json_is_measured_as_it_decodes_and_bounded_where_nothing_else_bounds_it() {
    let rule = ValueRule {
        at: path("/data"),
        bytes: 4,
    };
    let rules = json(JsonRules {
        value: Some(rule),
        ..JsonRules::default()
    });
    let requirements = Requirements {
        json: rules,
        ..Requirements::default()
    };
    for (body, answer) in [
        (&br#"{"data":"ab"}"#[..], Ok(())),
        (br#"{"data":"abc"}"#, rejected(Reason::ValueBytes, Some(4))),
        (br#"{"data":"ab""#, rejected(Reason::MalformedJson, None)),
        (b"", Ok(())),
        (b" ", rejected(Reason::MalformedJson, None)),
    ] {
        assert_eq!(measured(&requirements, "", body).map(|_| ()), answer);
        if !body.is_empty() {
            assert_eq!(
                measured(&requirements, "gzip", &gzip(body)).map(|_| ()),
                answer
            );
        }
    }
    assert_eq!(
        measured(&requirements, "compress", b"{}"),
        rejected(Reason::UnsupportedEncoding, None)
    );
    let blank = vec![b' '; 100];
    let by_bytes = Requirements {
        bytes: Some(99),
        ..requirements
    };
    assert_eq!(
        measured(&by_bytes, "gzip", &gzip(&blank)),
        rejected(Reason::DecodedBytes, Some(99))
    );
}

#[test]
fn a_cost_is_counted_and_never_refused() {
    let requirements = Requirements {
        lines: true,
        items: vec![path("/a"), path("")],
        ..Requirements::default()
    };
    let body = b"{\"a\":\n# c\n[1,2]}\n";
    let counted = |encoding, body: &[u8]| {
        let measured = measured(&requirements, encoding, body).unwrap();
        (measured.lines, measured.items)
    };
    assert_eq!(
        counted("", b"{\"a\":\n\n[1,2]}\n"),
        (Some(2), vec![Some(2), None])
    );
    assert_eq!(
        counted("gzip", &gzip(b"[1,2,\n3]")),
        (Some(2), vec![None, Some(3)])
    );
    assert_eq!(
        counted("", body),
        (Some(2), vec![None, None]),
        "a comment is no JSON"
    );
    assert_eq!(
        counted("compress", body),
        (None, vec![]),
        "no reader can decode it"
    );
    assert_eq!(counted("gzip", b"no gzip").0, Some(0));
}
