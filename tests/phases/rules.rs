//! Which host call is allowed in which callback.
//!
//! Envoy answers most calls out of their time with a status, and some with wrong behaviour: two
//! requests to the upstream, a response within a response. Here each is an error. The sources are
//! Envoy's `source/extensions/common/wasm/context.cc` (below: `context.cc`) and proxy-wasm-cpp-host
//! (below: `host`).

use super::stream::Stream;

/// The callbacks of proxy-wasm, and `_initialize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    Start,
    ContextCreate,
    VmStart,
    Configure,
    Tick,
    CallResponse,
    GrpcReceive,
    GrpcClose,
    QueueReady,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Log,
    Done,
    Delete,
}

impl Callback {
    /// The name of the export.
    pub(crate) const fn export(self) -> &'static str {
        match self {
            Self::Start => "_initialize",
            Self::ContextCreate => "proxy_on_context_create",
            Self::VmStart => "proxy_on_vm_start",
            Self::Configure => "proxy_on_configure",
            Self::Tick => "proxy_on_tick",
            Self::CallResponse => "proxy_on_http_call_response",
            Self::GrpcReceive => "proxy_on_grpc_receive",
            Self::GrpcClose => "proxy_on_grpc_close",
            Self::QueueReady => "proxy_on_queue_ready",
            Self::RequestHeaders => "proxy_on_request_headers",
            Self::RequestBody => "proxy_on_request_body",
            Self::RequestTrailers => "proxy_on_request_trailers",
            Self::ResponseHeaders => "proxy_on_response_headers",
            Self::ResponseBody => "proxy_on_response_body",
            Self::ResponseTrailers => "proxy_on_response_trailers",
            Self::Log => "proxy_on_log",
            Self::Done => "proxy_on_done",
            Self::Delete => "proxy_on_delete",
        }
    }
}

/// The header maps by their numbers in the ABI.
pub(crate) const REQUEST_HEADERS: u32 = 0;
pub(crate) const REQUEST_TRAILERS: u32 = 1;
pub(crate) const RESPONSE_HEADERS: u32 = 2;
pub(crate) const RESPONSE_TRAILERS: u32 = 3;
pub(crate) const CALL_RESPONSE_HEADERS: u32 = 6;

/// The buffers by their numbers in the ABI.
pub(crate) const REQUEST_BODY: u32 = 0;
pub(crate) const RESPONSE_BODY: u32 = 1;
pub(crate) const CALL_RESPONSE_BODY: u32 = 4;
pub(crate) const GRPC_MESSAGE: u32 = 5;
pub(crate) const VM_CONFIGURATION: u32 = 6;
pub(crate) const PLUGIN_CONFIGURATION: u32 = 7;

/// The stream of `proxy_continue_stream` that is a request.
pub(crate) const REQUEST: u32 = 0;

/// A host call, as far as the rules distinguish it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call<'a> {
    /// A line in the log.
    Log,
    /// Clock, shared data, queues, ticks, a change of a metric, the effective context.
    Anywhere,
    ReadHeaders(u32),
    WriteHeaders(u32),
    Buffer(u32),
    Property(&'a str),
    SetProperty,
    LocalResponse,
    ContinueStream(u32),
    DefineMetric,
    /// A call to a cluster.
    Cluster,
}

/// When a call is made, and for which context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) callback: Callback,
    /// The stream that the call concerns; `None` if it is a root context.
    pub(crate) stream: Option<&'a Stream>,
    /// Whether that is the context of the callback, not one that
    /// `proxy_set_effective_context` names.
    pub(crate) is_own: bool,
}

/// # Errors
/// Why the call is not allowed.
pub(crate) fn check(call: Call<'_>, at: Moment<'_>) -> Result<(), &'static str> {
    if at.callback == Callback::Start && !matches!(call, Call::Log) {
        return Err("no context exists yet (host: WasmBase::startVm)");
    }
    match call {
        Call::Log | Call::Anywhere => Ok(()),
        Call::Cluster => http_call(at),
        Call::ReadHeaders(map) => headers(map, at, true),
        Call::WriteHeaders(map) => headers(map, at, false),
        Call::Buffer(kind) => buffer(kind, at),
        Call::Property(path) => property(path, at),
        Call::SetProperty => set_property(at),
        Call::LocalResponse => local_response(at),
        Call::ContinueStream(kind) => continue_stream(kind, at),
        Call::DefineMetric => match at.callback {
            Callback::VmStart | Callback::Configure => Ok(()),
            // Counters for usage, each once per VM all the same.
            Callback::Tick | Callback::Delete if at.stream.is_none() => Ok(()),
            _ => Err("a metric is defined once, at the start (host: each call makes a new one)"),
        },
    }
}

