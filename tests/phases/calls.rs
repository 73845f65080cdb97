//! The host calls of proxy-wasm that do not concern a stream: log, clock, shared data, queues,
//! metrics. Those that do are in `stream_calls.rs`.

use wasmi::{Error, Linker};

use super::faults::Fault;
use super::host::Host;
use super::memory::{
    BAD_ARGUMENT, CAS_MISMATCH, EMPTY, Module, NOT_FOUND, OK, enter, give_or_fail, read, text,
    write,
};
use super::rules::Call;
use super::world::{COUNTER, GAUGE, HISTOGRAM};

type Status = Result<u32, Error>;

/// # Errors
/// None: each name is defined once.
pub(crate) fn link(linker: &mut Linker<Host>) -> Result<(), Error> {
    linker
        .func_wrap("env", "proxy_log", log)?
        .func_wrap("env", "proxy_get_current_time_nanoseconds", now)?
        .func_wrap("env", "proxy_set_tick_period_milliseconds", set_ticks)?
        .func_wrap("env", "proxy_set_effective_context", set_effective)?
        .func_wrap("env", "proxy_get_shared_data", get_shared)?
        .func_wrap("env", "proxy_set_shared_data", set_shared)?
        .func_wrap("env", "proxy_register_shared_queue", register)?
        .func_wrap("env", "proxy_enqueue_shared_queue", enqueue)?
        .func_wrap("env", "proxy_dequeue_shared_queue", dequeue)?
        .func_wrap("env", "proxy_define_metric", define)?
        .func_wrap("env", "proxy_increment_metric", increment)?
        .func_wrap("env", "proxy_record_metric", record)?;
    Ok(())
}

/// A call that is allowed everywhere; the status if it fails.
fn anywhere(module: &mut Module<'_>, name: &'static str) -> Result<Option<u32>, Error> {
    let fault = enter(module, name, Call::Anywhere)?;
    Ok(match fault {
        Some(Fault::Status(status)) => Some(status),
        Some(Fault::Garbage) | None => None,
    })
}

fn log(mut module: Module<'_>, level: u32, at: u32, size: u32) -> Status {
    enter(&mut module, "proxy_log", Call::Log)?;
    let line = format!("{level} {}", text(&module, at, size)?);
    module.data_mut().log.push(line);
    Ok(OK)
}

fn now(mut module: Module<'_>, to: u32) -> Status {
    if let Some(status) = anywhere(&mut module, "proxy_get_current_time_nanoseconds")? {
        return Ok(status);
    }
    let now = module.data().world.borrow().now;
    write(&mut module, to, &now.to_le_bytes())?;
    Ok(OK)
}

fn set_ticks(mut module: Module<'_>, period: u32) -> Status {
    if let Some(status) = anywhere(&mut module, "proxy_set_tick_period_milliseconds")? {
        return Ok(status);
    }
    module.data_mut().set_ticks(period.into());
    Ok(OK)
}

fn set_effective(mut module: Module<'_>, context: u32) -> Status {
    if let Some(status) = anywhere(&mut module, "proxy_set_effective_context")? {
        return Ok(status);
    }
    let host = module.data_mut();
    if !host.streams.contains_key(&context) && !host.roots.contains_key(&context) {
        return Ok(BAD_ARGUMENT);
    }
    host.effective = context;
    Ok(OK)
}

fn get_shared(
    mut module: Module<'_>,
    key: u32,
    key_size: u32,
    data: u32,
    size: u32,
    cas: u32,
) -> Status {
    let fault = enter(&mut module, "proxy_get_shared_data", Call::Anywhere)?;
    let key = read(&module, key, key_size)?;
    let found = module.data().world.borrow().data.get(&key).cloned();
    let Some((value, version)) = found else {
        return Ok(match fault {
            Some(Fault::Status(status)) => status,
            Some(Fault::Garbage) | None => NOT_FOUND,
        });
    };
    let status = give_or_fail(&mut module, fault, value, (data, size))?;
    if status == OK {
        write(&mut module, cas, &version.to_le_bytes())?;
    }
    Ok(status)
}

fn set_shared(
    mut module: Module<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    size: u32,
    cas: u32,
) -> Status {
    if let Some(status) = anywhere(&mut module, "proxy_set_shared_data")? {
        return Ok(status);
    }
    let (key, value) = (read(&module, key, key_size)?, read(&module, value, size)?);
    let stored = module.data().world.borrow_mut().set(&key, &value, cas);
    Ok(if stored { OK } else { CAS_MISMATCH })
}

