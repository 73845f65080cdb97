//! Options, exit codes, and texts that are never printed.

use super::*;

#[test]
fn long_lists_are_cut_without_an_option() {
    let limits = |count: usize| -> String {
        (0..count)
            .map(|number| {
                format!(
                    "  - {{ name: l{number}, for: {{ routes: [/r/{number}] }}, per: [], \
                               bucket: {{ burst: 1, refill: 1/s }} }}\n"
                )
            })
            .collect()
    };
    let many = |count| format!("version: 1\nname: many\nlimits:\n{}", limits(count));
    let one_more = text_form(&["-", "--path", "/"], &many(21));
    assert!(
        one_more.contains("\n  and 1 other that does not apply: --all lists them\n"),
        "{one_more}"
    );
    let policy = many(30);
    let cut = text_form(&["-", "--path", "/"], &policy);
    assert_eq!(cut.matches("does not apply").count(), 20, "{cut}");
    assert!(
        cut.contains("\n  and 10 others that do not apply: --all lists them\n"),
        "{cut}"
    );
    assert!(
        cut.contains("\ncallers      need not identify themselves: the policy has no callers\n"),
        "{cut}"
    );
    assert_eq!(
        text_form(&["-", "--path", "/", "--all"], &policy)
            .matches("does not apply: none")
            .count(),
        30
    );
    assert_eq!(
        explanation(&["-", "--path", "/"], &policy)["not_applied"]
            .as_array()
            .unwrap()
            .len(),
        30
    );
}

#[test]
fn no_secret_is_ever_printed() {
    const SECRET: &str = "s3cr3t-hunter2";
    let session = format!(r#"{{"f":{{"k":"{SECRET}"}}}}"#);
    let policy = "version: 1
name: quiet
callers:
  credentials:
    - { name: stamp, metadata: [f, k] }
    - { name: bearer, header: authorization, scheme: Bearer, unless: stamp }
    - { name: key, query: key }
  directory: [{ sha256: cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, \
  org: acme }]
  unknown: STANCE
limits: [{ name: all, per: [bearer, key, stamp], bucket: { burst: 1, refill: 1/s } }]
";
    let (header, path) = (
        format!("Authorization: Bearer {SECRET}"),
        format!("/?key={SECRET}"),
    );
    let bare = format!("Authorization {SECRET}");
    let broken = format!("{{{SECRET}");
    let calls: [&[&str]; 12] = [
        &["--path", "/", "-H", &header],
        &["--path", &path],
        &["--path", &path, "-H", &header],
        &["--path", "/", "--metadata", &session],
        &[
            "--path",
            &path,
            "-H",
            &header,
            "--metadata",
            &session,
            "--repeat",
            "3",
        ],
        &["--path", "/", "-H", &header, "-H", &header],
        &["--path", "/", "-H", &bare],
        &["--path", "/", "-H", &format!("{header}\r\nx: y")],
        &["--path", "/", "--metadata", &broken],
        &["--path", "/", "--metadata", &format!("[\"{SECRET}\"]")],
        &["--path", &format!("key={SECRET}")],
        &["--path", &format!("/ {SECRET}")],
    ];
    for stance in ["refuse", "anonymous"] {
        for call in calls {
            for form in [&["--json"][..], &[]] {
                let (_, stdout, stderr) = run(
                    &[&["-"], call, form].concat(),
                    &policy.replace("STANCE", stance),
                );
                assert!(
                    !stdout.contains(SECRET) && !stderr.contains(SECRET),
                    "{call:?}\n{stdout}{stderr}"
                );
                assert!(!stdout.is_empty() || !stderr.is_empty());
            }
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn a_usage_error_is_distinct_from_an_invalid_policy() {
    let least = "version: 1\nname: least\nlimits: [{ name: all, per: [], bucket: { burst: 10, \
                 refill: 1/s } }]\n";
    for (arguments, why) in [
        (
            &["--path", "v2"][..],
            "sluicegate: --path: must begin with a / (the part of a URL after the host)\n",
        ),
        (
            &["--path", "/", "-X", "GET,POST"],
            "sluicegate: --method: is not the name of a method\n",
        ),
        (
            &["--path", "/", "-H", "a: b", "-H", "c"],
            "sluicegate: --header, number 2: is not NAME: VALUE\n",
        ),
        (
            &["--path", "/", "-H", ": b"],
            "sluicegate: --header, number 1: a pseudo-header: use --method and --path \
             instead\n",
        ),
        (
            &["--path", "/", "-H", ":path: /b"],
            "sluicegate: --header, number 1: a pseudo-header: use --method and --path \
             instead\n",
        ),
        (
            &["--path", "/", "-H", "a b: c"],
            "sluicegate: --header, number 1: the name before the colon is not that of a header\n",
        ),
        (
            &["--path", "/", "--metadata", "{\"a\":1}"],
            "sluicegate: --metadata: a: expected a JSON object, found a number\n",
        ),
        (
            &["--path", "/", "--node-metadata", "[]"],
            "sluicegate: --node-metadata: expected a JSON object, found a list\n",
        ),
        (
            &["--path", "/", "--certificate", "san=a"],
            "sluicegate: --certificate, number 1: is not PART=VALUE, with a part of subject, \
             uri_san, dns_san, sha256\n",
        ),
    ] {
        assert_eq!(
            run(&[&["-"], arguments].concat(), least),
            (2, String::new(), why.to_owned())
        );
    }
    for arguments in [
        &[][..],
        &["--path", "/", "--repeat", "0"],
        &["--path", "/", "--repeat", "1000001"],
        &["--path", "/", "--at", "noon"],
    ] {
        let (code, stdout, _) = run(&[&["-"], arguments].concat(), least);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
    }
    let (code, stdout, stderr) = run(&["-", "--path", "/"], &least.replace("10", "0"));
    let expected = "-:3: /limits/0/bucket/burst: 0 is not in 1..=1000000000\n-: 1 error\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (1, "", expected));
    assert_eq!(run(&["/no/such/file", "--path", "/"], "").0, 2);
    // The default of --at is now.
    let (code, stdout, _) = run(&["-", "--path", "/"], least);
    assert!(
        code == 0 && stdout.starts_with("request      GET / at 20"),
        "{stdout}"
    );
}
