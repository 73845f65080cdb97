//! Files within encodings, each counted.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "a test counts in plain numbers"
)]

use super::*;
use crate::payload::decode::tests::{encodings, gzip};
use crate::payload::zip::tests::archive::{archive, deflated, stored};

const SEED: [u8; 16] = [7; 16];

fn measure<'c>(
    field: &str,
    files: Files,
    chunks: impl IntoIterator<Item = &'c [u8]>,
    limit: u64,
) -> Result<u64, Breach> {
    let mut size = DecodedSize::new(&encodings(field), files, limit, SEED);
    for chunk in chunks {
        feed(&mut size, chunk, &mut |_| Ok(()))?;
    }
    size.finish()
}

/// Decodes a whole chunk, in as many slices as that needs.
fn feed(size: &mut DecodedSize, chunk: &[u8], reader: Reader<'_, Breach>) -> Result<(), Breach> {
    size.offer(chunk);
    while size.advance(&mut Slice::new(1000), reader)? == Progress::Pending {}
    Ok(())
}

/// An archive of 300 bytes with `bytes` inside.
fn zip(bytes: usize) -> Vec<u8> {
    archive(&[deflated("a", &vec![0; bytes])])
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn content_counts_however_it_is_packed() {
    let text = vec![b'a'; 5000];
    let (zipped, zipped_len) = (zip(5000), zip(5000).len() as u64);
    for (name, field, files, body, expected) in [
        ("text", "", Files::Unpack, text.clone(), Ok(5000)),
        ("encoded text", "gzip", Files::Unpack, gzip(&text), Ok(5000)),
        ("an archive", "", Files::Unpack, zipped.clone(), Ok(5000)),
        (
            "an archive left alone",
            "",
            Files::Leave,
            zipped.clone(),
            Ok(zipped_len),
        ),
        (
            "an encoded archive",
            "gzip",
            Files::Unpack,
            gzip(&zipped),
            Ok(5000),
        ),
        (
            "an encoded archive left alone",
            "gzip",
            Files::Leave,
            gzip(&zipped),
            Ok(zipped_len),
        ),
        (
            "an archive twice encoded",
            "gzip, gzip",
            Files::Unpack,
            gzip(&gzip(&zipped)),
            Ok(5000),
        ),
        ("a gzip file", "", Files::Unpack, gzip(&text), Ok(5000)),
        (
            "a gzip file left alone",
            "",
            Files::Leave,
            gzip(&text),
            Ok(gzip(&text).len() as u64),
        ),
        (
            "an encoded gzip file",
            "gzip",
            Files::Unpack,
            gzip(&gzip(&text)),
            Ok(5000),
        ),
        (
            "an archive in a gzip file",
            "",
            Files::Unpack,
            gzip(&zipped),
            Ok(zipped_len),
        ),
        (
            "an archive within an archive",
            "",
            Files::Unpack,
            archive(&[stored("z", &zipped)]),
            { Ok(archive(&[stored("z", &zipped)]).len() as u64) },
        ),
        (
            "the magic of an archive alone",
            "",
            Files::Unpack,
            b"PK\x03\x04".to_vec(),
            Err(Breach::Malformed),
        ),
        (
            "less than that",
            "",
            Files::Unpack,
            b"PK\x03".to_vec(),
            Ok(3),
        ),
        (
            "the magic of gzip alone",
            "",
            Files::Unpack,
            b"\x1f\x8b\x08".to_vec(),
            Err(Breach::Malformed),
        ),
        ("nothing", "", Files::Unpack, vec![], Ok(0)),
        (
            "a truncated archive",
            "",
            Files::Unpack,
            zipped[..40].to_vec(),
            Err(Breach::Malformed),
        ),
    ] {
        for chunk in [1, 3, 7, 100_000] {
            assert_eq!(
                measure(field, files, body.chunks(chunk), u64::MAX),
                expected,
                "{name}, by {chunk}"
            );
        }
    }
}

#[test]
fn one_limit_applies_to_every_stage() {
    let body = gzip(&zip(1_000_000));
    assert_eq!(
        measure("gzip", Files::Unpack, [&body[..]], 1_000_000),
        Ok(1_000_000)
    );
    assert_eq!(
        measure("gzip", Files::Unpack, [&body[..]], 999_999),
        Err(Breach::Over),
        "the entries"
    );
    let stored = archive(&[stored("a", &[0; 1000])]);
    assert_eq!(
        measure("", Files::Unpack, [&stored[..]], 1000),
        Err(Breach::Over),
        "the archive itself"
    );
    assert_eq!(
        measure("", Files::Unpack, [&gzip(&[0; 1000])[..]], 999),
        Err(Breach::Over),
        "a gzip file"
    );
    assert_eq!(
        measure("", Files::Unpack, [&[b'a'; 1000][..]], 999),
        Err(Breach::Over),
        "plain bytes"
    );
}

#[test]
fn a_refused_body_stays_refused() {
    let mut size = DecodedSize::new(&encodings(""), Files::Unpack, 2000, SEED);
    assert_eq!(
        feed(&mut size, &gzip(&[0; 2001]), &mut |_| Ok(())),
        Err(Breach::Over)
    );
    assert_eq!(feed(&mut size, b"", &mut |_| Ok(())), Err(Breach::Over));
    assert_eq!(size.finish(), Err(Breach::Over));
}

#[test]
fn the_sink_receives_the_decoded_body() {
    let zipped = zip(5000);
    let mut size = DecodedSize::new(&encodings("gzip"), Files::Unpack, 5000, SEED);
    let mut seen = Vec::new();
    for chunk in gzip(&zipped).chunks(10) {
        feed(&mut size, chunk, &mut |bytes| {
            seen.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    }
    assert_eq!((size.finish(), seen), (Ok(5000), zipped));
}
