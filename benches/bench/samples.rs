//! Bodies to upload: a record as JSON, and the same in each encoding.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The number of blocks in a record of one megabyte.
const BLOCKS_PER_MB: usize = 5_000;
/// The megabytes that compress to about one.
const MB_DECODED: usize = 5;

/// Bodies of about the same size.
pub(crate) struct Samples {
    pub(crate) json: Vec<u8>,
    /// The decoded size of an encoded body.
    pub(crate) decoded: usize,
    pub(crate) gzip: Vec<u8>,
    pub(crate) zip: Vec<u8>,
    pub(crate) brotli: Vec<u8>,
    pub(crate) zstd: Vec<u8>,
}

impl Samples {
    pub(crate) fn of(megabytes: usize) -> Self {
        let text = record(MB_DECODED);
        Self {
            json: record(megabytes),
            decoded: megabytes * text.len(),
            // Members, entries and frames may be concatenated.
            gzip: gzip(&text).repeat(megabytes),
            zip: archive(&text, megabytes),
            brotli: brotli(&text, megabytes),
            zstd: compress_to_vec(text.as_slice(), CompressionLevel::Fastest).repeat(megabytes),
        }
    }
}

/// Lines of words, each with an id: text that compresses to less than half.
pub(crate) fn lines(bytes: usize) -> Vec<u8> {
    let mut words = Words(1);
    let mut text = String::new();
    while text.len() < bytes {
        let (some, id) = (words.some(5), words.id());
        writeln!(text, "{id} {some}").unwrap();
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// A record of about this many megabytes as in a content management API: nested blocks, six deep.
pub(crate) fn record(megabytes: usize) -> Vec<u8> {
    const DEPTH: usize = 6;
    let blocks = megabytes * BLOCKS_PER_MB;
    let mut words = Words(1);
    let mut text = "{\"data\":{\"type\":\"item\",\"attributes\":{\"blocks\":[".to_owned();
    for block in 0..blocks {
        if block > 0 && block % DEPTH == 0 {
            text.push(',');
        }
        let (id, title) = (words.id(), words.some(6));
        write!(
            text,
            "{{\"type\":\"item\",\"id\":\"{id}\",\
             \"relationships\":{{\"item_type\":{{\"data\":{{\"id\":\"text\"}}}}}},\
             \"attributes\":{{\"title\":\"{title}\",\"position\":{block},\"blocks\":["
        )
        .unwrap();
        if block % DEPTH == DEPTH - 1 || block + 1 == blocks {
            text.push_str(&"]}}".repeat(block % DEPTH + 1));
        }
    }
    text.push_str("]}}}");
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
    text.into_bytes()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A ZIP archive with this number of entries.
fn archive(text: &[u8], entries: usize) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in 0..entries {
        archive
            .start_file(format!("record-{entry}.json"), SimpleFileOptions::default())
            .unwrap();
        archive.write_all(text).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// One stream that repeats the text, each time too far from the last to be copied from it.
fn brotli(text: &[u8], times: usize) -> Vec<u8> {
    const QUALITY: u32 = 3;
    const WINDOW_BITS: u32 = 20;
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 64 * 1_024, QUALITY, WINDOW_BITS);
    for _ in 0..times {
        encoder.write_all(text).unwrap();
    }
    encoder.into_inner()
}

/// Words that compress about as well as text.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// As long as an identifier of 128 bits, which does not compress.
    fn id(&mut self) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..22)
            .map(|_| char::from(DIGITS[(self.next() >> 20) as usize % 64]))
            .collect()
    }

    fn some(&mut self, count: usize) -> String {
        const SYLLABLES: [&str; 16] = [
            "ma", "ter", "in", "on", "a", "re", "con", "tion", "al", "ver", "so", "ly", "qui",
            "est", "pro", "u",
        ];
        let mut text = String::new();
        for number in 0..count {
            if number > 0 {
                text.push(' ');
            }
            // Small numbers occur more often.
            let word = (self.next() % 40) * (self.next() % 40);
            for digit in [word % 16, word / 16 % 16, word / 256] {
                text.push_str(SYLLABLES[digit as usize]);
            }
        }
        text
    }
}
