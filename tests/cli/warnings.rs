//! The warnings of `check` for policies that are valid but may not mean what their author intends.

use super::run;

pub(super) const DIRECTORY: &str = "[{ sha256: \
                         cd5d9af4ac9c9371182890c71242aa2b4e9ab957acd39aeeedae87b051314df8, org: \
                         acme, plan: free }, \
    { sha256: 0f6ef3a1c3c44c2ebda0cd37ec10be0c0832c7b639dd11f0193c9337a22f19a2, org: globex, \
    plan: paid }]";
/// The end of the warning about a value that no entry has.
const PLANS: &str = "entries of the directory have \"free\", \"paid\"";
pub(super) const RULE: &str = "bucket: { burst: 1, refill: 1/s }";

/// The lines after the first; `callers` are further keys next to the credentials.
pub(super) fn warnings(callers: &str, rest: &str) -> Vec<String> {
    let policy = format!(
        "version: 1\nname: w\ncallers: {{ credentials: [{{ name: api_key, header: x-api-key }}], \
         {callers} }}\n{rest}\n"
    );
    let (code, stdout, stderr) = run(&["check", "-"], policy.as_bytes());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}{policy}");
    let (first, rest) = stdout.split_once('\n').unwrap();
    assert!(first.starts_with("-: ok: policy w, "), "{stdout}");
    rest.lines().map(str::to_owned).collect()
}

/// The warnings about one limit.
fn of_limit(callers: &str, limit: &str) -> Vec<String> {
    warnings(
        callers,
        &format!("limits: [{{ name: one, {limit}, {RULE} }}]"),
    )
}

#[test]
fn a_value_that_no_caller_has_is_reported_at_every_place() {
    let directory = format!("directory: {DIRECTORY}");
    let expected = |at: &str| {
        format!("-:4: warning: {at}: no caller has plan \"fre\": {PLANS}; did you mean \"free\"?")
    };
    for (rest, at) in [
        (
            format!("limits: [{{ name: a, for: {{ plan: [fre] }}, per: [], {RULE} }}]"),
            "/limits/0/for/plan/0",
        ),
        (
            format!("limits: [{{ name: a, for: {{ plan: fre }}, per: [], {RULE} }}]"),
            "/limits/0/for/plan",
        ),
        (
            format!(
                "limits: [{{ name: a, per: [], {RULE}, overrides: [{{ for: {{ plan: fre }}, \
                 burst: 2 }}] }}]"
            ),
            "/limits/0/overrides/0/for/plan",
        ),
        (
            "concurrency: [{ name: a, for: { plan: fre }, per: [], slots: 1 }]".to_owned(),
            "/concurrency/0/for/plan",
        ),
        (
            "seats: [{ name: a, for: { plan: fre }, per: [], holder: org, seats: 1, idle: 1m }]"
                .to_owned(),
            "/seats/0/for/plan",
        ),
        (
            "payloads: [{ for: { plan: fre }, bytes: 1MB }]".to_owned(),
            "/payloads/0/for/plan",
        ),
        (
            "payloads: [{ bytes: 1MB, overrides: [{ for: { plan: [free, fre] }, bytes: 2MB }] }]"
                .to_owned(),
            "/payloads/0/overrides/0/for/plan/1",
        ),
    ] {
        assert_eq!(warnings(&directory, &rest), [expected(at)], "{rest}");
    }
    let exempt = format!("exempt: [{{ plan: fre }}]\nlimits: [{{ name: a, per: [], {RULE} }}]");
    assert_eq!(warnings(&directory, &exempt), [expected("/exempt/0/plan")]);
}

