//! Bodies made to cost much, compared with ordinary ones: the work of each is bounded by its size.

#![allow(clippy::arithmetic_side_effects, reason = "test code")]

use std::io::Write as _;

use super::tests::gzip;
use super::*;
use crate::payload::slice::Slice;

/// Units per callback in these tests. Small, so that the number of slices measures the work.
const UNITS: u64 = 50_000;

/// The bits of a deflated stream, padded to a byte.
fn bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text
        .bytes()
        .filter(|bit| *bit != b' ')
        .map(|bit| bit - b'0')
        .collect();
    bits.chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |number, bit| number << 1 | bit))
        .collect()
}

/// `times` groups of four empty blocks of fixed codes, and a last one.
fn empty_blocks(times: usize) -> Vec<u8> {
    [bits(&"0100000000".repeat(4)).repeat(times), vec![3, 0]].concat()
}

/// A gzip member with this deflated stream, which decodes to nothing.
fn member(deflated: &[u8]) -> Vec<u8> {
    [b"\x1f\x8b\x08\0\0\0\0\0\0\xff", deflated, &[0; 8]].concat()
}

/// A ZIP archive of one empty entry with this deflated stream.
fn archive(deflated: &[u8]) -> Vec<u8> {
    let size = u32::try_from(deflated.len()).unwrap().to_le_bytes();
    let fields = [
        b"\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".as_slice(),
        &size,
        &[0; 4],
        b"\x01\0\0\0",
    ]
    .concat();
    let local = [b"PK\x03\x04".as_slice(), &fields, b"a", deflated].concat();
    let central = [b"PK\x01\x02\x14\0".as_slice(), &fields, &[0; 14], b"a"].concat();
    let at = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let end = [
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0".as_slice(),
        &at(central.len()),
        &at(local.len()),
        &[0; 2],
    ]
    .concat();
    [local, central, end].concat()
}

/// The result of a body, and the units of work that it took.
fn measure(
    requirements: &Requirements,
    encodings: &str,
    body: &[u8],
) -> (Result<Measurements, Rejection>, u64) {
    let mut slices = 0;
    let mut run = || {
        let mut meter = BodyMeter::new(
            requirements,
            [encodings.as_bytes()],
            [7; 16],
            &Budget::default(),
        )?;
        for chunk in body.chunks(16 * 1024) {
            meter.count(chunk.len() as u64)?;
            meter.offer(chunk)?;
            loop {
                slices += 1;
                if meter.advance(&mut Slice::new(UNITS))? == Progress::Idle {
                    break;
                }
            }
        }
        meter.finish()?;
        Ok(meter.measured())
    };
    let ended = run();
    (ended, slices * UNITS)
}

fn decoded(max: u64) -> Requirements {
    Requirements {
        decoded_bytes: Some(max),
        ..Requirements::default()
    }
}

#[test]
fn blocks_that_hold_nothing_are_refused_however_they_are_packed() {
    let blocks = empty_blocks(400_000);
    assert_eq!(blocks.len(), 2_000_002);
    for (name, encodings, body) in [
        ("gzip in gzip", "gzip, gzip", gzip(&gzip(&member(&blocks)))),
        ("a gzip file in gzip", "gzip", gzip(&member(&blocks))),
        ("an archive in gzip", "gzip", gzip(&archive(&blocks))),
        (
            "three times gzip",
            "gzip, gzip, gzip",
            gzip(&gzip(&gzip(&member(&blocks)))),
        ),
    ] {
        assert!(body.len() < 10_000, "{name}: {}", body.len());
        let (ended, units) = measure(&decoded(100_000_000), encodings, &body);
        assert_eq!(
            ended.map_err(|rejection| rejection.reason),
            Err(Reason::MalformedEncoding),
            "{name}"
        );
        assert!(units < 1_500_000, "{name}: {units}");
    }
}

#[test]
fn members_records_and_frames_without_content_are_refused_once_they_are_many() {
    let members = member(&[3, 0]).repeat(200_000);
    let frames = b"\x28\xb5\x2f\xfd\x20\0\x01\0\0".repeat(200_000);
    let stored = [&[0, 0, 0, 0xff, 0xff].repeat(500_000)[..], &[3, 0]].concat();
    for (name, encodings, body) in [
        ("members", "gzip, gzip", gzip(&members)),
        ("frames", "zstd, gzip", gzip(&frames)),
        ("stored blocks", "deflate, gzip", gzip(&stored)),
        (
            "skipped frames",
            "zstd, gzip",
            gzip(&b"\x50\x2a\x4d\x18\0\0\0\0".repeat(500_000)),
        ),
    ] {
        let (ended, units) = measure(&decoded(100_000_000), encodings, &body);
        assert_eq!(
            ended.map_err(|rejection| rejection.reason),
            Err(Reason::MalformedEncoding),
            "{name}"
        );
        assert!(units < 3_000_000, "{name}: {units}");
    }
}

