//! `sluicegate render istio` and `render envoy-gateway`: manifests that a cluster takes unchanged.

use std::path::PathBuf;

use clap::Args;

use super::directory::DirectoryArgs;
use super::document::ReadPolicy;
use super::yaml::{block, indented, quoted};
use super::{Failure, document, envoy};
use crate::observe::access_log;
use crate::observe::metrics::LABELS;
use crate::policy::Policy;
use crate::policy::document::Node;

#[derive(Debug, Args)]
pub(super) struct IstioArgs {
    #[command(flatten)]
    common: Common,
    /// The label of the pods that enforce the policy: KEY=VALUE. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = envoy::parse_pair,
          default_value = "istio=ingressgateway")]
    selector: Vec<(String, String)>,
    /// The namespace of these pods.
    #[arg(long, default_value = "istio-system", value_parser = name)]
    namespace: String,
    /// Istio up to 1.26, which cannot replace a VM that fails: requests then fail until Envoy
    /// restarts.
    #[arg(long = "istio-before-1.27")]
    istio_before_1_27: bool,
}

#[derive(Debug, Args)]
pub(super) struct EnvoyGatewayArgs {
    #[command(flatten)]
    common: Common,
    /// The Gateway that enforces the policy.
    #[arg(long, value_parser = name)]
    gateway: String,
    /// The namespace of the Gateway.
    #[arg(long, default_value = "default", value_parser = name)]
    namespace: String,
    /// Replace a VM that fails, by an EnvoyPatchPolicy, which Envoy Gateway's configuration must
    /// enable.
    #[arg(long)]
    reload: bool,
}

#[derive(Debug, Args)]
struct Common {
    /// The policy, YAML or JSON; `-` reads standard input.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The image of the filter: oci://HOST/NAME:TAG, or with a digest.
    #[arg(long, value_parser = image)]
    image: String,
}

/// A policy that a platform can enforce.
struct Ready {
    document: Node,
    password: Option<Box<str>>,
}

pub(super) fn istio(args: &IstioArgs) -> Result<String, Failure> {
    let ready = ready(&args.common, "Istio", "WasmPlugin")?;
    let labels: String = args
        .selector
        .iter()
        .map(|(key, value)| format!("      {}: {}\n", quoted(key), quoted(value)))
        .collect();
    let (versions, strategy) = if args.istio_before_1_27 {
        ("1.22 to 1.26", "FAIL_CLOSE")
    } else {
        ("1.27 and later", "FAIL_RELOAD")
    };
    let environment = ready.password.as_deref().map_or_else(String::new, |name| {
        format!("  vmConfig:\n    env:\n      - {{ name: {name}, valueFrom: HOST }}\n")
    });
    Ok(format!(
        include_str!("kubernetes/istio.yaml.in"),
        versions = versions,
        tags = LABELS.join(", "),
        key = access_log::KEY,
        namespace = quoted(&args.namespace),
        labels = labels,
        image = quoted(&args.common.image),
        strategy = strategy,
        environment = environment,
        policy = indented(&block(&ready.document), 4),
    ))
}

pub(super) fn envoy_gateway(args: &EnvoyGatewayArgs) -> Result<String, Failure> {
    let ready = ready(&args.common, "Envoy Gateway", "EnvoyExtensionPolicy")?;
    let image = args.common.image.strip_prefix(OCI).unwrap_or_default();
    let environment = ready.password.as_deref().map_or_else(String::new, |name| {
        format!("      env: {{ hostKeys: [{name}] }}\n")
    });
    let gateway = quoted(&args.gateway);
    let namespace = quoted(&args.namespace);
    let mut text = format!(
        include_str!("kubernetes/envoy_gateway.yaml.in"),
        tags = LABELS.join(", "),
        namespace = namespace,
        gateway = gateway,
        image = quoted(image),
        environment = environment,
        policy = indented(&block(&ready.document), 8),
    );
    if args.reload {
        text.push_str(&format!(
            include_str!("kubernetes/reload.yaml.in"),
            namespace = namespace,
            gateway = gateway,
            listener = quoted(&format!("{}/{}/http", args.namespace, args.gateway)),
            filter = args.namespace,
        ));
    }
    if let Some(path) = endpoint(&ready.document) {
        text.push_str(&format!(
            include_str!("kubernetes/endpoint.yaml.in"),
            namespace = namespace,
            gateway = gateway,
            path = quoted(&path),
        ));
    }
    Ok(text)
}

/// The policy, unless it needs a feature that the platform lacks.
fn ready(args: &Common, platform: &str, kind: &str) -> Result<Ready, Failure> {
    let ReadPolicy {
        document, policy, ..
    } = document::read_valid(&args.policy, &args.directory)?;
    if let Some(index) = policy.payloads.iter().position(|payload| payload.hold) {
        return Err(Failure::Usage(format!(
            "/payloads/{index}/hold: {platform} cannot hold a request until its body has passed: \
             a {kind} has no `allow_on_headers_stop_iteration`. Remove `hold`, so that a request \
             reaches the upstream while its body is measured, or run an Envoy of your own with \
             `sluicegate render envoy`"
        )));
    }
    warn_of_engine(&policy, platform);
    Ok(Ready {
        password: policy.engine.and_then(|engine| engine.password),
        document,
    })
}

fn warn_of_engine(policy: &Policy, platform: &str) {
    if let Some(engine) = &policy.engine {
        eprintln!(
            "sluicegate: warning: the policy has a limit with `scope: global`, so {platform} needs \
             a cluster {} besides these manifests: the one that `render envoy --engine` writes",
            engine.cluster
        );
    }
}

/// The path on which callers ask for their numbers.
fn endpoint(document: &Node) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(&document.to_json()).ok()?;
    let path = document.pointer("/replies/endpoint/path")?;
    path.as_str().map(str::to_owned)
}

const OCI: &str = "oci://";

/// Parses the reference of an image.
fn image(text: &str) -> Result<String, String> {
    match text.strip_prefix(OCI) {
        Some(rest) if rest.contains('/') && !rest.contains(char::is_whitespace) => {
            Ok(text.to_owned())
        }
        Some(_) | None => Err(format!("\"{text}\" is not oci://HOST/NAME:TAG")),
    }
}

/// Parses the name of an object.
fn name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "\"{text}\" is not a name: lower-case letters, digits and dashes"
        ))
    }
}
