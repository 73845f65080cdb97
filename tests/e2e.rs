//! The scenarios on an Envoy process.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::string_slice,
    reason = "test code"
)]

#[cfg(test)]
#[path = "e2e/archive.rs"]
mod archive;
#[cfg(test)]
#[path = "e2e/audit.rs"]
mod audit;
#[cfg(test)]
#[path = "support/checkout.rs"]
mod checkout;
#[cfg(test)]
#[path = "e2e/dashboards.rs"]
mod dashboards;
#[cfg(test)]
#[path = "e2e/extension.rs"]
mod extension;
#[cfg(test)]
#[path = "e2e/fleet.rs"]
mod fleet;
#[cfg(test)]
#[path = "support/harness.rs"]
mod harness;
#[cfg(test)]
#[path = "e2e/images.rs"]
mod images;
#[cfg(test)]
#[path = "e2e/kubernetes.rs"]
mod kubernetes;
#[cfg(test)]
#[path = "e2e/many_keys.rs"]
mod many_keys;
#[cfg(test)]
#[path = "e2e/operators.rs"]
mod operators;
#[cfg(test)]
#[path = "support/otlp.rs"]
mod otlp;
#[cfg(test)]
#[path = "support/process.rs"]
mod process;
#[cfg(test)]
#[path = "support/prometheus.rs"]
mod prometheus;
#[cfg(test)]
#[path = "e2e/pushed.rs"]
mod pushed;
#[cfg(test)]
#[path = "support/redis.rs"]
mod redis;
#[cfg(test)]
#[path = "support/registry.rs"]
mod registry;
#[cfg(test)]
#[path = "e2e/reload.rs"]
mod reload;
#[cfg(test)]
#[path = "e2e/scenarios.rs"]
mod scenarios;
#[cfg(test)]
#[path = "support/tokens.rs"]
mod tokens;
#[cfg(test)]
#[path = "e2e/upgrades.rs"]
mod upgrades;
#[cfg(test)]
#[path = "e2e/usage.rs"]
mod usage;
#[cfg(test)]
#[path = "e2e/usage_outside.rs"]
mod usage_outside;

/// One test for each scenario, with the scenario's name.
macro_rules! on_a_process {
    ($($module:ident: [$($name:ident),* $(,)?])*) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                let scenario = crate::scenarios::$module::$name;
                crate::harness::run(crate::process::Process::make, scenario);
            })*
        })*
    };
}

scenarios::for_each_scenario!(on_a_process);
