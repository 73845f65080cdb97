//! Bodies that no decoder accepts: wrong checksums and sizes, and unsupported features.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn gzip_members_and_zstd_frames_are_concatenated_and_nothing_else_may_follow() {
    let (one, two) = (text(50), text(60));
    let both = [one.clone(), two.clone()].concat();
    let skippable = b"\x53\x2a\x4d\x18\x03\0\0\0abc";
    let empty = b"\x50\x2a\x4d\x18\0\0\0\0";
    for (field, body, expected) in [
        (
            "gzip",
            [gzip(&one), gzip(b""), gzip(&two)].concat(),
            Ok(&both),
        ),
        (
            "zstd",
            [skippable, &zstd(&one)[..], empty, &zstd(&two), skippable].concat(),
            Ok(&both),
        ),
        (
            "gzip",
            [gzip(&one), vec![0; 20]].concat(),
            Err(Breach::Malformed),
        ),
        (
            "gzip",
            [gzip(&one), vec![0x1f]].concat(),
            Err(Breach::Malformed),
        ),
        (
            "zstd",
            [&zstd(&one)[..], b"abcd"].concat(),
            Err(Breach::Malformed),
        ),
        (
            "zstd",
            [&zstd(&one)[..], &empty[..7]].concat(),
            Err(Breach::Malformed),
        ),
        (
            "deflate",
            [zlib(&one), vec![0]].concat(),
            Err(Breach::Malformed),
        ),
        (
            "deflate",
            [raw(&one), vec![0]].concat(),
            Err(Breach::Malformed),
        ),
        (
            "br",
            [brotli(&one), vec![0]].concat(),
            Err(Breach::Malformed),
        ),
    ] {
        assert_eq!(
            whole(field, &body).as_ref(),
            expected.as_ref().copied(),
            "{field}"
        );
        assert_eq!(
            decode(field, body.chunks(1)).as_ref(),
            expected.as_ref().copied(),
            "{field}, byte by byte"
        );
    }
}

#[test]
fn checksums_and_sizes_must_be_right() {
    let text = text(300);
    let flipped = |mut body: Vec<u8>, from_end: usize| {
        let at = body.len() - from_end;
        body[at] ^= 1;
        body
    };
    for (field, body) in [
        ("gzip", flipped(gzip(&text), 8)),
        ("gzip", flipped(gzip(&text), 1)),
        ("deflate", flipped(zlib(&text), 1)),
        ("zstd", flipped(unhex(ZSTD_BY_REFERENCE), 1)),
    ] {
        assert_eq!(whole(field, &body), Err(Breach::Malformed), "{field}");
    }
    let mut header = b"\x1f\x8b\x08\x02\0\0\0\0\0\xff".to_vec();
    let crc = crc32fast::hash(&header) as u16;
    header.extend(crc.to_le_bytes());
    let rest = gzip_rest(&text);
    assert_eq!(
        whole("gzip", &[header.clone(), rest.clone()].concat()).as_ref(),
        Ok(&text),
        "a header's checksum"
    );
    assert_eq!(
        whole("gzip", &[flipped(header, 1), rest.clone()].concat()),
        Err(Breach::Malformed)
    );
    let reserved = b"\x1f\x8b\x08\x20\0\0\0\0\0\xff";
    assert_eq!(
        whole("gzip", &[&reserved[..], &rest].concat()),
        Err(Breach::Malformed),
        "a reserved flag"
    );
    let sized = |size: u8| [b"\x28\xb5\x2f\xfd\x20".as_slice(), &[size], b"\x11\0\0ab"].concat();
    assert_eq!(whole("zstd", &sized(2)), Ok(b"ab".to_vec()));
    assert_eq!(
        whole("zstd", &sized(3)),
        Err(Breach::Malformed),
        "a frame shorter than it says"
    );
}

/// The data and the trailer of a gzip member.
fn gzip_rest(bytes: &[u8]) -> Vec<u8> {
    [
        raw(bytes),
        crc32fast::hash(bytes).to_le_bytes().to_vec(),
        (bytes.len() as u32).to_le_bytes().to_vec(),
    ]
    .concat()
}

#[test]
fn zstd_frames_with_too_large_a_window_or_a_dictionary_are_unsupported() {
    // The exponent is in the upper five bits, in addition to 2^10.
    for (descriptor, expected) in [
        (13 << 3, Ok(b"ab".to_vec())),
        (13 << 3 | 1, Err(Breach::Unsupported)),
    ] {
        let frame = [
            b"\x28\xb5\x2f\xfd\0".as_slice(),
            &[descriptor],
            b"\x11\0\0ab",
        ]
        .concat();
        assert_eq!(whole("zstd", &frame), expected, "{descriptor:x}");
    }
    assert_eq!(
        whole("zstd", b"\x28\xb5\x2f\xfd\x21\x07\x02\x11\0\0ab"),
        Err(Breach::Unsupported),
        "a dictionary"
    );
    assert_eq!(
        whole("zstd", b"\x28\xb5\x2f\xfd\x28\x02\x11\0\0ab"),
        Err(Breach::Malformed),
        "a reserved bit"
    );
    assert_eq!(
        whole("zstd", b"\x28\xb5\x2f\xfd\x20\x02\x17\0\0ab"),
        Err(Breach::Malformed),
        "a reserved block"
    );
}

#[test]
fn brotli_with_a_large_window_is_malformed() {
    let parameters = ::brotli::enc::BrotliEncoderParams {
        lgwin: 25,
        large_window: true,
        ..Default::default()
    };
    let mut body = Vec::new();
    ::brotli::BrotliCompress(&mut &text(300)[..], &mut body, &parameters).unwrap();
    assert_eq!(whole("br", &body), Err(Breach::Malformed));
}
