//! The parts of WASI that a module needs: clocks, random bytes, an empty environment, standard
//! output.

use wasmi::{Error, Linker};

use super::host::Host;
use super::memory::{Module, OK, read, write};

const WASI: &str = "wasi_snapshot_preview1";

/// # Errors
/// None: each name is defined once.
pub(crate) fn link(linker: &mut Linker<Host>) -> Result<(), Error> {
    linker
        .func_wrap(WASI, "clock_time_get", clock)?
        .func_wrap(WASI, "random_get", random)?
        .func_wrap(WASI, "environ_sizes_get", environment)?
        .func_wrap(WASI, "environ_get", |_: Module<'_>, _: u32, _: u32| OK)?
        .func_wrap(WASI, "fd_write", fd_write)?
        .func_wrap(WASI, "proc_exit", exit)?;
    Ok(())
}

fn clock(mut module: Module<'_>, _: u32, _: u64, to: u32) -> Result<u32, Error> {
    let now = module.data().world.borrow().now;
    write(&mut module, to, &now.to_le_bytes())?;
    Ok(OK)
}

fn random(mut module: Module<'_>, at: u32, size: u32) -> Result<u32, Error> {
    let noise = &mut module.data_mut().noise;
    let bytes: Vec<u8> = (0..size).map(|_| noise.below(256) as u8).collect();
    write(&mut module, at, &bytes)?;
    Ok(OK)
}

fn environment(mut module: Module<'_>, count: u32, size: u32) -> Result<u32, Error> {
    write(&mut module, count, &[0; 4])?;
    write(&mut module, size, &[0; 4])?;
    Ok(OK)
}

/// Writes vectors of bytes, which are the last words of a VM.
fn fd_write(mut module: Module<'_>, _: u32, at: u32, count: u32, to: u32) -> Result<u32, Error> {
    let mut line = Vec::new();
    for vector in 0..count {
        let place = read(&module, at + vector * 8, 8)?;
        let (start, size) = place.split_at(4);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        line.extend(read(&module, number(start), number(size))?);
    }
    write(&mut module, to, &(line.len() as u32).to_le_bytes())?;
    let line = String::from_utf8_lossy(&line).into_owned();
    module.data_mut().log.push(line);
    Ok(OK)
}

fn exit(_: Module<'_>, status: u32) -> Result<(), Error> {
    Err(Error::new(format!("the module exits with {status}")))
}
