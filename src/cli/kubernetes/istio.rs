//! Manifests for Istio.

use clap::Args;

use super::{Common, Ready};
use crate::cli::Failure;
use crate::cli::envoy::{self, audit, parse_pair};
use crate::cli::yaml::{block, indented, quoted};
use crate::observe::access_log;

#[derive(Debug, Args)]
pub(in crate::cli) struct IstioArgs {
    #[command(flatten)]
    common: Common,
    /// The label of the pods that enforce the policy: KEY=VALUE. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair,
          default_value = "istio=ingressgateway")]
    selector: Vec<(String, String)>,
    /// The namespace of these pods.
    #[arg(long, default_value = "istio-system", value_parser = super::name)]
    namespace: String,
    /// These pods are applications with a sidecar: the policy is for the requests that they
    /// receive.
    #[arg(long)]
    sidecar: bool,
    /// Istio up to 1.26, which cannot replace a VM that fails: requests then fail until Envoy
    /// restarts.
    #[arg(long = "istio-before-1.27")]
    istio_before_1_27: bool,
}

pub(in crate::cli) fn render(args: &IstioArgs) -> Result<String, Failure> {
    let common = &args.common;
    let ready = common.read("Istio", "WasmPlugin")?;
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
    let (received, received_log, context) = if args.sidecar {
        (
            "  # Requests that the pods receive, not those that they send.\n  match:\n    - mode: \
             SERVER\n",
            "      match:\n        mode: SERVER\n",
            "SIDECAR_OUTBOUND",
        )
    } else {
        ("", "", "GATEWAY")
    };
    let secret = common.pull_secret.as_ref();
    let secret = secret.map(|name| format!("  imagePullSecret: {}\n", quoted(name)));
    let environment = ready.password().map(|name| {
        format!("  vmConfig:\n    env:\n      - name: {name}\n        valueFrom: HOST\n")
    });
    let (name, namespace) = (quoted(&common.name), quoted(&args.namespace));
    let mut text = format!(
        include_str!("istio.yaml.in"),
        versions = versions,
        tags = envoy::labels(&ready.policy).join(", "),
        provider = provider(common, &ready),
        key = access_log::KEY,
        name = name,
        audit = quoted(&format!("{}-audit", common.name)),
        namespace = namespace,
        labels = labels,
        r#match = received,
        log_match = received_log,
        image = quoted(&common.image),
        secret = secret.unwrap_or_default(),
        strategy = strategy,
        environment = environment.unwrap_or_default(),
        policy = indented(&block(&ready.document), 4),
        refusals = quoted(audit::REFUSALS),
    );
    if let Some(cluster) = &ready.cluster {
        text.push_str(&format!(
            include_str!("istio_engine.yaml.in"),
            name = name,
            namespace = namespace,
            labels = labels,
            context = context,
            cluster = indented(cluster, 10),
        ));
    }
    Ok(text)
}

/// The provider of the audit log, as a comment: the mesh's configuration has it.
fn provider(common: &Common, ready: &Ready) -> String {
    let attributes = common.audit_attributes(&ready.policy);
    let labels: String = attributes
        .iter()
        .map(|(name, format)| format!("{name}: {}\n", quoted(format)))
        .collect();
    let kind = match &common.otlp {
        Some(collector) => format!(
            "envoyOtelAls:\n  service: {}\n  port: {}\n  logFormat:\n    text: \
             \"%RESPONSE_CODE_DETAILS%\"\n    labels:\n",
            quoted(collector.host()),
            collector.port(),
        ),
        None => "envoyFileAccessLog:\n  path: /dev/stdout\n  logFormat:\n    labels:\n".to_owned(),
    };
    let text = indented(&(kind + &indented(&labels, 6)), 8);
    text.lines().map(|line| format!("# {line}\n")).collect()
}
