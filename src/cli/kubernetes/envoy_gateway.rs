//! Manifests for Envoy Gateway.

use clap::Args;

use super::{Common, OCI, Ready};
use crate::cli::Failure;
use crate::cli::envoy::{audit, labels, stats_tags};
use crate::cli::yaml::{block, indented, quoted};
use crate::observe::access_log;
use crate::policy::document::Node;

#[derive(Debug, Args)]
pub(in crate::cli) struct EnvoyGatewayArgs {
    #[command(flatten)]
    common: Common,
    /// The Gateway that enforces the policy.
    #[arg(long, value_parser = super::name)]
    gateway: String,
    /// The namespace of the Gateway.
    #[arg(long, default_value = "default", value_parser = super::name)]
    namespace: String,
    /// Replace a VM that fails, by an EnvoyPatchPolicy, which Envoy Gateway's configuration must
    /// enable.
    #[arg(long)]
    reload: bool,
    /// The Gateway's listener, for --reload. Can be repeated.
    #[arg(long, value_name = "NAME", default_value = "http", value_parser = super::name)]
    listener: Vec<String>,
}

pub(in crate::cli) fn render(args: &EnvoyGatewayArgs) -> Result<String, Failure> {
    let common = &args.common;
    let ready = common.read("Envoy Gateway", "EnvoyExtensionPolicy")?;
    let image = common.image.strip_prefix(OCI).unwrap_or_default();
    let environment = ready
        .password()
        .map(|name| format!("      env:\n        hostKeys:\n          - {name}\n"));
    let secret = common.pull_secret.as_ref().map(|name| {
        format!(
            "          pullSecretRef:\n            name: {}\n",
            quoted(name)
        )
    });
    let (name, namespace) = (quoted(&common.name), quoted(&args.namespace));
    let gateway = quoted(&args.gateway);
    let mut text = format!(
        include_str!("envoy_gateway.yaml.in"),
        tags = labels(&ready.policy).join(", "),
        name = name,
        namespace = namespace,
        gateway = gateway,
        image = quoted(image),
        secret = secret.unwrap_or_default(),
        environment = environment.unwrap_or_default(),
        policy = indented(&block(&ready.document), 8),
        provider = provider(common, &ready),
        telemetry = telemetry(common, &ready),
        stats_tags = indented(&stats_tags(&labels(&ready.policy)), 10),
    );
    let patches = patches(args, &ready);
    if !patches.is_empty() {
        text.push_str(&format!(
            include_str!("patches.yaml.in"),
            name = name,
            namespace = namespace,
            gateway = gateway,
            patches = patches,
        ));
    }
    if let Some(path) = endpoint(&ready.document) {
        text.push_str(&format!(
            include_str!("endpoint.yaml.in"),
            name = name,
            namespace = namespace,
            gateway = gateway,
            path = quoted(&path),
        ));
    }
    Ok(text)
}

/// The environment of Envoy's container, with the engine's password.
fn provider(common: &Common, ready: &Ready) -> String {
    ready.password().map_or_else(String::new, |variable| {
        format!(
            include_str!("password.yaml.in"),
            secret = format_args!("{}-engine", common.name),
            variable = variable,
        )
    })
}

/// The access log; empty if the policy has none, so that Envoy Gateway's own applies.
fn telemetry(common: &Common, ready: &Ready) -> String {
    if common.otlp.is_none() && ready.policy.access_log.is_none() {
        return String::new();
    }
    let attributes = || {
        let all = common.audit_attributes(&ready.policy).into_iter();
        let lines = all.map(|(name, format)| format!("{name}: {}\n", quoted(&format)));
        indented(&lines.collect::<String>(), 14)
    };
    let audit = common.otlp.as_ref().map(|collector| {
        format!(
            include_str!("audit.yaml.in"),
            refusals = quoted(audit::REFUSALS),
            attributes = attributes(),
            host = quoted(collector.host()),
            port = collector.port(),
        )
    });
    let decision = format!(
        "              sluicegate: \"%FILTER_STATE(wasm.{}:PLAIN)%\"\n",
        access_log::KEY
    );
    format!(
        include_str!("access_log.yaml.in"),
        audit = audit.unwrap_or_default(),
        decision = decision,
    )
}

/// The changes to the configuration that Envoy Gateway writes for Envoy.
fn patches(args: &EnvoyGatewayArgs, ready: &Ready) -> String {
    let mut text = String::new();
    let (gateway, namespace) = (&args.gateway, &args.namespace);
    let name = &args.common.name;
    let filter = format!(
        "..http_filters[?(@.name=='envoy.filters.http.wasm/envoyextensionpolicy/{namespace}/{name}\
         /wasm/0')].typed_config.config"
    );
    if args.reload {
        for listener in &args.listener {
            text.push_str(&format!(
                include_str!("reload.yaml.in"),
                listener = quoted(&format!("{namespace}/{gateway}/{listener}")),
                filter = quoted(&filter),
            ));
        }
    }
    if let (Some(engine), Some(cluster)) = (&ready.policy.engine, &ready.cluster) {
        text.push_str(&format!(
            include_str!("engine.yaml.in"),
            cluster = quoted(&engine.cluster),
            value = indented(cluster, 10),
        ));
    }
    text
}

/// The path on which callers ask for their numbers.
fn endpoint(document: &Node) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(&document.to_json()).ok()?;
    let path = document.pointer("/replies/endpoint/path")?;
    path.as_str().map(str::to_owned)
}
