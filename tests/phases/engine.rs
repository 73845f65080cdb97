//! Calls to the engine of limits that all proxies share, and an engine that grants every request.

use wasmi::{Error, Linker};

use super::faults::Fault;
use super::host::Host;
use super::memory::{BAD_ARGUMENT, Module, OK, enter, read, write};
use super::rules::{Call, Callback};
use super::worker::Worker;

/// A call on its way.
#[derive(Clone, Debug)]
pub(crate) struct EngineCall {
    root: u32,
    token: u32,
    body: Vec<u8>,
    due: u64,
    is_grpc: bool,
}

/// The host's data for the callback with the end of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallResponse {
    pub(crate) status: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// # Errors
/// None: the name is defined once.
pub(crate) fn link(linker: &mut Linker<Host>) -> Result<(), Error> {
    linker.func_wrap("env", "proxy_http_call", http_call)?;
    linker.func_wrap("env", "proxy_grpc_call", grpc_call)?;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn http_call(
    mut module: Module<'_>,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    at: u32,
    size: u32,
    _: u32,
    _: u32,
    millis: u32,
    token: u32,
) -> Result<u32, Error> {
    match enter(&mut module, "proxy_http_call", Call::Cluster)? {
        Some(Fault::Status(status)) => return Ok(status),
        Some(Fault::Garbage) | None => {}
    }
    let body = read(&module, at, size)?;
    begin(module, body, (millis, token), false)
}

/// A call begins, and its number is written to `token`.
fn begin(
    mut module: Module<'_>,
    body: Vec<u8>,
    (millis, token): (u32, u32),
    is_grpc: bool,
) -> Result<u32, Error> {
    let host = module.data_mut();
    let root = host.effective;
    if !host.roots.contains_key(&root) {
        return Ok(BAD_ARGUMENT);
    }
    host.last_token += 1;
    let number = host.last_token;
    let due = host.world.borrow().now + u64::from(millis) * 1_000_000;
    host.engine_calls.push(EngineCall {
        root,
        token: number,
        body,
        due,
        is_grpc,
    });
    write(&mut module, token, &number.to_le_bytes())?;
    Ok(OK)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's")]
fn grpc_call(
    mut module: Module<'_>,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    at: u32,
    size: u32,
    millis: u32,
    token: u32,
) -> Result<u32, Error> {
    match enter(&mut module, "proxy_grpc_call", Call::Cluster)? {
        Some(Fault::Status(status)) => return Ok(status),
        Some(Fault::Garbage) | None => {}
    }
    let body = read(&module, at, size)?;
    begin(module, body, (millis, token), true)
}

impl Worker {
    /// Ends the calls whose time is over: of three, one is answered, one is reset, and one gets an
    /// error for an answer.
    pub(crate) fn end_calls(&mut self) {
        let now = self.vm.host().world.borrow().now;
        let calls = std::mem::take(&mut self.vm.host_mut().engine_calls);
        for call in calls {
            if call.due > now {
                self.vm.host_mut().engine_calls.push(call);
                continue;
            }
            // Envoy cancels the calls of a root that is gone.
            if !self.vm.host().roots.contains_key(&call.root) {
                continue;
            }
            if call.is_grpc {
                let body = PARTIAL_SUCCESS.to_vec();
                let (callback, last) = match call.token % 2 {
                    0 => (Callback::GrpcReceive, body.len() as u32),
                    _ => (Callback::GrpcClose, 14),
                };
                let status = Vec::new();
                self.vm.host_mut().call_response = CallResponse { status, body };
                self.call::<_, ()>(callback, call.root, (call.root, call.token, last));
                self.vm.host_mut().call_response = CallResponse::default();
                self.after();
                continue;
            }
            let (status, body) = match call.token % 3 {
                0 => (&b""[..], Vec::new()),
                1 => (&b"200"[..], answer(&call.body, now)),
                _ => (&b"200"[..], b"-OOM command not allowed\r\n+OK\r\n".to_vec()),
            };
            let (headers, size) = (u32::from(!status.is_empty()), body.len() as u32);
            let status = status.to_vec();
            self.vm.host_mut().call_response = CallResponse { status, body };
            let arguments = (call.root, call.token, headers, size, 0_u32);
            self.call::<_, ()>(Callback::CallResponse, call.root, arguments);
            self.vm.host_mut().call_response = CallResponse::default();
            self.after();
        }
    }
}

/// A collector that lacks one point.
const PARTIAL_SUCCESS: &[u8] = &[0x0a, 6, 0x08, 1, 0x12, 2, b'n', b'o'];

/// An engine that grants every take what it wants, for a minute.
fn answer(call: &[u8], now: u64) -> Vec<u8> {
    let text = String::from_utf8_lossy(call);
    let words: Vec<&str> = text
        .split("\r\n")
        .filter(|word| !word.starts_with(['$', '*']))
        .collect();
    let mut answer = String::new();
    for (place, _) in words
        .iter()
        .enumerate()
        .filter(|(_, word)| word.starts_with("EVAL"))
    {
        let want = words.get(place + 16).copied().unwrap_or("0");
        let now = now / 1_000;
        answer.push_str(&format!(
            "*10\r\n:{want}\r\n:60000000\r\n:0\r\n:0\r\n:9\r\n:0\r\n:0\r\n:{now}\r\n:0\r\n:0\r\n"
        ));
    }
    answer.push_str("+OK\r\n");
    answer.into_bytes()
}
