//! The two platforms: how each gets changed manifests, and an invalid policy.

use super::envoy_gateway::{self, EnvoyGateway};
use super::istio::{self, Istio, Normalization};
use super::manifests::Options;
use crate::harness::{Gateway, Policy, Setup, eventually};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A platform that enforces a policy.
pub(super) enum Platform {
    Istio(Arc<Istio>),
    EnvoyGateway(Arc<EnvoyGateway>),
}

impl Platform {
    pub(super) fn istio(options: Options) -> Self {
        Self::Istio(Arc::new(Istio::new(
            options,
            Normalization::DecodeAndMergeSlashes,
        )))
    }

    pub(super) async fn envoy_gateway(options: Options) -> Self {
        Self::EnvoyGateway(Arc::new(EnvoyGateway::start(options).await))
    }

    fn options(&self) -> &Options {
        match self {
            Self::Istio(istio) => &istio.options,
            Self::EnvoyGateway(gateway) => &gateway.options,
        }
    }

    pub(super) fn setup(&self, policy: &Policy) -> Setup {
        let setup = match self {
            Self::Istio(istio) => istio::setup(istio, policy),
            Self::EnvoyGateway(gateway) => envoy_gateway::setup(gateway, policy),
        };
        match self.options().engine {
            Some(engine) => setup.with_engine(engine),
            None => setup,
        }
    }

    /// Applies changed manifests, and waits until Envoy has them.
    pub(super) async fn apply(&self, gateway: &Gateway, policy: &Policy) {
        match self {
            Self::Istio(_) => {
                let text = gateway.extension(policy);
                write_extension(gateway, &text, "config_reload").await;
            }
            Self::EnvoyGateway(_) => gateway.update(policy).await.expect("a good policy"),
        }
    }

    /// Applies manifests with this text as the policy, which Envoy rejects. Returns its log.
    pub(super) async fn rejected(&self, gateway: &Gateway, policy: &Policy, text: &str) -> String {
        match self {
            Self::Istio(_) => {
                let mut resource: Value =
                    serde_json::from_str(&gateway.extension(policy)).expect("JSON");
                let at = "/resources/0/typed_config/config/configuration/value";
                *resource.pointer_mut(at).expect("a configuration") = json!(text);
                write_extension(gateway, &resource.to_string(), "update_rejected").await;
                gateway.log()
            }
            Self::EnvoyGateway(_) => {
                let rejected = gateway.update_text(text).await;
                rejected.expect_err("an invalid policy").log
            }
        }
    }

    /// Puts another filter into the image, and applies the manifests with its new tag.
    pub(super) async fn upgrade(&self, gateway: &Gateway, policy: &Policy, code: PathBuf) {
        self.options().replace_code(code);
        self.apply(gateway, policy).await;
    }
}

/// Puts the file in place that Envoy watches for the filter, and waits until Envoy has counted it.
pub(super) async fn write_extension(gateway: &Gateway, text: &str, counter: &str) {
    let before = gateway.admin.stat(counter).await;
    gateway.write_extension(text);
    eventually("Envoy reads the filter's file", async || {
        (gateway.admin.stat(counter).await > before).then_some(())
    })
    .await;
}
