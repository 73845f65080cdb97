//! A filter that makes one host call eight times for each request: the one that its configuration
//! names. With it, `make bench` measures the cost of each host call.
//!
//! Built for wasm32 as a library: `cargo build --release --example calls --target wasm32-wasip1`.

#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a filter that measures, not the request path"
)]

#[cfg(target_arch = "wasm32")]
#[allow(
    unsafe_code,
    reason = "the host's functions are foreign and pass memory"
)]
mod filter {
    use std::cell::Cell;
    use std::ptr::null_mut;

    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::{Action, ContextType};

    const TIMES: usize = 8;
    const KEYS: u32 = 1_000;

    const REQUEST_HEADERS: u32 = 0;
    const RESPONSE_HEADERS: u32 = 2;
    const COUNTER: u32 = 0;
    const RECORD: [u8; 64] = [7; 64];

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        fn proxy_add_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
        fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    }

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Root { call: None }));
    }}

    #[derive(Clone, Copy)]
    enum Call {
        AllHeaders,
        Header,
        AbsentHeader,
        EmptyProperty,
        Property,
        Clock,
        SharedGet,
        SharedGetEmpty,
        SharedSet,
        SharedSetKeys,
        SetField,
        AddField,
        Counter(u32),
        FilterState,
    }

    const FIELDS: [&str; TIMES] = ["x-a", "x-b", "x-c", "x-d", "x-e", "x-f", "x-g", "x-h"];

    thread_local! {
        static KEY: Cell<u32> = const { Cell::new(0) };
    }

    /// The call with this name in `benches/bench/calls.rs`.
    fn named(name: &[u8]) -> Option<Call> {
        Some(match name {
            b"all-headers" => Call::AllHeaders,
            b"header" => Call::Header,
            b"absent-header" => Call::AbsentHeader,
            b"empty-property" => Call::EmptyProperty,
            b"property" => Call::Property,
            b"clock" => Call::Clock,
            b"shared-get" => Call::SharedGet,
            b"shared-get-empty" => Call::SharedGetEmpty,
            b"shared-set" => Call::SharedSet,
            b"shared-set-keys" => Call::SharedSetKeys,
            b"set-field" => Call::SetField,
            b"add-field" => Call::AddField,
            b"counter" => {
                let (name, mut id) = (b"calls_total", 0);
                // SAFETY: the name is alive for the whole call, and the pointer is to our variable.
                unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
                Call::Counter(id)
            }
            b"filter-state" => Call::FilterState,
            _ => return None,
        })
    }

    /// Makes a call that returns memory, and frees it.
    fn received(fill: impl FnOnce(*mut *mut u8, *mut usize)) {
        let (mut data, mut size) = (null_mut(), 0);
        fill(&raw mut data, &raw mut size);
        if !data.is_null() {
            // SAFETY: the host allocated the memory with the SDK's `proxy_on_memory_allocate`, as a
            // vector of this capacity, has filled all of it, and passes ownership.
            drop(std::hint::black_box(unsafe {
                Vec::from_raw_parts(data, size, size)
            }));
        }
    }

    fn shared_get(key: &[u8]) {
        let mut cas = 0;
        // SAFETY: the key is alive for the whole call, and the pointers are to our variables.
        received(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas);
        });
    }

    fn shared_set(key: &[u8], value: &[u8]) {
        // SAFETY: both are alive during the call; the host copies them.
        unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) };
    }

    fn header(name: &str) {
        // SAFETY: the name is alive for the whole call, and the pointers are to our variables.
        received(|data, size| unsafe {
            proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, size);
        });
    }

    fn property(path: &str) {
        // SAFETY: the path is alive for the whole call, and the pointers are to our variables.
        received(|data, size| unsafe {
            proxy_get_property(path.as_ptr(), path.len(), data, size);
        });
    }

    impl Call {
        /// Makes the call for the request's head, if it belongs there.
        fn at_request(self) {
            match self {
                // SAFETY: the pointers are to our variables.
                Self::AllHeaders => received(|data, size| unsafe {
                    proxy_get_header_map_pairs(REQUEST_HEADERS, data, size);
                }),
                Self::Header => header("authorization"),
                Self::AbsentHeader => header("x-absent"),
                Self::EmptyProperty => property("metadata"),
                Self::Property => property("source\0address"),
                Self::Clock => {
                    let mut now = 0;
                    // SAFETY: the host writes eight bytes to this variable.
                    unsafe { proxy_get_current_time_nanoseconds(&raw mut now) };
                }
                Self::SharedGet => shared_get(b"record"),
                Self::SharedGetEmpty => shared_get(b"nothing"),
                Self::SharedSet => shared_set(b"one-record-here", &RECORD),
                Self::SharedSetKeys => {
                    let key = KEY.get();
                    // Uses all keys in an order that no cache predicts.
                    KEY.set((key + 617) % KEYS);
                    let mut name = *b"one-of-keys....";
                    name[11..].copy_from_slice(&key.to_le_bytes());
                    shared_set(&name, &RECORD);
                }
                // SAFETY: these are plain numbers.
                Self::Counter(id) => unsafe {
                    proxy_increment_metric(id, 1);
                },
                Self::FilterState => {
                    let (key, value) =
                        ("calls", "decision=admitted limit=read tier=read org=org-1");
                    // SAFETY: both are alive during the call; the host copies them.
                    unsafe {
                        proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len())
                    };
                }
                Self::SetField | Self::AddField => {}
            }
        }

        /// Makes the call for the response's head, if it belongs there; `number` counts the calls
        /// before.
        fn at_response(self, number: usize) {
            let name = FIELDS[number];
            // SAFETY: both are alive during the call; the host copies them.
            match self {
                Self::SetField => unsafe {
                    proxy_replace_header_map_value(
                        RESPONSE_HEADERS,
                        name.as_ptr(),
                        name.len(),
                        b"100".as_ptr(),
                        3,
                    );
                },
                Self::AddField => unsafe {
                    proxy_add_header_map_value(
                        RESPONSE_HEADERS,
                        name.as_ptr(),
                        name.len(),
                        b"100".as_ptr(),
                        3,
                    );
                },
                _ => {}
            }
        }
    }

    struct Root {
        call: Option<Call>,
    }

    impl Context for Root {}

    impl RootContext for Root {
        fn on_configure(&mut self, _: usize) -> bool {
            self.call = self
                .get_plugin_configuration()
                .and_then(|name| named(&name));
            shared_set(b"record", &RECORD);
            shared_set(b"nothing", &[]);
            self.call.is_some()
        }

        fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
            self.call
                .map(|call| Box::new(Stream { call }) as Box<dyn HttpContext>)
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    struct Stream {
        call: Call,
    }

    impl Context for Stream {}

    impl HttpContext for Stream {
        fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
            for _ in 0..TIMES {
                self.call.at_request();
            }
            Action::Continue
        }

        fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
            for number in 0..TIMES {
                self.call.at_response(number);
            }
            Action::Continue
        }
    }
}
