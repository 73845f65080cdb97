//! `sluicegate render istio` and `render envoy-gateway`: manifests that a cluster takes unchanged.

mod envoy_gateway;
mod istio;

pub(super) use envoy_gateway::{EnvoyGatewayArgs, render as envoy_gateway};
pub(super) use istio::{IstioArgs, render as istio};

use std::path::PathBuf;

use clap::Args;

use super::directory::DirectoryArgs;
use super::document::ReadPolicy;
use super::envoy::{Address, EngineArgs, audit};
use super::{Failure, document};
use crate::policy::Policy;
use crate::policy::document::Node;

#[derive(Debug, Args)]
struct Common {
    /// The policy, YAML or JSON; `-` reads standard input.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The image of the filter: oci://HOST/NAME:TAG, or oci://HOST/NAME@sha256:DIGEST.
    #[arg(long, value_parser = image)]
    image: String,
    /// The Secret with the registry's credentials, of the type kubernetes.io/dockerconfigjson.
    #[arg(long, value_name = "SECRET", value_parser = name)]
    pull_secret: Option<String>,
    /// The name of the manifests; a second policy in one namespace needs another.
    #[arg(long, default_value = "sluicegate", value_parser = name)]
    name: String,
    /// Send a log record of each refusal to an OpenTelemetry collector, over OTLP/gRPC: HOST:PORT.
    #[arg(long, value_parser = Address::parse)]
    otlp: Option<Address>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// A policy that a platform can enforce.
struct Ready {
    document: Node,
    policy: Policy,
    /// The cluster of the engine, as lines of a map.
    cluster: Option<String>,
}

impl Common {
    /// The policy, unless it needs a feature that the platform lacks.
    fn read(&self, platform: &str, kind: &str) -> Result<Ready, Failure> {
        let ReadPolicy {
            document, policy, ..
        } = document::read_valid(&self.policy, &self.directory)?;
        let payloads = policy.payloads.iter().enumerate();
        let held: Vec<String> = payloads
            .filter(|(_, payload)| payload.hold)
            .map(|(index, _)| format!("/payloads/{index}/hold"))
            .collect();
        if !held.is_empty() {
            return Err(Failure::Usage(format!(
                "{}: {platform} cannot hold a request until its body has passed: a {kind} has no \
                 `allow_on_headers_stop_iteration`. Remove `hold`, so that a request reaches the \
                 upstream while its body is measured, or run an Envoy of your own with \
                 `sluicegate render envoy`",
                held.join(", ")
            )));
        }
        let cluster = self.engine.cluster(&policy)?;
        let document = match self.otlp {
            Some(_) => audit::audited(&document, &policy),
            None => document,
        };
        Ok(Ready {
            document,
            policy,
            cluster,
        })
    }

    /// The names and formats of the audit log's attributes.
    fn audit_attributes(&self, policy: &Policy) -> Vec<(String, String)> {
        let reason = ("sluicegate.reason", "%RESPONSE_CODE_DETAILS%");
        let mut all = vec![(reason.0.to_owned(), reason.1.to_owned())];
        all.extend(audit::attributes(policy, self.otlp.is_some()));
        all
    }
}

impl Ready {
    /// The variable in the environment of Envoy's container that has the engine's password.
    fn password(&self) -> Option<&str> {
        let engine = self.policy.engine.as_ref()?;
        engine.password.as_deref()
    }
}

const OCI: &str = "oci://";

/// Parses the reference of an image.
fn image(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix(OCI) else {
        return Err(format!("\"{text}\" is not oci://HOST/NAME:TAG"));
    };
    let (path, digest) = rest.split_once('@').map_or((rest, None), |(path, digest)| {
        (
            path,
            Some(digest.strip_prefix("sha256:").unwrap_or_default()),
        )
    });
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.is_some_and(|hex| hex.len() != 64 || !hex.bytes().all(is_hex)) {
        return Err(format!(
            "\"{text}\" has a wrong digest: expected @sha256: and 64 hexadecimal digits"
        ));
    }
    let is_part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        !part.is_empty() && part.bytes().all(fits)
    };
    if path.contains('/') && path.split('/').all(is_part) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not oci://HOST/NAME:TAG"))
    }
}

/// Parses the name of an object.
fn name(text: &str) -> Result<String, String> {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends =
        bytes.first().is_some_and(is_alphanumeric) && bytes.last().is_some_and(is_alphanumeric);
    let fits = |byte: &u8| is_alphanumeric(byte) || *byte == b'-';
    if ends && bytes.len() <= 63 && bytes.iter().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "\"{text}\" is not a name: up to 63 lower-case letters, digits and dashes, with no \
             dash at an end"
        ))
    }
}
