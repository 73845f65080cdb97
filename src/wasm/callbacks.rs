//! The callbacks of proxy-wasm 0.2.1, by the names under which the host looks for them.
//!
//! A stream begins with `on_context_create` and ends with `on_delete`. `on_log` and `on_done`,
//! which the host would call right before that, add nothing; neither does the response's body.

use super::abi::{DataStatus, HeadersStatus, TrailersStatus};
use super::{contexts, root};
use crate::queue::membership::RootId;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: the linker's own function, called once, before any other.
    unsafe { __wasm_call_ctors() };
    super::log::begin();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    contexts::create(context, root);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
    contexts::configure(root, size).into()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    contexts::on_tick(root);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(context: u32, _queue: u32) {
    root::on_queue_ready(RootId(context));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: usize, ends: u32) -> HeadersStatus {
    contexts::on_request_headers(context, ends != 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, ends: u32) -> DataStatus {
    contexts::on_request_body(context, size, ends != 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> TrailersStatus {
    contexts::on_request_trailers(context)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, _ends: u32) -> HeadersStatus {
    contexts::on_response_headers(context)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, _count: usize) -> TrailersStatus {
    contexts::on_response_trailers(context)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    root: u32,
    token: u32,
    headers: usize,
    body_size: usize,
    _trailers: usize,
) {
    contexts::on_call(root, token, headers, body_size);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(root: u32, token: u32, size: usize) {
    contexts::on_grpc_message(root, token, size);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(root: u32, token: u32, status: u32) {
    contexts::on_grpc_end(root, token, status);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    contexts::delete(context);
}
