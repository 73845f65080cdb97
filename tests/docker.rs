//! The same scenarios on an Envoy container, and the containers that `make up` starts.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::string_slice,
    reason = "test code"
)]

#[cfg(test)]
#[path = "support/checkout.rs"]
mod checkout;
#[cfg(test)]
#[path = "e2e/compose.rs"]
mod compose;
#[cfg(test)]
#[path = "support/container.rs"]
mod container;
#[cfg(test)]
#[path = "support/harness.rs"]
mod harness;
#[cfg(test)]
#[path = "e2e/scenarios.rs"]
mod scenarios;

/// One test for each scenario, with the scenario's name.
macro_rules! in_a_container {
    ($($module:ident: [$($name:ident),* $(,)?])*) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                let scenario = crate::scenarios::$module::$name;
                crate::harness::run(crate::container::Container::make, scenario);
            })*
        })*
    };
}

scenarios::for_each_scenario!(in_a_container);
