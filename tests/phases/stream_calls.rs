//! The host calls of proxy-wasm that concern a stream, and its configuration.

use wasmi::{Error, Linker};

use super::faults::Fault;
use super::host::{Action, Host};
use super::memory::{
    BAD_ARGUMENT, Module, NOT_FOUND, OK, deserialize, enter, give_or_fail, read, serialize, text,
};
use super::rules::{
    CALL_RESPONSE_BODY, CALL_RESPONSE_HEADERS, Call, GRPC_MESSAGE, PLUGIN_CONFIGURATION,
    REQUEST_BODY, REQUEST_HEADERS, RESPONSE_HEADERS, RESPONSE_TRAILERS,
};
use super::stream::{Pairs, Reply};

type Status = Result<u32, Error>;

/// # Errors
/// None: each name is defined once.
pub(crate) fn link(linker: &mut Linker<Host>) -> Result<(), Error> {
    linker
        .func_wrap("env", "proxy_get_header_map_pairs", get_pairs)?
        .func_wrap("env", "proxy_get_header_map_value", get_value)?
        .func_wrap("env", "proxy_replace_header_map_value", replace_value)?
        .func_wrap("env", "proxy_remove_header_map_value", remove_value)?
        .func_wrap("env", "proxy_get_buffer_bytes", get_bytes)?
        .func_wrap("env", "proxy_get_property", get_property)?
        .func_wrap("env", "proxy_set_property", set_property)?
        .func_wrap("env", "proxy_send_local_response", send_local_response)?
        .func_wrap("env", "proxy_continue_stream", continue_stream)?;
    Ok(())
}

fn map(host: &mut Host, map: u32) -> Option<&mut Pairs> {
    let stream = host.stream()?;
    match map {
        REQUEST_HEADERS => Some(&mut stream.head),
        RESPONSE_HEADERS => stream.response.as_mut(),
        RESPONSE_TRAILERS => Some(&mut stream.trailers),
        _ => None,
    }
}

fn get_pairs(mut module: Module<'_>, kind: u32, data: u32, size: u32) -> Status {
    let fault = enter(
        &mut module,
        "proxy_get_header_map_pairs",
        Call::ReadHeaders(kind),
    )?;
    let pairs = map(module.data_mut(), kind).map(|pairs| pairs.clone());
    let block = serialize(&pairs.unwrap_or_default());
    give_or_fail(&mut module, fault, block, (data, size))
}

/// The first value of the name (`context.cc`: `getHeaderMapValue`).
fn get_value(
    mut module: Module<'_>,
    kind: u32,
    key: u32,
    key_size: u32,
    data: u32,
    size: u32,
) -> Status {
    let fault = enter(
        &mut module,
        "proxy_get_header_map_value",
        Call::ReadHeaders(kind),
    )?;
    let name = read(&module, key, key_size)?;
    if kind == CALL_RESPONSE_HEADERS {
        let status = module.data().call_response.status.clone();
        return give_or_fail(&mut module, fault, status, (data, size));
    }
    let Some(pairs) = map(module.data_mut(), kind) else {
        return Ok(BAD_ARGUMENT);
    };
    let found = pairs.iter().find(|(known, _)| *known == name);
    match found.map(|(_, value)| value.clone()) {
        Some(value) => give_or_fail(&mut module, fault, value, (data, size)),
        None => Ok(NOT_FOUND),
    }
}

fn replace_value(
    mut module: Module<'_>,
    kind: u32,
    key: u32,
    key_size: u32,
    value: u32,
    size: u32,
) -> Status {
    let call = "proxy_replace_header_map_value";
    if let Some(Fault::Status(status)) = enter(&mut module, call, Call::WriteHeaders(kind))? {
        return Ok(status);
    }
    let (name, value) = (read(&module, key, key_size)?, read(&module, value, size)?);
    let Some(pairs) = map(module.data_mut(), kind) else {
        return Ok(BAD_ARGUMENT);
    };
    pairs.retain(|(known, _)| *known != name);
    pairs.push((name, value));
    Ok(OK)
}