/// Envoy has a header map from its callback until that answers *continue*, and shows it to the
/// access log (`context.cc`: `getMap`, `getConstMap`, `decodeHeaders`).
fn headers(map: u32, at: Moment<'_>, only_reads: bool) -> Result<(), &'static str> {
    let Some(stream) = at.stream else {
        return match (map, at.callback) {
            (CALL_RESPONSE_HEADERS, Callback::CallResponse) if only_reads => Ok(()),
            _ => Err("a root context has no headers but those of an answered call"),
        };
    };
    if !at.is_own {
        return match map {
            REQUEST_HEADERS if stream.has_head_at_hand() => Ok(()),
            _ => Err("the stream is not paused at these headers"),
        };
    }
    let is_log = at.callback == Callback::Log && only_reads && map != REQUEST_TRAILERS;
    let its_own = match map {
        REQUEST_HEADERS => Callback::RequestHeaders,
        REQUEST_TRAILERS => Callback::RequestTrailers,
        RESPONSE_HEADERS => Callback::ResponseHeaders,
        RESPONSE_TRAILERS => Callback::ResponseTrailers,
        _ => return Err("no such header map"),
    };
    if at.callback == its_own || is_log {
        return Ok(());
    }
    Err("these headers are not at hand (context.cc: getConstMap)")
}

/// `context.cc`: `getBuffer`; a configuration is there while it is announced.
fn buffer(kind: u32, at: Moment<'_>) -> Result<(), &'static str> {
    let callbacks: &[Callback] = match kind {
        REQUEST_BODY => &[Callback::RequestBody],
        RESPONSE_BODY => &[Callback::ResponseBody],
        VM_CONFIGURATION => &[Callback::VmStart],
        PLUGIN_CONFIGURATION => &[Callback::Configure],
        CALL_RESPONSE_BODY => &[Callback::CallResponse],
        GRPC_MESSAGE => &[Callback::GrpcReceive],
        _ => return Err("no such buffer"),
    };
    if at.is_own && callbacks.contains(&at.callback) {
        return Ok(());
    }
    if kind == REQUEST_BODY && !at.is_own && at.stream.is_some_and(|stream| stream.shows_kept) {
        return Ok(());
    }
    Err("this buffer is not at hand (context.cc: getBuffer)")
}

/// The answer arrives at the context that calls. A stream may be gone by then, and its answer must
/// be entered all the same. A call in a callback with the end of another may get its connection,
/// which the peer is about to close (measured on Envoy 1.40).
fn http_call(at: Moment<'_>) -> Result<(), &'static str> {
    match (at.stream, at.callback) {
        (Some(_), _) => Err("a call of a stream ends with it"),
        (None, Callback::CallResponse) => Err("the connection of the call before is still there"),
        (None, Callback::Configure) => {
            Err("a call while a policy is loaded may have no cluster yet")
        }
        (None, _) => Ok(()),
    }
}

/// The *attributes* in Envoy's documentation that the filter may ask for: a misspelled one would be
/// absent for ever.
fn property(path: &str, at: Moment<'_>) -> Result<(), &'static str> {
    const OF_A_STREAM: [&str; 7] = [
        "metadata",
        "xds\0route_metadata",
        "source\0address",
        "connection\0subject_peer_certificate",
        "connection\0uri_san_peer_certificate",
        "connection\0dns_san_peer_certificate",
        "connection\0sha256_peer_certificate_digest",
    ];
    let of_a_request = path == "request\0total_size";
    let of_a_response = path == "response\0code_details";
    let known = of_a_request || of_a_response || OF_A_STREAM.contains(&path);
    match at.stream {
        _ if path == "xds\0node" => Ok(()),
        _ if !known => Err("no attribute that the filter documents"),
        None => Err("a root context has no stream info (context.cc: findValue)"),
        Some(stream) if of_a_response && !stream.has_response() && !ends(at.callback) => {
            Err("no response has begun")
        }
        Some(_) if of_a_request && ends(at.callback) => Err("the request is over"),
        Some(_) => Ok(()),
    }
}

const fn ends(callback: Callback) -> bool {
    matches!(callback, Callback::Log | Callback::Done | Callback::Delete)
}

/// Filter state belongs to the stream info, which the access log reads before `proxy_on_done`
/// (`context.cc`: `setProperty`, `onDestroy`).
const fn set_property(at: Moment<'_>) -> Result<(), &'static str> {
    match (at.stream, at.callback) {
        (None, _) => Err("a root context has no stream info (context.cc: setProperty)"),
        (Some(_), Callback::Done | Callback::Delete) => Err("the access log is written"),
        (Some(_), _) => Ok(()),
    }
}

/// A local reply in a response callback replaces the upstream's response, and one after the end
/// finds no stream. After the response's head, Envoy resets the stream instead
/// (`FilterManager::sendLocalReply`), which is how a body is refused that goes on by then.
fn local_response(at: Moment<'_>) -> Result<(), &'static str> {
    let Some(stream) = at.stream else {
        return Err("a root context has nobody to answer");
    };
    if stream.was_answered() {
        return Err("the request was answered before (each call is one more response)");
    }
    if stream.was_resumed() {
        return Err("the request was resumed, so the upstream has it as well");
    }
    let is_request = matches!(
        at.callback,
        Callback::RequestHeaders | Callback::RequestBody | Callback::RequestTrailers
    );
    if !at.is_own {
        return match stream.is_paused() {
            true => Ok(()),
            false => Err("the request does not wait for an answer"),
        };
    }
    if is_request {
        return Ok(());
    }
    Err("no callback of the request")
}

/// Envoy forwards its buffer at each call, whether or not the stream is paused, and once more if
/// the callback of the stream itself then answers *continue* (`context.cc`: `continueStream`).
fn continue_stream(kind: u32, at: Moment<'_>) -> Result<(), &'static str> {
    let Some(stream) = at.stream else {
        return Err("a root context is no stream");
    };
    if kind != REQUEST {
        return Err("the filter pauses requests only");
    }
    if at.is_own {
        return Err("a callback of the stream itself answers by its status");
    }
    if stream.was_answered() {
        return Err("the request was answered, so the upstream must not get it");
    }
    if stream.was_resumed() || !stream.is_paused() {
        return Err("exactly one resume for each pause");
    }
    Ok(())
}
