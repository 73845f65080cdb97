//! The host calls of proxy-wasm 0.2.1 that the filter makes, none of which panics: a status is a
//! [`Fault`] or an absent value (decision 0004).

mod calls;

use std::alloc::{Layout, alloc};
use std::ptr::null_mut;

use crate::host::fault::Fault;
pub(super) use calls::{grpc_call, http_call};

type Status = u32;

const OK: Status = 0;
const NOT_FOUND: Status = 1;
const EMPTY: Status = 7;
const CAS_MISMATCH: Status = 8;

/// The header maps that the filter touches.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    RequestHeaders = 0,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    CallResponseHeaders = 6,
}

/// Data that is read in pieces.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Buffer {
    RequestBody = 0,
    CallResponseBody = 4,
    GrpcMessage = 5,
    PluginConfiguration = 7,
}

const REQUEST: u32 = 0;

/// The host's next step after a callback with headers.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum HeadersStatus {
    Continue = 0,
    /// The filters after this one wait. With `allow_on_headers_stop_iteration` the callbacks with
    /// the body are made all the same; without it this is the next.
    StopIteration = 1,
    /// All waits, and the host reads no more than its buffer holds.
    StopAllIterationAndWatermark = 4,
}

/// The host's next step after a callback with a part of the body.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum DataStatus {
    Continue = 0,
    /// It keeps the part in the buffer that the filter reads, and refuses a body beyond its buffer.
    StopIterationAndBuffer = 1,
    /// It keeps the part, and reads no more than its buffer holds.
    StopIterationAndWatermark = 2,
}

/// The host's next step after a callback with trailers.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum TrailersStatus {
    Continue = 0,
    StopIteration = 1,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> Status;
    fn proxy_set_tick_period_milliseconds(period: u32) -> Status;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> Status;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
        cas: *mut u32,
    ) -> Status;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> Status;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> Status;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> Status;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> Status;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> Status;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> Status;
    fn proxy_register_shared_queue(name: *const u8, name_size: usize, token: *mut u32) -> Status;
    fn proxy_enqueue_shared_queue(token: u32, value: *const u8, value_size: usize) -> Status;
    fn proxy_dequeue_shared_queue(
        token: u32,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> Status;
    fn proxy_set_effective_context(context: u32) -> Status;
    fn proxy_continue_stream(kind: u32) -> Status;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> Status;
    fn proxy_increment_metric(id: u32, offset: i64) -> Status;
    fn proxy_record_metric(id: u32, value: u64) -> Status;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// WASI's number of the monotonic clock.
const MONOTONIC: u32 = 1;

/// Memory that the host fills, and [`received`] takes over; null if there is none left.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: the size is not zero.
        Ok(layout) if size > 0 => unsafe { alloc(layout) },
        Ok(_) | Err(_) => null_mut(),
    }
}

/// Calls `fill` with two places for memory that the host allocates here, and takes it over.
fn received(fill: impl FnOnce(*mut *mut u8, *mut usize) -> Status) -> (Status, Vec<u8>) {
    let (mut data, mut size) = (null_mut(), 0);
    let status = fill(&raw mut data, &raw mut size);
    if status != OK || data.is_null() {
        return (status, Vec::new());
    }
    // SAFETY: the host took the memory from `proxy_on_memory_allocate`, which gives exactly `size`
    // bytes of the global allocator, and filled all of it. Nothing else refers to it.
    (status, unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Writes a line to the proxy's log.
pub(super) fn log(level: u32, message: &str) {
    // SAFETY: the message is alive for the whole call; the host copies it.
    unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}

/// Calls this root context's tick so often from now on.
pub(super) fn set_tick_period(milliseconds: u32) {
    // SAFETY: a plain number.
    unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
}

pub(super) fn now_nanos() -> u64 {
    let mut nanos = 0;
    // SAFETY: the host writes eight bytes to the place it is given.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut nanos) };
    nanos
}

/// The time of the host's monotonic clock, which all of its threads share.
pub(super) fn monotonic_nanos() -> u64 {
    let mut nanos = 0;
    // SAFETY: the host writes eight bytes to the place it is given.
    unsafe { clock_time_get(MONOTONIC, 0, &raw mut nanos) };
    nanos
}

/// The value under `key`, empty if there is none, and its version; 0 if there is no key.
pub(super) fn shared_data(key: &[u8]) -> Result<(Vec<u8>, u32), Fault> {
    let mut cas = 0;
    // SAFETY: the key is alive for the whole call, and the places are ours.
    let (status, value) = received(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
    });
    match status {
        OK => Ok((value, cas)),
        NOT_FOUND => Ok((Vec::new(), 0)),
        other => Err(Fault::HostStatus(other)),
    }
}

/// Stores `value` if the version is still `cas`; false if it is not.
pub(super) fn set_shared_data(key: &[u8], value: &[u8], cas: u32) -> Result<bool, Fault> {
    // SAFETY: key and value are alive for the whole call; the host copies both.
    match unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    } {
        OK => Ok(true),
        CAS_MISMATCH => Ok(false),
        other => Err(Fault::HostStatus(other)),
    }
}