#[test]
fn a_denial_and_a_credential_that_never_match_are_reported() {
    let directory = format!("directory: {DIRECTORY}");
    let limits = format!("limits: [{{ name: a, per: [], {RULE} }}]");
    assert_eq!(
        warnings(&directory, &format!("deny: [{{ plan: fre }}]\n{limits}")),
        [format!(
            "-:4: warning: /deny/0/plan: no caller has plan \"fre\": {PLANS}; did you mean \
             \"free\"?"
        )]
    );
    assert_eq!(
        of_limit(
            "unknown: anonymous",
            "for: { credential: [api_key, none] }, per: []"
        ),
        [
            "-:4: warning: /limits/0/for/credential/0: no secret of \"api_key\" is ever accepted: \
             the policy has no directory"
        ]
    );
    for quiet in [
        "credential: none",
        "credential: refused",
        "credential: api_key",
    ] {
        let limit = format!("for: {{ {quiet} }}, per: []");
        assert_eq!(of_limit(&directory, &limit), [""; 0], "{quiet}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn values_are_checked_against_every_source_with_known_values() {
    let with = |attributes: &str| {
        format!(
            "directory: {DIRECTORY}, directory_attributes: [team], attributes: {{ {attributes} }}"
        )
    };
    let network = "address: [{ client_address: { v4_prefix: 24 } }]";
    for (attributes, condition, expected) in [
        (
            "",
            "plan: gold",
            Some("no caller has plan \"gold\": entries of the directory have \"free\", \"paid\""),
        ),
        ("", "plan: [free, paid]", None),
        (
            "",
            "team: a",
            Some("no caller has team \"a\": no entry of the directory has \"team\""),
        ),
        (
            "",
            "api_key: demo",
            Some(
                "no caller has api_key \"demo\": an identifier is 32 hexadecimal digits, as \
                 `sluicegate explain` shows it",
            ),
        ),
        ("", "api_key: cd5d9af4ac9c9371182890c71242aa2b", None),
        ("", "credential: api_key", None),
        (
            "group: [{ directory: plan }, { directory: org }]",
            "group: [free, acme]",
            None,
        ),
        (
            "group: [{ directory: plan }]",
            "group: acme",
            Some("no caller has group \"acme\": entries of the directory have \"free\", \"paid\""),
        ),
        ("plan: [{ query: plan }]", "plan: fre", None),
        ("plan: [{ metadata: [filter, plan] }]", "plan: fre", None),
        (network, "address: 192.0.2.0/24", None),
        (
            network,
            "address: [2001:db8::/64, 2001:db8::7/64]",
            Some(
                "no caller has address \"2001:db8::7/64\": `client_address` gives values such as \
                 \"2001:db8::/64\"",
            ),
        ),
        (
            network,
            "address: 192.0.2.7",
            Some(
                "no caller has address \"192.0.2.7\": `client_address` gives values such as \
                 \"192.0.2.0/24\"",
            ),
        ),
        (
            network,
            "address: office",
            Some(
                "no caller has address \"office\": `client_address` gives values such as \
                 \"192.0.2.0/24\"",
            ),
        ),
        (
            "cert: [{ client_certificate: sha256 }]",
            "cert: AB",
            Some("no caller has cert \"AB\": it is 64 hexadecimal digits, in lower case"),
        ),
        (
            "cert: [{ client_certificate: subject }]",
            "cert: CN=a",
            None,
        ),
    ] {
        let found = of_limit(
            &with(attributes),
            &format!("per: [], for: {{ {condition} }}"),
        );
        let found: Vec<&str> = found
            .iter()
            .map(|line| {
                line.split_once("/limits/0/for/")
                    .unwrap()
                    .1
                    .split_once(": ")
                    .unwrap()
                    .1
            })
            .collect();
        assert_eq!(
            found,
            expected.into_iter().collect::<Vec<_>>(),
            "{attributes} {condition}"
        );
    }
    // Later entries may have any value.
    assert_eq!(
        of_limit(
            "directory: [], directory_attributes: [plan]",
            "per: [], for: { plan: fre }"
        ),
        [""; 0]
    );
}

#[test]
fn many_warnings_are_counted() {
    let overrides: Vec<String> = (0..250)
        .map(|number| format!("{{ for: {{ org: o{number} }}, burst: 2 }}"))
        .collect();
    let found = of_limit(
        &format!("directory: {DIRECTORY}"),
        &format!("per: [org], overrides: [{}]", overrides.join(", ")),
    );
    assert_eq!(
        (found.len(), found[100].as_str()),
        (101, "-: warning: and 150 more")
    );
}

#[test]
fn the_presets_have_no_warnings() {
    let presets = format!("{}/envoy/presets", env!("CARGO_MANIFEST_DIR"));
    let presets = std::fs::read_dir(presets).unwrap();
    let presets: Vec<_> = presets.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(presets.len(), 10);
    for path in presets {
        let preset = path.file_stem().unwrap().to_str().unwrap();
        let path = format!("{}/envoy/presets/{preset}.yaml", env!("CARGO_MANIFEST_DIR"));
        let (code, stdout, _) = run(&["check", &path], b"");
        assert_eq!((code, stdout.contains("warning")), (0, false), "{stdout}");
        assert_eq!(
            stdout.contains("note: `hold` needs"),
            preset == "datocms",
            "{stdout}"
        );
        let is_measured = stdout.contains("note: `usage` needs the cluster");
        assert_eq!(is_measured, preset == "datadog", "{stdout}");
        let is_shared = stdout.contains("note: `scope: global` needs the cluster");
        assert_eq!(is_shared, preset == "enterprise-v2-fleet", "{stdout}");
    }
}

#[test]
fn the_buffer_of_a_held_body_is_reported_and_rendered() {
    for (payloads, buffer, warned) in [
        ("[{ bytes: 5MB }]", 1 << 20, None),
        (
            "[{ bytes: 1MiB, hold: true }, { bytes: 9MB }]",
            2 << 20,
            None,
        ),
        (
            "[{ bytes: 1KB, hold: true, overrides: [{ for: { plan: a }, bytes: 3MiB }] }]",
            4 << 20,
            None,
        ),
        (
            "[{ json: { depth: 9 }, hold: true }, { for: { routes: [/a] }, bytes: 1MiB, hold: true \
             }]",
            2 << 20,
            Some(0),
        ),
        ("[{ bytes: 4GiB, hold: true }]", 1 << 20, Some(0)),
    ] {
        let payloads = payloads.replace(
            "[{ json: { depth: 9 }",
            "[{ for: { routes: [/b] }, json: { depth: 9 }",
        );
        let payloads = payloads.replace(
            "hold: true }, { bytes: 9MB }",
            "hold: true, for: { routes: [/b] } }, { bytes: 9MB }",
        );
        let policy = format!(
            "version: 1\nname: held\ncallers:\n  credentials: [{{ name: key, header: x-key }}]\n  \
             unknown: anonymous\n  attributes: {{ plan: [{{ header: x-plan, trusted: true }}] }}\n\
             payloads: {payloads}\n"
        );
        let (code, stdout, _) = run(&["check", "-"], policy.as_bytes());
        assert_eq!(code, 0, "{stdout}");
        let hold = payloads.contains("hold");
        assert_eq!(
            stdout.contains(&format!(
                "per_connection_buffer_limit_bytes: {buffer} or more"
            )),
            hold,
            "{stdout}"
        );
        assert_eq!(
            stdout.contains("warning: ") && stdout.contains("a held body must fit"),
            warned.is_some(),
            "{stdout}"
        );
        let (code, rendered, _) = run(&super::render("-"), policy.as_bytes());
        assert_eq!(code, 0);
        assert!(
            rendered.contains(&format!("per_connection_buffer_limit_bytes: {buffer}\n")),
            "{payloads}"
        );
        assert_eq!(
            rendered.contains("allow_on_headers_stop_iteration: true"),
            hold,
            "{payloads}"
        );
    }
}

#[test]
fn render_warns_about_inputs_that_nothing_sets() {
    let policy = "version: 1
name: unset
callers:
  credentials: [{ name: session, metadata: [envoy.filters.http.jwt_authn, session] }]
  attributes:
    region: [{ node_metadata: region }]
    zone: [{ node_metadata: [shop, zone] }]
    shard: [{ route_metadata: [shop, shard] }]
    cert: [{ client_certificate: subject }]
limits: [{ name: all, per: [region], bucket: { burst: 1, refill: 1/s } }]
";
    let arguments = super::render("-");
    let (code, stdout, stderr) = run(&arguments, policy.as_bytes());
    assert!(code == 0 && stdout.contains("name: gateway"), "{stderr}");
    let expected: Vec<&str> = stderr
        .lines()
        .map(|line| {
            line.strip_prefix("sluicegate: warning: the policy reads ")
                .unwrap()
        })
        .collect();
    assert_eq!(
        expected,
        [
            "metadata of envoy.filters.http.jwt_authn for session, which no earlier filter \
             writes: add --filters FILE",
            "[shop, shard] from the route's metadata for shard, but the rendered route has none",
            "the client's certificate for cert, but the rendered listener has no TLS",
            "region from the proxy's metadata for region, which is not set: add --node-metadata \
             region=VALUE",
            "[shop, zone] from the proxy's metadata for zone, which --node-metadata cannot \
             set: write it into node.metadata of the bootstrap",
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    let filters = super::file(
        &folder,
        "filters.yaml",
        b"- { name: envoy.filters.http.jwt_authn }\n",
    );
    let more = ["--node-metadata", "region=eu", "--filters", &filters];
    let (_, _, stderr) = run(&[&arguments[..], &more].concat(), policy.as_bytes());
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
}
