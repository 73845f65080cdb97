//! The edge: Envoy's callbacks in, host calls out. It translates and decides nothing.

#[allow(unsafe_code, reason = "the host's functions are foreign, and hand over memory")]
mod abi;
mod host;
mod root;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
