//! A filter that only makes the host calls that every limiter needs. `make bench` compares ours
//! with this floor.
//!
//! It reads all request headers once and the clock once, and sets three response fields. It does
//! not parse the headers, and calls the host directly, since the SDK would parse them.
//!
//! Built for wasm32 as a library: `cargo build --release --example floor --target wasm32-wasip1`.

#![allow(missing_docs, reason = "the exports are for the host, not a library's")]

#[cfg(target_arch = "wasm32")]
#[allow(
    unsafe_code,
    reason = "the host's functions are foreign and pass memory"
)]
mod filter {
    use std::hint::black_box;
    use std::ptr::null_mut;

    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType};

    const REQUEST_HEADERS: u32 = 0;
    const RESPONSE_HEADERS: u32 = 2;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
    }

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Floor));
    }}

    struct Floor;

    impl Context for Floor {}

    impl RootContext for Floor {
        fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Floor))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    impl HttpContext for Floor {
        fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
            let (mut data, mut size, mut now) = (null_mut(), 0, 0);
            // SAFETY: the pointers are to our variables.
            unsafe {
                proxy_get_header_map_pairs(REQUEST_HEADERS, &raw mut data, &raw mut size);
                proxy_get_current_time_nanoseconds(&raw mut now);
            }
            if !data.is_null() {
                // SAFETY: the host allocated the memory with the SDK's `proxy_on_memory_allocate`,
                // as a vector of this capacity, has filled all of it, and passes ownership.
                drop(black_box(unsafe { Vec::from_raw_parts(data, size, size) }));
            }
            black_box(now);
            Action::Continue
        }

        fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
            for (name, value) in [
                ("x-ratelimit-limit", "100"),
                ("x-ratelimit-remaining", "99"),
                ("x-ratelimit-reset", "1"),
            ] {
                // SAFETY: both are alive during the call; the host copies them.
                unsafe {
                    proxy_replace_header_map_value(
                        RESPONSE_HEADERS,
                        name.as_ptr(),
                        name.len(),
                        value.as_ptr(),
                        value.len(),
                    )
                };
            }
            Action::Continue
        }
    }
}
