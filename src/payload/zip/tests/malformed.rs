//! Archives that contradict themselves, and methods that are not supported.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn central_records_may_have_any_order_but_each_describes_one_entry() {
    let files = three();
    let (locals, centrals) = parts(&files);
    let [a, b, c] = [0, 1, 2].map(|at: usize| centrals[at].clone());
    let lie = |change: fn(&mut File), offset: usize| {
        let mut file = files[2].clone();
        change(&mut file);
        file.central(offset)
    };
    let offset = locals.len() - files[2].local().len();
    for (name, centrals, expected) in [
        ("in order", vec![a.clone(), b.clone(), c.clone()], Ok(1003)),
        (
            "in another order",
            vec![c.clone(), a.clone(), b.clone()],
            Ok(1003),
        ),
        (
            "an equal record",
            vec![a.clone(), b.clone(), lie(|_| {}, offset)],
            Ok(1003),
        ),
        ("one is missing", vec![a.clone(), b.clone()], MALFORMED),
        ("all are missing", vec![], MALFORMED),
        (
            "a duplicate",
            vec![a.clone(), b.clone(), c.clone(), c.clone()],
            MALFORMED,
        ),
        (
            "one instead of another",
            vec![a.clone(), c.clone(), c.clone()],
            MALFORMED,
        ),
        (
            "another offset",
            vec![a.clone(), b.clone(), lie(|_| {}, offset + 1)],
            MALFORMED,
        ),
        (
            "another size",
            vec![a.clone(), b.clone(), lie(|file| file.size += 1, offset)],
            MALFORMED,
        ),
        (
            "another data size",
            vec![a.clone(), b.clone(), lie(|file| file.data.push(0), offset)],
            MALFORMED,
        ),
        (
            "another checksum",
            vec![a.clone(), b.clone(), lie(|file| file.crc ^= 1, offset)],
            MALFORMED,
        ),
        (
            "another name",
            vec![a.clone(), b.clone(), lie(|file| file.name = "b/d", offset)],
            MALFORMED,
        ),
        (
            "another method",
            vec![a.clone(), b.clone(), lie(|file| file.method = 0, offset)],
            MALFORMED,
        ),
        (
            "encrypted",
            vec![a.clone(), b.clone(), lie(|file| file.flags = 1, offset)],
            UNSUPPORTED,
        ),
    ] {
        assert_eq!(
            whole(&with_directory(&locals, &centrals)),
            expected,
            "{name}"
        );
    }
    let late = [&locals[..], &a, &files[0].local(), &b, &c].concat();
    assert_eq!(whole(&late), MALFORMED, "an entry after a central record");
}

#[test]
fn entries_that_overlap_are_refused() {
    // The outer entry stores the inner one, so that the inner data would count twice.
    let inner = deflated("inner", &[0; 1_000_000]);
    let outer = stored("outer", &inner.local());
    let locals = outer.local();
    let offset = locals.len() - inner.local().len();
    let body = with_directory(&locals, &[outer.central(0), inner.central(offset)]);
    assert_eq!(whole(&body), MALFORMED);
    // The same without the outer entry in the directory.
    assert_eq!(
        whole(&with_directory(&locals, &[inner.central(offset)])),
        MALFORMED
    );
}

#[test]
fn data_that_holds_a_descriptor_of_itself_ends_its_entry() {
    let short = stored("a", b"short").with(Tail::Narrow);
    let long = stored("a", &[&short.local()[31..], &[0; 1000]].concat()).with(Tail::Narrow);
    assert_eq!(whole(&archive(&[long])), MALFORMED);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn wrong_sizes_are_malformed() {
    let text = [5; 1000];
    for (name, file) in [
        (
            "a size too large",
            File {
                size: 1001,
                ..deflated("a", &text)
            },
        ),
        (
            "a size too small",
            File {
                size: 999,
                ..deflated("a", &text)
            },
        ),
        (
            "a small size of a bomb",
            File {
                size: 1,
                ..deflated("a", &[0; 1_000_000])
            },
        ),
        (
            "a stored size too small",
            File {
                size: 999,
                ..stored("a", &text)
            },
        ),
        (
            "another checksum",
            File {
                crc: 1,
                ..deflated("a", &text)
            },
        ),
        (
            "data after the stream",
            File {
                data: [raw(&text), vec![0]].concat(),
                ..deflated("a", &text)
            },
        ),
        (
            "a truncated stream",
            File {
                data: raw(&text)[..10].to_vec(),
                ..deflated("a", &text)
            },
        ),
        (
            "no stream at all",
            File {
                data: vec![],
                ..deflated("a", &text)
            },
        ),
        (
            "not a stream",
            File {
                data: vec![0xff; 20],
                ..deflated("a", &text)
            },
        ),
        (
            "a descriptor with another size",
            File {
                size: 999,
                ..deflated("a", &text).with(Tail::Narrow)
            },
        ),
        (
            "a wide one",
            File {
                size: 999,
                ..deflated("a", &text).with(Tail::BareWide)
            },
        ),
        (
            "another checksum in it",
            File {
                crc: 1,
                ..deflated("a", &text).with(Tail::BareNarrow)
            },
        ),
        (
            "a narrow one after a wide header",
            deflated("a", &text).wide().with(Tail::Narrow),
        ),
        (
            "a stored one without a signature",
            stored("a", &text).with(Tail::BareNarrow),
        ),
        (
            "none",
            File {
                flags: 1 << 3,
                ..stored("a", &text)
            },
        ),
    ] {
        assert_eq!(
            whole(&archive(&[file, stored("b", b"b")])),
            MALFORMED,
            "{name}"
        );
    }
    let mut body = archive(&[stored("a", b"a").wide()]);
    body[36] = 2;
    assert_eq!(
        whole(&body),
        MALFORMED,
        "an extra field without the sizes it should have"
    );
}

#[test]
fn unknown_methods_are_unsupported() {
    let file = deflated("a", b"text");
    for (name, file) in [
        (
            "encrypted",
            File {
                flags: 1,
                ..file.clone()
            },
        ),
        (
            "encrypted and stored",
            File {
                flags: 1,
                ..stored("a", b"text")
            },
        ),
        (
            "a patch",
            File {
                flags: 1 << 5,
                ..file.clone()
            },
        ),
        (
            "a masked header",
            File {
                flags: 1 << 13,
                ..file.clone()
            },
        ),
        (
            "deflate64",
            File {
                method: 9,
                ..file.clone()
            },
        ),
        (
            "bzip2",
            File {
                method: 12,
                ..file.clone()
            },
        ),
        ("zstd", File { method: 93, ..file }),
    ] {
        assert_eq!(whole(&archive(&[file])), UNSUPPORTED, "{name}");
    }
    let mut split = archive(&[]);
    split[4] = 1;
    assert_eq!(whole(&split), UNSUPPORTED, "the second disk");
}

#[test]
fn nothing_else_may_lie_between_entries() {
    let (locals, centrals) = parts(&three());
    let body = with_directory(&[&locals[..], b"junk"].concat(), &centrals);
    assert_eq!(whole(&body), MALFORMED);
    assert_eq!(whole(b"PK\x07\x08 and more"), MALFORMED);
}
