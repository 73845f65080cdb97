//! Compares the schema of the language with the readers, and both written files with the
//! declarations.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

#[path = "schema/agreement.rs"]
mod agreement;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Validator;
use serde_json::{Value, json};
use sluicegate::policy::Policy;
use sluicegate::policy::document::{from_json, from_yaml};
use sluicegate::policy::error::PolicyError;

/// The files that `make reference` writes, each with the command that prints it.
const WRITTEN: [(&str, &str); 2] = [
    ("schema", "docs/policy.schema.json"),
    ("reference", "docs/policy.md"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn printed(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .arg(command)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&printed("schema")).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).unwrap()
}

/// The files of a folder with this prefix, sorted by name; none if there is no such folder.
fn files(folder: &str, start: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(root().join(folder))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let mut files: Vec<_> = named
        .filter(|(name, _)| {
            name.starts_with(start) && Path::new(name).extension().is_some_and(|it| it == "yaml")
        })
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The content of a document as JSON; `None` for a syntax error, which no schema sees.
fn tree(text: &str) -> Option<Value> {
    from_yaml(text)
        .ok()
        .map(|document| serde_json::from_str(&document.to_json()).unwrap())
}

/// All valid policies. Some of the end-to-end tests' policies get their limits in the tests, and
/// are invalid before.
fn valid_policies() -> Vec<(String, Value)> {
    let folders = [
        ("envoy/presets", ""),
        ("envoy/examples", ""),
        ("tests/policies", "ok_"),
    ];
    let shipped = folders
        .iter()
        .flat_map(|(folder, start)| files(folder, start));
    let shipped = shipped.map(|(name, text)| (name, tree(&text).unwrap()));
    let tested = files("tests/e2e/policies", "")
        .into_iter()
        .map(|(name, text)| (name, tree(&text).unwrap()));
    shipped
        .chain(tested.filter(|(_, document)| errors(document).is_empty()))
        .collect()
}

fn errors(document: &Value) -> Vec<PolicyError> {
    Policy::compile(&from_json(document.to_string().as_bytes()).unwrap())
        .err()
        .unwrap_or_default()
}

#[test]
fn the_written_files_are_up_to_date() {
    for (command, file) in WRITTEN {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(
            text == printed(command),
            "{file} is stale: run `make reference`, and commit it"
        );
    }
}

#[test]
fn the_schema_helps_editors() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(
        (&schema["title"], &schema["$id"]),
        (&json!("Sluicegate policy"), &Value::Null)
    );
    // Every key has a description, and every map states whether it is open.
    let mut schemas = vec![&schema];
    schemas.extend(schema["$defs"].as_object().unwrap().values());
    for object in schemas.iter().filter(|schema| schema["type"] == "object") {
        assert!(object["description"].is_string(), "{object:#}");
        assert!(!object["additionalProperties"].is_null(), "{object:#}");
        for (key, value) in object["properties"].as_object().into_iter().flatten() {
            let explained = value["description"].is_string() || value["$ref"].is_string();
            assert!(explained, "{key} has no description: {object:#}");
        }
    }
    assert!(!schema.to_string().contains("null"), "no value is null");
}

