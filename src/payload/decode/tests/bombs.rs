//! Bodies that decode to far more than the limit, in the last stage or in an earlier one.

use super::*;

const LIMIT: u64 = 10_000_000;
/// The decoded size of a bomb.
const BOMB: u64 = 200_000_000;

/// Encodes `bytes` zeros, a chunk at a time.
fn zeros(field: &str, bytes: u64) -> Vec<u8> {
    let chunk = vec![0; 1_000_000];
    let fill = |encoder: &mut dyn std::io::Write| {
        for _ in 0..bytes / 1_000_000 {
            encoder.write_all(&chunk).unwrap();
        }
    };
    match field {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
            fill(&mut encoder);
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
            fill(&mut encoder);
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 2, 22);
            fill(&mut encoder);
            encoder.into_inner()
        }
        _ => {
            // Runs of 128 KiB, four bytes each, in a window of 8 MiB.
            let run = 128 * 1024;
            let blocks = bytes / run;
            let header =
                |last: u32| ((run as u32) << 3 | 1 << 1 | last).to_le_bytes()[..3].to_vec();
            let mut body = b"\x28\xb5\x2f\xfd\0\x68".to_vec();
            for _ in 1..blocks {
                body.extend([header(0), vec![0]].concat());
            }
            body.extend([header(1), vec![0]].concat());
            body
        }
    }
}

/// Feeds chunks until one breaches; returns the result and the number of bytes passed to the sink.
fn burst(field: &str, body: &[u8], limit: u64) -> (Result<(), Breach>, u64) {
    let mut decoder = DecodedSize::new(&encodings(field), Files::Leave, limit, [7; 16]);
    let mut given = 0;
    let fed = body.chunks(16 * 1024).try_for_each(|chunk| {
        feed::<Breach>(&mut decoder, chunk, &mut |bytes| {
            given += count(bytes);
            Ok(())
        })
    });
    assert!(
        decoder.bytes() <= limit + count(&[0; SLICE_MAX]),
        "{field}: {} bytes",
        decoder.bytes()
    );
    (fed.and_then(|()| decoder.finish().map(|_| ())), given)
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    for field in ["gzip", "deflate", "br", "zstd"] {
        let (breach, given) = burst(field, &zeros(field, BOMB), LIMIT);
        assert_eq!(breach, Err(Breach::Over), "{field}");
        assert!(given <= LIMIT, "{field}: {given}");
    }
}

#[test]
fn the_limit_itself_is_admitted_and_one_byte_more_is_not() {
    for (field, encode) in ENCODERS {
        let body = encode(&text(100_000));
        assert_eq!(burst(field, &body, 100_000), (Ok(()), 100_000), "{field}");
        assert_eq!(burst(field, &body, 99_999).0, Err(Breach::Over), "{field}");
    }
    assert_eq!(burst("", b"abc", 3), (Ok(()), 3));
    assert_eq!(burst("", b"abc", 2), (Err(Breach::Over), 0));
}

#[test]
fn a_bomb_in_a_bomb_is_refused_at_the_limit() {
    for (inner, outer) in [
        ("gzip", "gzip"),
        ("gzip", "br"),
        ("br", "zstd"),
        ("zstd", "gzip"),
        ("zstd", "zstd"),
    ] {
        let encode = ENCODERS
            .iter()
            .find(|(field, _)| *field == outer)
            .unwrap()
            .1;
        let body = encode(&zeros(inner, BOMB));
        let (breach, given) = burst(&format!("{inner}, {outer}"), &body, LIMIT);
        assert_eq!(
            breach,
            Err(Breach::Over),
            "{inner} in {outer}: {} bytes",
            body.len()
        );
        assert!(given <= LIMIT, "{given}");
    }
}

#[test]
fn a_stage_that_expands_is_refused_even_if_the_final_output_is_empty() {
    // Empty stored blocks and skippable frames both compress to a thousandth, and decode to
    // nothing.
    let mut blocks = [0, 0, 0, 0xff, 0xff].repeat(4_000_000);
    blocks.extend([1, 0, 0, 0xff, 0xff]);
    let frames = b"\x50\x2a\x4d\x18\0\0\0\0".repeat(2_000_000);
    for (inner, body) in [("deflate", blocks), ("zstd", frames)] {
        let field = format!("{inner}, gzip");
        let body = gzip(&body);
        assert!(body.len() < 100_000, "{}", body.len());
        for limit in [LIMIT, 10 * LIMIT] {
            assert_eq!(
                burst(&field, &body, limit),
                (Err(Breach::Malformed), 0),
                "{field}"
            );
        }
    }
}
