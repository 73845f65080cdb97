//! The filters that `render` puts before ours.

use super::*;

const FILTERS: &str = r##"# What Envoy takes for HTTP filters.
- name: envoy.filters.http.jwt_authn
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
    providers: { session: { issuer: "https://id.example/", clock_skew_seconds: 0, forward: true,
                            from_headers: [] } }
    "odd \"key\": #": [[], {}, [1, [2.5, "3"]], null, ~, "", "no", 'yes', "on", 5s, "-1", -0.5,
                       1e300, .5]
    rules: [{ match: { prefix: / }, requires: { requires_any: {} } }]
    text: |
      {"keys":[{"kty":"EC"}]}
        # no comment — %REQ(X)% {{ }} 'it''s' "é" 😀
- { name: second }
"##;

#[test]
fn filters_come_before_ours_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "filters.yaml", FILTERS.as_bytes());
    let mut arguments = render("-");
    arguments.extend(["--filters", &path]);
    let bootstrap = rendered(&arguments, VALID.as_bytes());
    let mut manager = connection_manager(&bootstrap["static_resources"]["listeners"][0]).clone();
    let written: Value = serde_saphyr::from_str(FILTERS).unwrap();
    let found = manager["http_filters"].as_array_mut().unwrap();
    let ours = found.split_off(2);
    assert_eq!(json!(found), written);
    let plain = rendered(&render("-"), VALID.as_bytes());
    let without =
        connection_manager(&plain["static_resources"]["listeners"][0])["http_filters"].clone();
    assert_eq!(json!(ours), without, "the rest is the same as without them");
    let listeners = [
        "render",
        "listeners",
        "--listen",
        "127.0.0.1:8080",
        "--wasm",
        "/filter.wasm",
        "--policy",
        "-",
    ];
    let response = rendered(
        &[&listeners[..], &["--filters", &path]].concat(),
        VALID.as_bytes(),
    );
    manager["http_filters"].as_array_mut().unwrap().extend(ours);
    assert_eq!(connection_manager(&response["resources"][0]), &manager);
    let none = file(&folder, "none.yaml", b"[]\n");
    let empty = rendered(
        &[&render("-")[..], &["--filters", &none]].concat(),
        VALID.as_bytes(),
    );
    assert_eq!(empty, plain);
}

#[test]
fn errors_in_the_filters_are_located() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        (
            "name: one\n",
            "FILE:1: /: expected a list, found a map: put it in [ ], or begin each line with -\n\
             FILE: 1 error\n",
        ),
        (
            "- { name: one }\n- two\n- [three]\n",
            "FILE:2: /1: expected a map such as { name: envoy.filters.http.cors }, found a \
             string\nFILE:3: /2: expected a map such as { name: envoy.filters.http.cors }, found a \
             list\nFILE: 2 errors\n",
        ),
        ("", "FILE: /: the document is empty\nFILE: 1 error\n"),
        (
            "- { name: one",
            "FILE:2:1: /: an unclosed bracket, or a comma is missing\nFILE: 1 error\n",
        ),
        (
            "- { name: one, name: two }",
            "FILE:1: /0/name: duplicate key\nFILE: 1 error\n",
        ),
    ] {
        let path = file(&folder, "filters.yaml", text.as_bytes());
        let arguments = [&render("-")[..], &["--filters", &path]].concat();
        assert_eq!(
            run(&arguments, VALID.as_bytes()),
            (1, String::new(), expected.replace("FILE", &path)),
            "{text}"
        );
    }
    let missing = folder
        .path()
        .join("missing.yaml")
        .to_str()
        .unwrap()
        .to_owned();
    let (code, stdout, stderr) = run(
        &[&render("-")[..], &["--filters", &missing]].concat(),
        VALID.as_bytes(),
    );
    let expected = format!("sluicegate: {missing}: No such file or directory (os error 2)\n");
    assert_eq!((code, stdout, stderr), (2, String::new(), expected));
}