#[test]
fn the_schema_accepts_every_valid_policy() {
    let validator = validator(&schema());
    let valid_policies = valid_policies();
    for (name, document) in &valid_policies {
        let errors: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    assert!(valid_policies.len() >= 15, "{} files", valid_policies.len());
}

/// Reasons that no schema can express; the readers report them. A reason that the schema expresses
/// must not be in this list.
const LEFT_TO_THE_READERS: [(&str, &[&str]); 12] = [
    (
        "a part of the document that must be there for another one",
        &["scope_global_without_engine", "scope_global_without_store"],
    ),
    (
        "a name that must be defined elsewhere in the document",
        &[
            "usage_metric_limit_unknown",
            "usage_metric_name_of_a_ratio",
            "usage_metric_name_twice",
            "usage_tag_attribute_unknown",
            "access_log_attribute_unknown",
            "deny_attribute_unknown",
            "directory_attributes_of_a_credential",
            "credential_unless_after",
            "credential_unless_itself",
            "credential_unless_unknown",
            "credential_part_of_bearer",
            "exempt_attribute_unknown",
            "exempt_tier_unknown",
            "fields_write_of_unknown",
            "limit_for_attribute_of_an_empty_directory",
            "limit_for_attribute_that_nobody_declares",
            "limit_for_attribute_unknown",
            "limit_per_of_an_empty_directory",
            "limit_for_attribute_without_callers",
            "limit_for_credential_unknown",
            "limit_for_tier_unknown",
            "limit_for_tier_where_none_is",
            "limit_per_of_no_directory",
            "access_log_attribute_word",
            "limit_per_unknown",
            "limit_per_without_callers",
            "override_for_unknown",
            "own_number_unknown",
            "payload_for_attribute_unknown",
            "payload_for_tier_unknown",
            "payload_override_for_unknown",
            "pool_for_attribute_unknown",
            "pool_for_tier_unknown",
            "pool_per_unknown",
            "refused_placeholder_attribute_unknown",
            "seats_for_attribute_unknown",
            "seats_for_tier_unknown",
            "seats_holder_of_a_route",
            "seats_holder_unknown",
            "seats_holder_without_callers",
            "seats_per_unknown",
        ],
    ),
    (
        "a name that is used for something else in the document",
        &[
            "attribute_name_of_a_credential",
            "directory_key_of_a_credential",
            "limit_per_capture_and_attribute",
            "payload_name_of_a_limit",
            "payload_name_of_a_pool",
            "payload_name_usual_of_a_limit",
            "payload_name_usual_of_seats",
            "pool_name_of_a_limit",
            "pool_per_capture_and_attribute",
            "seats_name_of_a_pool",
        ],
    ),
    (
        "a duplicate that is not equal as text, or as a whole",
        &[
            "credential_metadata_twice",
            "credential_twice",
            "deny_network_twice",
            "directory_digest_twice",
            "limit_name_twice",
            "payload_json_content_type_twice",
            "payload_name_twice",
            "payload_name_usual_twice",
            "pool_name_twice",
            "refused_header_twice",
            "route_capture_twice",
            "route_method_twice",
            "seats_holder_in_per",
            "seats_name_twice",
            "source_host_capture_twice",
            "tier_name_twice",
            "tier_route_twice",
        ],
    ),
    (
        "a value that is a secret",
        &[
            "attribute_header_of_a_credential",
            "attribute_metadata_of_a_credential",
            "attribute_query_of_a_credential",
            "source_cookie_of_a_credential",
            "source_header_of_all_cookies",
        ],
    ),
    (
        "a number that clients choose, or that is an identifier",
        &["own_number_of_a_credential", "own_number_of_the_query"],
    ),
    (
        "a capture whose name is defined elsewhere",
        &[
            "attribute_path_without_capture",
            "limit_per_capture_of_one_route",
            "limit_per_route_of_none",
            "limit_per_tier_of_none",
            "limit_per_word_captured",
            "pool_per_capture_of_one_route",
            "seats_per_capture_of_one_route",
            "source_host_string",
        ],
    ),
    (
        "never reached",
        &[
            "deny_exempt",
            "cost_list_after_all",
            "cost_list_after_its_routes",
            "exempt_tier_and_other_routes",
            "limit_exempt",
            "limit_exempt_by_tier",
            "limit_for_except_all",
            "limit_for_except_everything",
            "limit_for_except_of_a_tier",
            "limit_for_tier_and_other_routes",
            "limit_for_tier_and_routes_of_an_earlier",
            "override_against_its_limit",
            "override_twice",
            "override_under_a_wider_one",
            "payload_after_all",
            "payload_after_its_callers",
            "payload_after_its_routes",
            "payload_after_its_tier",
            "payload_after_the_routes_of_its_tier",
            "payload_exempt",
            "payload_exempt_by_tier",
            "payload_for_tier_and_other_routes",
            "payload_override_against_its_limit",
            "payload_override_twice",
            "payload_override_under_a_wider_one",
            "pool_exempt",
            "pool_exempt_by_tier",
            "pool_for_tier_and_other_routes",
            "pool_override_twice",
            "seats_exempt",
            "seats_exempt_by_tier",
            "seats_for_tier_and_other_routes",
            "tier_never_reached",
            "source_value_before_another",
            "tier_never_reached_by_two",
        ],
    ),
    (
        "the parts that a limit on refused credentials can have",
        &[
            "refused_charge",
            "refused_cost",
            "refused_exempt",
            "refused_next_to_others",
            "refused_override",
            "refused_per_of_the_directory",
            "refused_per_token",
            "refused_presented_of_accepted",
        ],
    ),
    (
        "a key that an override takes from its limit",
        &[
            "payload_override_json_duplicate_names_alone",
            "payload_override_json_duplicate_names_of_too_many",
            "payload_override_json_members_too_many",
            "payload_override_json_objects_of_no_kind",
            "payload_override_json_value_nowhere",
        ],
    ),
    (
        "a body whose type another part of the document states",
        &[
            "limit_refused_body_without_type",
            "payload_refused_body_without_type",
        ],
    ),
    (
        "arithmetic",
        &[
            "deny_network_with_host_bits",
            "bucket_refill_fast",
            "bucket_refill_time_long",
            "bucket_slow",
            "bucket_slow_weeks",
            "cost_above_burst",
            "cost_reserve_above_burst",
            "cost_reserve_else_above_at_most",
            "cost_reserve_else_above_burst",
            "cost_above_quota",
            "own_number_burst_large",
            "own_number_cost_above_else",
            "own_number_else_large",
            "own_number_slow",
            "cost_list_above_burst",
            "directory_attributes_too_many",
            "override_below_cost",
            "override_quota_below_cost",
            "override_slow",
            "override_too_many_combinations",
            "overrides_multiply",
            "payload_bytes_large",
            "pool_queue_timeout_long",
            "rolling_quota_group_large",
            "rolling_window_long",
            "seats_idle_long",
            "usage_every_long",
        ],
    ),
];

#[test]
fn the_schema_rejects_all_that_a_schema_can() {
    let validator = validator(&schema());
    let left: BTreeSet<String> = LEFT_TO_THE_READERS
        .iter()
        .flat_map(|(_, names)| names.iter().map(|name| format!("bad_{name}.yaml")))
        .collect();
    let bad = files("tests/policies", "bad_");
    let trees = bad
        .iter()
        .filter_map(|(name, text)| Some((name, tree(text)?)));
    let accepted = trees.filter(|(_, document)| validator.is_valid(document));
    let accepted: BTreeSet<String> = accepted.map(|(name, _)| name.clone()).collect();
    let unexpected: Vec<_> = accepted.difference(&left).collect();
    assert!(
        unexpected.is_empty(),
        "the schema accepts these: {unexpected:#?}"
    );
    let refused: Vec<_> = left.difference(&accepted).collect();
    assert!(
        refused.is_empty(),
        "the list has these, but they are rejected or gone: {refused:#?}"
    );
}
