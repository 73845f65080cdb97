//! The warnings of `check` about fields of the policy's own that are never sent.

use super::warnings::{RULE, warnings};

fn of(entry: &str) -> Vec<String> {
    let limits = format!(
        "limits: [{{ name: seen, per: [], {RULE} }}, {{ name: never, per: [], {RULE}, fields: \
         never }}, {{ name: shadow, per: [], {RULE}, enforcement: shadow }}, {{ name: hidden, \
         per: [], {RULE}, fields: hide }}]"
    );
    let pools = "concurrency: [{ name: pool, per: [], slots: 1 }, { name: still, per: [], slots: \
                 1, enforcement: shadow }]";
    let fields =
        format!("replies: {{ fields: {{ family: none, write: [{{ name: x-a, {entry} }}] }} }}");
    warnings("directory: []", &format!("{limits}\n{pools}\n{fields}"))
}

#[test]
fn an_endpoint_on_whose_path_nobody_is_identified_is_reported() {
    let rest = format!(
        "limits: [{{ name: a, per: [], {RULE} }}]\nreplies: {{ endpoint: {{ path: /l }} }}"
    );
    for quiet in [
        "",
        "for: { routes: [/**] },",
        "for: { routes: [\"GET,POST /l\"] },",
    ] {
        let callers = format!("{quiet} directory: []");
        assert_eq!(warnings(&callers, &rest), [""; 0], "{quiet}");
    }
    for loud in ["/l/**/a", "POST /l", "/v2/**"] {
        let callers = format!("for: {{ routes: [\"{loud}\"] }}, directory: []");
        assert_eq!(
            warnings(&callers, &rest),
            [
                "-:5: warning: /replies/endpoint/path: no caller is identified on this path, so \
                 that the endpoint shows only the numbers of callers without a credential: add it \
                 to `callers.for`"
            ],
            "{loud}"
        );
    }
}

#[test]
fn a_field_that_is_never_sent_is_reported() {
    for entry in [
        "value: '{reset} {retry_after}'",
        "value: '{remaining}', of: [pool]",
        "value: '{reset}', of: [pool, seen]",
        "value: '{retry_after}', when: refused",
    ] {
        assert_eq!(of(entry), [""; 0], "{entry}");
    }
    let at = "-:6: warning: /replies/fields/write/0";
    assert_eq!(
        of("value: '{remaining}', of: [never, seen, shadow]"),
        [
            format!("{at}/of/0: this field never shows \"never\": it has `fields: never`"),
            format!("{at}/of/2: this field never shows \"shadow\": a limit in shadow is not shown"),
        ]
    );
    assert_eq!(
        of("value: '{remaining}', of: [hidden, seen], when: admitted"),
        [format!(
            "{at}/of/0: this field never shows \"hidden\": it has `fields: hide`, and this field \
             is not on refusals"
        )]
    );
    assert_eq!(
        of("value: '{remaining}', of: [still, pool]"),
        [format!(
            "{at}/of/0: this field never shows \"still\": a pool in shadow is not shown"
        )]
    );
    assert_eq!(
        of("value: '{reset}', of: [pool]"),
        [format!(
            "{at}/value: this field is never sent: it shows no limit, and a pool has neither times \
             nor an overage"
        )]
    );
    assert_eq!(
        of("value: '{retry_after}', when: admitted"),
        [format!(
            "{at}/value: this field is never sent: an admitted request has no `{{retry_after}}`"
        )]
    );
}
