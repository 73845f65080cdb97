use proptest::prelude::*;

use super::PathBuffer;

fn read(raw: &[u8]) -> Vec<Vec<u8>> {
    let mut path = PathBuffer::new();
    path.read(raw);
    assert_eq!(path.segments().len(), path.segment_count());
    path.segments().map(<[u8]>::to_vec).collect()
}

/// Each line is `raw => segments`, the segments separated by blanks.
fn check(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (raw, segments) = line.split_once("=>").unwrap();
        let expected: Vec<_> = segments
            .split_whitespace()
            .map(|it| it.as_bytes().to_vec())
            .collect();
        assert_eq!(read(raw.trim().as_bytes()), expected, "{line}");
    }
}

#[test]
fn every_spelling_of_a_path_reads_the_same() {
    check(
        r"
        /v2/a                => v2 a
        /v2//a               => v2 a
        ///v2/a//            => v2 a
        /v2/a/               => v2 a
        /v2/./a              => v2 a
        /v2/a/.              => v2 a
        /v2/b/../a           => v2 a
        /v2/a/b/..           => v2 a
        /v2/b//../a          => v2 a
        /v2/%61              => v2 a
        /%76%32/a            => v2 a
        /v2/a?x=1            => v2 a
        /v2/a?x=/../b        => v2 a
        /v2/a#/../b          => v2 a
        /v2/a#b?c            => v2 a
        /v2/%2e%2e/v2/a      => v2 a
        /v2/%2E/a            => v2 a
        /v2/.%2e/v2/a        => v2 a
        /v2/b%2F..%2Fa       => v2 a
        /v2%5ca              => v2 a
        /v2/b%5C..%5Ca       => v2 a
        /v2;x=1/a;y          => v2 a
        /v2/;x/a             => v2 a
        /v2;x%2fa            => v2 a
        /v2/b/..;/a          => v2 a
        /v2%2fa              => v2 a
        /v2%2f%2fa%2f        => v2 a
        /v2\a                => v2 a
        /v2/b\..\a           => v2 a
        /../../v2/a          => v2 a
        v2/a                 => v2 a
        ",
    );
}

#[test]
fn nothing_is_decoded_twice_or_by_half() {
    check(
        r"
        /a/%252e%252e/b      => a %2e%2e b
        /a%252fb             => a%2fb
        /a/%255Cb            => a %5Cb
        /a/b%3Bc             => a b;c
        /a/%                 => a %
        /a/%2                => a %2
        /a/%zz/%2/F          => a %zz %2 F
        /a%3Fb/c%23d         => a?b c#d
        /a/.../b             => a ... b
        /a/..b/.c            => a ..b .c
        /a+b                 => a+b
        /A/a                 => A a
        ",
    );
    assert_eq!(
        read(b"/a%00b/%ff\xfe"),
        [b"a\0b".to_vec(), b"\xff\xfe".to_vec()]
    );
}

#[test]
fn the_root_has_no_segments() {
    check(
        r"
        /                    =>
        //                   =>
        /..                  =>
        /a/..                =>
        /a/../../..          =>
        /./.                 =>
        /?a=/b               =>
        ?                    =>
        *                    => *
        ",
    );
    assert!(read(b"").is_empty());
    assert_eq!(
        PathBuffer::new().segment_count(),
        0,
        "no path at all is the root"
    );
}

#[test]
fn a_buffer_forgets_the_path_before() {
    let mut path = PathBuffer::new();
    path.read(b"/a/long/path/of/many/segments");
    path.read(b"/b");
    assert_eq!(path.segments().collect::<Vec<_>>(), [b"b"]);
    assert_eq!((path.segment(0), path.segment(1)), (Some(&b"b"[..]), None));
    path.read(b"");
    assert_eq!(path.segment(0), None);
}

/// One way to write a segment that must not matter, chosen by `style`.
fn disguise(segment: &str, style: u8, raw: &mut String) {
    let encode = |it: &str| {
        it.bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    };
    raw.push_str(&match style {
        0 => format!("/{segment}"),
        1 => format!("//{segment}"),
        2 => format!("/.\\{segment}/."),
        3 => format!("/%2e/{segment}"),
        4 => format!("/x/../{segment}"),
        5 => format!("/x%2f%2E.%2F{segment}"),
        6 => format!("/{}", encode(segment)),
        7 => format!("%2F{segment}/"),
        8 => format!("\\{segment}/y/z/../%2e%2e"),
        _ => format!("/{segment}/./"),
    });
}

proptest! {
    #[test]
    fn a_disguise_never_changes_the_segments(
        parts in prop::collection::vec(("[a-c~%é*]{1,3}", 0u8..10), 0..6),
        above_root in any::<bool>(),
        tail in prop::sample::select(vec!["", "/", "?a=/b", "#/c", "/?", "/."]),
    ) {
        let mut raw = String::from(if above_root { "/%2e%2E/.." } else { "" });
        for (segment, style) in &parts {
            // A literal `%` is written `%25`; the styles from 6 on would encode that once more.
            let style = if segment.contains('%') {
                style % 6
            } else {
                *style
            };
            disguise(&segment.replace('%', "%25"), style, &mut raw);
        }
        raw.push_str(tail);
        let expected: Vec<_> = parts
            .iter()
            .map(|(segment, _)| segment.clone().into_bytes())
            .collect();
        prop_assert_eq!(read(raw.as_bytes()), expected, "{}", raw);
    }

    #[test]
    fn any_bytes_read_to_clean_segments(
        raw in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(b"/.%2eEfF5cC?#\\;a".to_vec()),
                1 => any::<u8>(),
            ],
            0..40,
        ),
    ) {
        let segments = read(&raw);
        prop_assert!(segments.len() <= raw.len());
        for segment in &segments {
            prop_assert!(!matches!(&segment[..], b"" | b"." | b".."));
            prop_assert!(!segment.contains(&b'/') && !segment.contains(&b'\\'));
        }
        let mut joined = Vec::new();
        for segment in &segments {
            joined.extend([&b"/"[..], segment].concat());
        }
        if !joined.iter().any(|byte| b"%?#;".contains(byte)) {
            prop_assert_eq!(read(&joined), segments, "reading is idempotent");
        }
    }
}
