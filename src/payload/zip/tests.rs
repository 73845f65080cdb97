//! Archives of every form, valid and invalid.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test counts in plain numbers"
)]

pub(crate) mod archive;
mod malformed;

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::payload::decode::tests::raw;
use archive::{File, Tail, archive, deflated, end, parts, stored, zip64_end};

const SEED: [u8; 16] = *b"0123456789abcdef";
const MALFORMED: Result<u64, Breach> = Err(Breach::Malformed);
const UNSUPPORTED: Result<u64, Breach> = Err(Breach::Unsupported);

fn measure<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, limit: u64) -> Result<u64, Breach> {
    let mut zip = Zip::new(limit, SEED);
    chunks
        .into_iter()
        .try_for_each(|chunk| feed(&mut zip, chunk))?;
    zip.finish()
}

/// Decodes a whole chunk, in as many steps as that needs.
fn feed(zip: &mut Zip, mut chunk: &[u8]) -> Result<(), Breach> {
    let mut work = Work::default();
    loop {
        work.begin_step();
        if zip.step(&mut chunk, &mut work)? == Step::NeedsInput && chunk.is_empty() {
            return Ok(());
        }
    }
}

fn whole(archive: &[u8]) -> Result<u64, Breach> {
    measure([archive], u64::MAX)
}

/// An archive with this central directory and end.
fn with_directory(locals: &[u8], centrals: &[Vec<u8>]) -> Vec<u8> {
    let directory = centrals.concat();
    [
        locals,
        &directory,
        &end(centrals.len(), directory.len(), locals.len(), b""),
    ]
    .concat()
}

fn three() -> Vec<File> {
    vec![
        stored("a", b"one"),
        deflated("b/", b""),
        deflated("b/c", &[7; 1000]),
    ]
}

/// Every form of an entry that can be measured.
fn every_form() -> Vec<File> {
    let tails = [Tail::Narrow, Tail::Wide, Tail::BareNarrow, Tail::BareWide];
    let mut files = three();
    files.push(File {
        data: vec![],
        ..deflated("d/", b"")
    });
    files.extend(tails.map(|tail| deflated("e", b"eeeeeeee").with(tail)));
    files.extend(
        [Tail::Narrow, Tail::Wide].map(|tail| stored("f", b"PKPK\x07\x08 is P \0P").with(tail)),
    );
    files.extend([deflated("g", b"gg").wide(), stored("h", b"hh").wide()]);
    files.extend([Tail::Wide, Tail::BareWide].map(|tail| deflated("i", b"ii").wide().with(tail)));
    files.extend([
        deflated("j", b"").with(Tail::Wide).wide(),
        deflated("k", b"").with(Tail::Narrow),
    ]);
    files.extend([
        stored("l", b"").with(Tail::Narrow),
        stored("m", b"").with(Tail::Wide).wide(),
    ]);
    files
}

#[test]
fn entries_of_every_form_are_measured_in_any_chunks() {
    let files = every_form();
    let size = files.iter().map(|file| file.size).sum();
    let body = archive(&files);
    assert_eq!(whole(&body), Ok(size));
    for at in 0..body.len() {
        let (first, second) = body.split_at(at);
        assert_eq!(measure([first, second], size), Ok(size), "split at {at}");
    }
    assert_eq!(measure(body.chunks(1), size), Ok(size));
    assert_eq!(measure(body.chunks(1), size - 1), Err(Breach::Over));
}

#[test]
fn an_archive_that_ends_too_soon_is_malformed() {
    let body = archive(&every_form());
    for length in 0..body.len() {
        assert_eq!(
            whole(&body[..length]),
            MALFORMED,
            "{length} of {}",
            body.len()
        );
    }
}

#[test]
fn archives_of_a_common_writer_are_measured() {
    let options = |method| ::zip::write::SimpleFileOptions::default().compression_method(method);
    let text = b"some text ".repeat(10_000);
    for (method, is_large) in [
        (::zip::CompressionMethod::Stored, false),
        (::zip::CompressionMethod::Deflated, true),
    ] {
        let mut streamed = ::zip::ZipWriter::new_stream(Vec::new());
        let mut seekable = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        streamed
            .start_file("a/text", options(method).large_file(is_large))
            .unwrap();
        streamed.write_all(&text).unwrap();
        streamed.add_directory("b", options(method)).unwrap();
        seekable.set_comment("a comment").unwrap();
        seekable.add_directory("a", options(method)).unwrap();
        seekable
            .start_file("a/text", options(method).large_file(is_large))
            .unwrap();
        seekable.write_all(&text).unwrap();
        for body in [
            streamed.finish().unwrap().into_inner(),
            seekable.finish().unwrap().into_inner(),
        ] {
            assert_eq!(
                measure(body.chunks(1000), u64::MAX),
                Ok(100_000),
                "{method:?}"
            );
        }
    }
}