fn register(mut module: Module<'_>, name: u32, size: u32, to: u32) -> Status {
    if let Some(status) = anywhere(&mut module, "proxy_register_shared_queue")? {
        return Ok(status);
    }
    let name = read(&module, name, size)?;
    let host = module.data();
    let listener = (host.worker, host.root());
    let token = host.world.borrow_mut().register(&name, listener);
    write(&mut module, to, &token.to_le_bytes())?;
    Ok(OK)
}

fn enqueue(mut module: Module<'_>, token: u32, at: u32, size: u32) -> Status {
    if let Some(status) = anywhere(&mut module, "proxy_enqueue_shared_queue")? {
        return Ok(status);
    }
    let message = read(&module, at, size)?;
    let done = module.data().world.borrow_mut().enqueue(token, &message);
    Ok(if done { OK } else { NOT_FOUND })
}

fn dequeue(mut module: Module<'_>, token: u32, data: u32, size: u32) -> Status {
    let fault = enter(&mut module, "proxy_dequeue_shared_queue", Call::Anywhere)?;
    if let Some(Fault::Status(status)) = fault {
        return Ok(status);
    }
    let mut world = module.data().world.borrow_mut();
    let Some(queue) = world.queue(token) else {
        return Ok(NOT_FOUND);
    };
    let message = queue.messages.pop_front();
    drop(world);
    match message {
        Some(message) => give_or_fail(&mut module, fault, message, (data, size)),
        None => Ok(EMPTY),
    }
}

fn define(mut module: Module<'_>, kind: u32, name: u32, size: u32, to: u32) -> Status {
    let call = "proxy_define_metric";
    let fault = enter(&mut module, call, Call::DefineMetric)?;
    if let Some(Fault::Status(status)) = fault {
        return Ok(status);
    }
    let name = text(&module, name, size)?;
    let host = module.data_mut();
    if !host.defined.insert(name.clone()) {
        let why = format!("{name} was defined before, which takes memory for ever");
        return host.violation(call, &why).map_err(Error::new);
    }
    let id = host.world.borrow_mut().define(kind, &name);
    write(&mut module, to, &id.to_le_bytes())?;
    Ok(OK)
}

fn increment(mut module: Module<'_>, id: u32, by: i64) -> Status {
    let call = "proxy_increment_metric";
    if let Some(status) = anywhere(&mut module, call)? {
        return Ok(status);
    }
    let host = module.data();
    let mut world = host.world.borrow_mut();
    let Some(metric) = world.metric(id) else {
        return metric_unknown(host, call);
    };
    // `context.cc`, `incrementMetric`: a counter refuses these, and a gauge wraps.
    let value = metric.value + by;
    let why = match metric.kind {
        COUNTER if by < 1 => format!("{} is a counter, and {by} is not above 0", metric.name),
        GAUGE if value < 0 && host.faults.is_none() => format!("{} falls below 0", metric.name),
        COUNTER | GAUGE => {
            metric.value = value;
            return Ok(OK);
        }
        _ => format!("{} is a histogram", metric.name),
    };
    host.violation(call, &why).map_err(Error::new)
}

fn record(mut module: Module<'_>, id: u32, value: u64) -> Status {
    let call = "proxy_record_metric";
    if let Some(status) = anywhere(&mut module, call)? {
        return Ok(status);
    }
    let host = module.data();
    let mut world = host.world.borrow_mut();
    match world.metric(id) {
        None => metric_unknown(host, call),
        Some(metric) if metric.kind == HISTOGRAM => {
            metric.value += 1;
            Ok(OK)
        }
        Some(metric) if metric.kind == GAUGE => {
            metric.value = i64::try_from(value).unwrap_or(i64::MAX);
            Ok(OK)
        }
        Some(metric) => {
            let why = format!("{} is a counter", metric.name);
            host.violation(call, &why).map_err(Error::new)
        }
    }
}

/// The number of a metric whose definition failed is not the filter's fault.
fn metric_unknown(host: &Host, call: &str) -> Status {
    match host.faults {
        Some(_) => Ok(NOT_FOUND),
        None => host.violation(call, "no such metric").map_err(Error::new),
    }
}