/// A text that compresses to a few bytes per line.
fn lines() -> Vec<u8> {
    (0..40_000)
        .flat_map(|line: u32| {
            let (number, hash) = (line * line % 977, line.wrapping_mul(2_654_435_761));
            format!("{{\"line\":{number},\"at\":\"{hash:x}\"}}\n").into_bytes()
        })
        .collect()
}

/// Encodes `text`, and flushes the encoder after `every` bytes.
fn gzip_flushed(text: &[u8], level: u32, every: usize) -> Vec<u8> {
    let level = flate2::Compression::new(level);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    for part in text.chunks(every) {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

fn brotli_flushed(text: &[u8], quality: u32, every: usize) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, quality, 22);
    for part in text.chunks(every) {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.into_inner()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Each piece of this size encoded alone, one after the other.
fn in_pieces(text: &[u8], size: usize, encode: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    text.chunks(size).flat_map(encode).collect()
}

#[test]
fn output_of_real_encoders_is_never_refused_for_its_work() {
    let text = lines();
    let whole = usize::MAX;
    let mut bodies = vec![
        ("gzip", in_pieces(&text, 100, gzip)),
        ("zstd", in_pieces(&text, 1000, zstd)),
        ("gzip, gzip, gzip, gzip", gzip(&gzip(&gzip(&gzip(&text))))),
        (
            "gzip, zstd, br",
            brotli_flushed(&zstd(&gzip(&text)), 5, whole),
        ),
    ];
    for level in 0..10 {
        bodies.push(("gzip", gzip_flushed(&text, level, whole)));
    }
    for level in [1, 6, 9] {
        bodies.push(("gzip", gzip_flushed(&text, level, 100)));
    }
    for quality in [0, 1, 5, 9, 11] {
        bodies.push(("br", brotli_flushed(&text, quality, whole)));
    }
    for quality in [1, 5] {
        bodies.push(("br", brotli_flushed(&text, quality, 100)));
    }
    for (number, (encodings, body)) in bodies.iter().enumerate() {
        let (ended, units) = measure(&decoded(100_000_000), encodings, body);
        assert!(
            ended.is_ok(),
            "body {number}, {encodings}: {ended:?} of {} bytes after {units}",
            body.len()
        );
    }
}

#[test]
fn an_archive_of_many_small_files_is_measured_also_within_gzip() {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = ::zip::write::SimpleFileOptions::default();
    for number in 0..5_000 {
        use std::io::Write as _;
        writer
            .start_file(format!("package/module{number}/__init__.py"), options)
            .unwrap();
        writer
            .write_all(if number % 3 == 0 { b"import os\n" } else { b"" })
            .unwrap();
    }
    let archive = writer.finish().unwrap().into_inner();
    for (encodings, body) in [("", archive.clone()), ("gzip", gzip(&archive))] {
        let (ended, units) = measure(&decoded(100_000_000), encodings, &body);
        assert!(
            ended.is_ok(),
            "{encodings}: {ended:?} of {} bytes after {units}",
            body.len()
        );
    }
}

#[test]
fn any_slice_gives_the_same_answer() {
    let text = b"[1,2,3]".repeat(3_000);
    let body = gzip(&gzip(&text));
    let run = |units| {
        let requirements = Requirements {
            lines: true,
            items: vec![JsonPath::parse("").unwrap()],
            ..decoded(1_000_000)
        };
        let mut meter = BodyMeter::new(
            &requirements,
            [&b"gzip, gzip"[..]],
            [7; 16],
            &Budget::default(),
        )
        .unwrap();
        for chunk in body.chunks(100) {
            meter.offer(chunk).unwrap();
            while meter.advance(&mut Slice::new(units)).unwrap() == Progress::Pending {}
        }
        meter.finish().unwrap();
        meter.measured()
    };
    assert_eq!(run(1), run(u64::MAX));
    assert_eq!(run(70_000), run(u64::MAX));
}

#[test]
fn a_window_that_fills_is_work_even_without_output() {
    // A frame with a window of 8 MiB, and runs of 128 KiB of zeros that nearly fill it.
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    let run = [0x02, 0, 0x10, 0];
    let body = [&head[..], &run.repeat(63)].concat();
    let mut meter = BodyMeter::new(
        &decoded(100_000_000),
        [&b"zstd"[..]],
        [7; 16],
        &Budget::default(),
    )
    .unwrap();
    meter.offer(&body).unwrap();
    assert_eq!(
        meter.advance(&mut Slice::new(Slice::UNITS)),
        Ok(Progress::Pending)
    );
    assert_eq!(
        meter.advance(&mut Slice::new(Slice::UNITS)),
        Ok(Progress::Idle)
    );
}