#[test]
fn the_end_may_be_wide_have_a_comment_or_be_alone() {
    let (locals, centrals) = parts(&three());
    let directory = centrals.concat();
    let wide = zip64_end(3, directory.len(), locals.len());
    let narrow = end(3, directory.len(), locals.len(), b"PK\x05\x06 is a comment");
    for (end, expected) in [
        (narrow.clone(), Ok(1003)),
        (wide.clone(), Ok(1003)),
        ([&wide[..76], &narrow].concat(), Ok(1003)),
        (wide[..76].to_vec(), MALFORMED),
        ([&wide[..56], &narrow].concat(), MALFORMED),
        (wide[56..].to_vec(), MALFORMED),
        ([&wide[..56], &wide].concat(), MALFORMED),
        (zip64_end(2, directory.len(), locals.len()), MALFORMED),
        (zip64_end(3, directory.len() + 1, locals.len()), MALFORMED),
        (zip64_end(3, directory.len(), locals.len() - 1), MALFORMED),
        (
            [&wide[..76], &end_of(3, directory.len(), locals.len() + 1)].concat(),
            MALFORMED,
        ),
        (end_of(2, directory.len(), locals.len()), MALFORMED),
        (end_of(3, directory.len() - 1, locals.len()), MALFORMED),
        (end_of(3, directory.len(), locals.len() + 1), MALFORMED),
        ([narrow.clone(), vec![0]].concat(), MALFORMED),
        ([&narrow[..], &archive(&three())].concat(), MALFORMED),
    ] {
        let body = [&locals[..], &directory, &end].concat();
        assert_eq!(whole(&body), expected, "{end:x?}");
    }
    assert_eq!(whole(&archive(&[])), Ok(0), "an archive without entries");
    assert_eq!(
        whole(&zip64_end(0, 0, 0)),
        Ok(0),
        "the same with a wide end"
    );
    assert_eq!(whole(&[archive(&[]), vec![0]].concat()), MALFORMED);
}

fn end_of(records: usize, bytes: usize, offset: usize) -> Vec<u8> {
    end(records, bytes, offset, b"")
}

#[test]
fn a_bomb_is_refused_at_the_limit_over_all_its_entries() {
    let tenth = [0; 100_000];
    let files: Vec<File> = (0..100).map(|_| deflated("zeros", &tenth)).collect();
    let body = archive(&files);
    assert!(body.len() < 60_000, "{}", body.len());
    assert_eq!(measure(body.chunks(1000), 10_000_000), Ok(10_000_000));
    let mut zip = Zip::new(1_050_000, SEED);
    assert_eq!(feed(&mut zip, &body), Err(Breach::Over));
    assert!(zip.bytes() <= 1_050_000 + 32 * 1024, "{}", zip.bytes());
    assert_eq!(feed(&mut zip, b"more"), Err(Breach::Over));
    assert_eq!(zip.finish(), Err(Breach::Over));
}

#[test]
fn the_first_bytes_identify_an_archive() {
    for (first, expected) in [
        (&b""[..], FormatMatch::Incomplete),
        (b"P", FormatMatch::Incomplete),
        (b"PK\x05", FormatMatch::Incomplete),
        (b"PK\x03\x04", FormatMatch::Yes),
        (b"PK\x05\x06\0", FormatMatch::Yes),
        (b"PK\x03\x06", FormatMatch::No),
        (b"PKPK", FormatMatch::No),
        (b"MZ", FormatMatch::No),
    ] {
        assert_eq!(is_zip(first), expected, "{first:?}");
    }
}

/// Data that nearly contains descriptors.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'P'),
        Just(b'K'),
        Just(7),
        Just(8),
        Just(0),
        any::<u8>()
    ];
    prop::collection::vec(byte, 0..300)
}

fn file() -> impl Strategy<Value = File> {
    let tail = prop::sample::select(vec![Tail::Missing, Tail::Narrow, Tail::Wide]);
    (data(), any::<bool>(), any::<bool>(), tail).prop_map(|(data, is_stored, is_zip64, tail)| {
        let file = if is_stored {
            stored("name", &data)
        } else {
            deflated("other name", &data)
        };
        let file = if is_zip64 { file.wide() } else { file };
        match tail {
            Tail::Missing => file,
            Tail::Narrow | Tail::BareNarrow if !is_zip64 => file.with(tail),
            Tail::Narrow | Tail::Wide | Tail::BareNarrow | Tail::BareWide => file.with(Tail::Wide),
        }
    })
}

proptest! {
    #[test]
    fn any_archive_is_measured_in_any_chunks(
        files in prop::collection::vec(file(), 0..8),
        chunk in 1_usize..100,
    ) {
        // An empty entry may have a narrow descriptor that is the beginning of a wide one.
        prop_assume!(
            files
                .iter()
                .all(|file| file.tail != Tail::Wide || file.is_zip64 || file.size > 0)
        );
        let size = files.iter().map(|file| file.size).sum();
        let body = archive(&files);
        prop_assert_eq!(measure(body.chunks(chunk), size), Ok(size));
    }

    #[test]
    fn a_mutated_archive_is_measured_the_same_in_any_chunks(
        files in prop::collection::vec(file(), 0..4),
        chunk in 1_usize..100,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = archive(&files);
        for (at, byte) in mutations {
            let at = at.index(body.len());
            body[at] = byte;
        }
        prop_assert_eq!(measure(body.chunks(chunk), 500), measure([&body[..]], 500));
    }

    #[test]
    fn random_records_never_panic(
        parts in prop::collection::vec(
            (0..5_usize, prop::collection::vec(any::<u8>(), 0..80)),
            0..10,
        ),
    ) {
        const SIGNATURES: [&[u8]; 5] = [
            b"PK\x03\x04",
            b"PK\x01\x02",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
        ];
        let body: Vec<u8> = parts
            .into_iter()
            .flat_map(|(which, rest)| [SIGNATURES[which], &rest].concat())
            .collect();
        let _ = whole(&body);
    }
}
