//! A filter that does nothing, as a baseline for `make bench`.
//!
//! Built for wasm32 as a library: `cargo build --release --example noop --target wasm32-wasip1`.

#![allow(missing_docs, reason = "the exports are for the host, not a library's")]

#[cfg(target_arch = "wasm32")]
mod filter {
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType};

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Noop));
    }}

    struct Noop;

    impl Context for Noop {}

    impl RootContext for Noop {
        fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Noop))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    impl HttpContext for Noop {
        fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
            Action::Continue
        }

        fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
            Action::Continue
        }
    }
}