fn remove_value(mut module: Module<'_>, kind: u32, key: u32, size: u32) -> Status {
    let call = "proxy_remove_header_map_value";
    if let Some(Fault::Status(status)) = enter(&mut module, call, Call::WriteHeaders(kind))? {
        return Ok(status);
    }
    let name = read(&module, key, size)?;
    let Some(pairs) = map(module.data_mut(), kind) else {
        return Ok(BAD_ARGUMENT);
    };
    pairs.retain(|(known, _)| *known != name);
    Ok(OK)
}

fn get_bytes(
    mut module: Module<'_>,
    kind: u32,
    start: u32,
    max: u32,
    data: u32,
    size: u32,
) -> Status {
    let fault = enter(&mut module, "proxy_get_buffer_bytes", Call::Buffer(kind))?;
    let host = module.data_mut();
    let context = host.effective;
    let buffer = match kind {
        REQUEST_BODY if host.is_own() => host.stream().map(|stream| stream.part.clone()),
        REQUEST_BODY => host.stream().map(|stream| stream.kept.clone()),
        PLUGIN_CONFIGURATION => host.roots.get(&context).cloned(),
        CALL_RESPONSE_BODY | GRPC_MESSAGE => Some(host.call_response.body.clone()),
        _ => None,
    };
    let bytes = buffer.unwrap_or_default();
    let bytes = bytes.into_iter().skip(start as usize).take(max as usize);
    let bytes: Vec<u8> = bytes.collect();
    give_or_fail(&mut module, fault, bytes, (data, size))
}

fn get_property(mut module: Module<'_>, at: u32, size: u32, data: u32, to: u32) -> Status {
    let path = text(&module, at, size)?;
    let fault = enter(&mut module, "proxy_get_property", Call::Property(&path))?;
    let stream = module.data_mut().stream();
    let value = stream.and_then(|stream| match &*path {
        "request\0total_size" => Some(stream.received.to_le_bytes().to_vec()),
        _ => stream.properties.get(&path).cloned(),
    });
    match value {
        Some(value) => give_or_fail(&mut module, fault, value, (data, to)),
        None => Ok(NOT_FOUND),
    }
}

fn set_property(mut module: Module<'_>, at: u32, size: u32, value: u32, length: u32) -> Status {
    let call = "proxy_set_property";
    if let Some(Fault::Status(status)) = enter(&mut module, call, Call::SetProperty)? {
        return Ok(status);
    }
    let (path, value) = (text(&module, at, size)?, text(&module, value, length)?);
    if path != "sluicegate" {
        let why = format!("{path} is no key of the filter");
        return module.data().violation(call, &why).map_err(Error::new);
    }
    if let Some(stream) = module.data_mut().stream() {
        stream.filter_state = Some(value);
    }
    Ok(OK)
}

#[allow(clippy::too_many_arguments, reason = "the host call has them")]
fn send_local_response(
    mut module: Module<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    grpc_status: i32,
) -> Status {
    let call = "proxy_send_local_response";
    if let Some(Fault::Status(status)) = enter(&mut module, call, Call::LocalResponse)? {
        return Ok(status);
    }
    let reply = Reply {
        status,
        details: text(&module, details, details_size)?,
        body: read(&module, body, body_size)?,
        headers: deserialize(&read(&module, headers, headers_size)?)?,
        grpc_status,
    };
    let host = module.data_mut();
    let context = host.effective;
    if let Some(stream) = host.stream() {
        stream.reply = Some(reply);
    }
    host.act(call, Action::Reply(context)).map_err(Error::new)?;
    Ok(OK)
}

fn continue_stream(mut module: Module<'_>, kind: u32) -> Status {
    let call = "proxy_continue_stream";
    if let Some(Fault::Status(status)) = enter(&mut module, call, Call::ContinueStream(kind))? {
        return Ok(status);
    }
    let host = module.data_mut();
    let context = host.effective;
    if let Some(stream) = host.stream() {
        stream.resumed = true;
    }
    host.act(call, Action::Resume(context))
        .map_err(Error::new)?;
    Ok(OK)
}