/// A whole header map as the host writes it; empty if it cannot be had.
pub(super) fn header_block(map: Map) -> Vec<u8> {
    // SAFETY: the places are ours.
    received(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) }).1
}

/// Up to `max` bytes of a buffer from the byte `start` on; empty if they cannot be had.
pub(super) fn bytes(buffer: Buffer, start: usize, max: usize) -> Vec<u8> {
    // SAFETY: the places are ours.
    received(|data, size| unsafe { proxy_get_buffer_bytes(buffer as u32, start, max, data, size) })
        .1
}

pub(super) fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: the name is alive for the whole call, and the places are ours.
    let (status, value) = received(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    });
    (status == OK).then_some(value)
}

pub(super) fn set_header(map: Map, name: &str, value: &str) {
    // SAFETY: both are alive for the whole call; the host copies them.
    unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
}

pub(super) fn remove_header(map: Map, name: &str) {
    // SAFETY: the name is alive for the whole call.
    unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
}

/// A property; its path is joined by NULs.
pub(super) fn property(path: &str) -> Option<Vec<u8>> {
    // SAFETY: the path is alive for the whole call, and the places are ours.
    let (status, value) =
        received(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) });
    (status == OK).then_some(value)
}

pub(super) fn set_property(path: &str, value: &str) {
    // SAFETY: both are alive for the whole call; the host copies them.
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
}

pub(super) fn send_local_response(
    status: u32,
    details: &str,
    body: &str,
    headers: &[u8],
    grpc_status: i32,
) {
    // SAFETY: all are alive for the whole call; the host copies them.
    unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    };
}

/// The number of a metric. The host makes a new one at each call: define each name once per VM.
pub(super) fn define_metric(kind: u32, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the name is alive for the whole call, and the place is ours.
    let status = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Adds to a counter, for which the host refuses any amount below one, or moves a gauge.
pub(super) fn increment_metric(id: u32, amount: i64) {
    // SAFETY: plain numbers.
    unsafe { proxy_increment_metric(id, amount) };
}

/// Sets a gauge, or records a value in a histogram.
pub(super) fn record_metric(id: u32, value: u64) {
    // SAFETY: plain numbers.
    unsafe { proxy_record_metric(id, value) };
}

/// Wakes the root context of this callback for the queue called `name` from now on; its token.
pub(super) fn register_queue(name: &[u8]) -> Result<u32, Fault> {
    let mut token = 0;
    // SAFETY: the name is alive for the whole call, and the place is ours.
    match unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut token) } {
        OK => Ok(token),
        other => Err(Fault::HostStatus(other)),
    }
}

pub(super) fn enqueue(token: u32, message: &[u8]) -> Result<(), Fault> {
    // SAFETY: the message is alive for the whole call; the host copies it.
    match unsafe { proxy_enqueue_shared_queue(token, message.as_ptr(), message.len()) } {
        OK => Ok(()),
        other => Err(Fault::HostStatus(other)),
    }
}

/// The oldest message; `None` if there is none.
pub(super) fn dequeue(token: u32) -> Result<Option<Vec<u8>>, Fault> {
    // SAFETY: the places are ours.
    let (status, message) =
        received(|data, size| unsafe { proxy_dequeue_shared_queue(token, data, size) });
    match status {
        OK => Ok(Some(message)),
        EMPTY => Ok(None),
        other => Err(Fault::HostStatus(other)),
    }
}

/// Makes the calls that follow those of another context, until this callback ends or names another.
/// False if there is no such context any more.
pub(super) fn set_effective_context(context: u32) -> bool {
    // SAFETY: a plain number.
    unsafe { proxy_set_effective_context(context) == OK }
}

/// Lets the paused request of this context go on: exactly once for each pause.
pub(super) fn resume_request() {
    // SAFETY: a plain number.
    unsafe { proxy_continue_stream(REQUEST) };
}
