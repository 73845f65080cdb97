//! Calls to clusters.

use super::{OK, Status};
use crate::base::varint;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_milliseconds: u32,
        token: *mut u32,
    ) -> Status;
    fn proxy_grpc_call(
        service: *const u8,
        service_size: usize,
        name: *const u8,
        name_size: usize,
        method: *const u8,
        method_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        message: *const u8,
        message_size: usize,
        timeout_milliseconds: u32,
        token: *mut u32,
    ) -> Status;
}

/// Sends a request to a cluster; its number, or `None` if the host does not.
pub(in crate::wasm) fn http_call(
    cluster: &str,
    headers: &[u8],
    body: &[u8],
    millis: u32,
) -> Option<u32> {
    let mut token = 0;
    let trailers = 0_u32.to_le_bytes();
    // SAFETY: all are alive for the whole call, the host copies them, and the place is ours.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            millis,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Sends a message to a method of a gRPC service; its number, or `None` if the host does not.
pub(in crate::wasm) fn grpc_call(
    cluster: &str,
    (service, method): (&str, &str),
    message: &[u8],
    millis: u32,
) -> Option<u32> {
    let mut token = 0;
    let metadata = 0_u32.to_le_bytes();
    // `envoy.config.core.v3.GrpcService`, of which the host also takes a bare name, unless that
    // happens to be a message: its first field is `EnvoyGrpc`, whose first one is the cluster.
    let target = field(1, &field(1, cluster.as_bytes()));
    // SAFETY: all are alive for the whole call, the host copies them, and the place is ours.
    let status = unsafe {
        proxy_grpc_call(
            target.as_ptr(),
            target.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            message.as_ptr(),
            message.len(),
            millis,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// A protobuf message of one field that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    const LENGTH: u8 = 2;
    let mut message = vec![(number << 3) | LENGTH];
    varint::push(u64::try_from(bytes.len()).unwrap_or_default(), &mut message);
    message.extend_from_slice(bytes);
    message
}
