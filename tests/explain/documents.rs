//! The documents against the output of the command.

use super::*;

#[test]
fn the_documents_show_the_text() {
    let tools =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    let arguments = [
        "envoy/presets/enterprise-v2.yaml",
        "--path",
        "/v2/things",
        "--header",
        "Authorization: Bearer demo-acme-1",
    ];
    let text = text_form(&[&arguments[..], &["--repeat", "101"]].concat(), "");
    assert!(
        tools.contains(&text),
        "docs/tools.md has another text than this:\n{text}"
    );
    assert!(!text.lines().any(|line| line.ends_with(' ')), "{text}");
}

#[test]
fn the_documents_list_every_key_of_the_json() {
    fn keys(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    // The keys of a rule are the policy's.
                    if key != "rule" {
                        keys(value, found);
                    }
                    found.insert(key.clone());
                }
            }
            Value::Array(items) => {
                for item in items {
                    keys(item, found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    keys(
        &preset(
            "enterprise-v2",
            &["--path", "/v2/things", "-H", "x-api-key: demo-acme-1"],
        ),
        &mut found,
    );
    keys(&preset("dash0", &["--path", "/"]), &mut found);
    let tools =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tools.md")).unwrap();
    let (_, section) = tools.split_once("### JSON output").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut missing = found.clone();
    missing.retain(|key| {
        let forms = [
            format!("`{key}`"),
            format!("`{key}."),
            format!(".{key}`"),
            format!("{key}[]`"),
        ];
        !forms.iter().any(|form| section.contains(form))
    });
    assert!(
        missing.is_empty() && found.len() > 40,
        "{missing:?} of {}",
        found.len()
    );
}
