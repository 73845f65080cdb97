//! The memory of the module, as host calls read and fill it.

use wasmi::{Caller, Error, Memory};

use super::faults::Fault;
use super::host::Host;
use super::rules::Call;
use super::stream::Pairs;

pub(crate) const OK: u32 = 0;
pub(crate) const NOT_FOUND: u32 = 1;
pub(crate) const BAD_ARGUMENT: u32 = 2;
pub(crate) const EMPTY: u32 = 7;
pub(crate) const CAS_MISMATCH: u32 = 8;

/// A host call in the module that makes it.
pub(crate) type Module<'a> = Caller<'a, Host>;

/// The places to which a call writes the address and the size of its data.
pub(crate) type Places = (u32, u32);

/// # Errors
/// The rule that the call breaks.
pub(crate) fn enter(
    module: &mut Module<'_>,
    name: &'static str,
    call: Call<'_>,
) -> Result<Option<Fault>, Error> {
    module.data_mut().enter(name, call).map_err(Error::new)
}

fn memory(module: &Module<'_>) -> Result<Memory, Error> {
    let memory = module
        .get_export("memory")
        .and_then(wasmi::Extern::into_memory);
    memory.ok_or_else(|| Error::new("the module has no memory"))
}

/// # Errors
/// If the bytes are not in the module's memory.
pub(crate) fn read(module: &Module<'_>, at: u32, size: u32) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; size as usize];
    memory(module)?
        .read(module, at as usize, &mut bytes)
        .map_err(|_| Error::new(format!("{size} bytes at {at} are not in memory")))?;
    Ok(bytes)
}

/// # Errors
/// As [`read`], and if they are not text.
pub(crate) fn text(module: &Module<'_>, at: u32, size: u32) -> Result<String, Error> {
    String::from_utf8(read(module, at, size)?).map_err(|_| Error::new("not UTF-8"))
}

/// # Errors
/// If the place is not in the module's memory.
pub(crate) fn write(module: &mut Module<'_>, at: u32, bytes: &[u8]) -> Result<(), Error> {
    memory(module)?
        .write(&mut *module, at as usize, bytes)
        .map_err(|_| Error::new(format!("{} bytes at {at} are not in memory", bytes.len())))
}

/// Hands over bytes in memory of the module, which it allocates; no memory for no bytes
/// (`host`: `WasmBase::copyToPointerSize`).
///
/// # Errors
/// If the module gives no memory, or calls the host meanwhile.
pub(crate) fn give(module: &mut Module<'_>, bytes: &[u8], to: Places) -> Result<u32, Error> {
    let mut at = 0;
    if !bytes.is_empty() {
        let allocate = module.get_export("proxy_on_memory_allocate");
        let allocate = allocate.and_then(wasmi::Extern::into_func);
        let allocate = allocate.ok_or_else(|| Error::new("no proxy_on_memory_allocate"))?;
        module.data_mut().is_allocating = true;
        at = allocate
            .typed::<u32, u32>(&*module)?
            .call(&mut *module, bytes.len() as u32)?;
        module.data_mut().is_allocating = false;
        if at == 0 {
            return Err(Error::new("proxy_on_memory_allocate gives no memory"));
        }
        write(module, at, bytes)?;
    }
    write(module, to.0, &at.to_le_bytes())?;
    write(module, to.1, &(bytes.len() as u32).to_le_bytes())?;
    Ok(OK)
}

/// As [`give`], unless the call fails.
///
/// # Errors
/// As [`give`].
pub(crate) fn give_or_fail(
    module: &mut Module<'_>,
    fault: Option<Fault>,
    mut bytes: Vec<u8>,
    to: Places,
) -> Result<u32, Error> {
    match fault {
        Some(Fault::Status(status)) => return Ok(status),
        Some(Fault::Garbage) => {
            if let Some(faults) = &mut module.data_mut().faults {
                faults.garble(&mut bytes);
            }
        }
        None => {}
    }
    give(module, &bytes, to)
}

/// Header fields as the ABI writes them.
pub(crate) fn serialize(pairs: &Pairs) -> Vec<u8> {
    let mut block = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        block.extend((name.len() as u32).to_le_bytes());
        block.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        for text in [name, value] {
            block.extend(text);
            block.push(0);
        }
    }
    block
}

/// # Errors
/// If they are not in the form that [`serialize`] writes.
pub(crate) fn deserialize(block: &[u8]) -> Result<Pairs, Error> {
    let fault = || Error::new("no header fields in the form of the ABI");
    let number = |place: usize| -> Option<usize> {
        let bytes = block.get(place * 4..place * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let count = number(0).ok_or_else(fault)?;
    let (mut pairs, mut at) = (Pairs::new(), 4 + count * 8);
    for pair in 0..count {
        let mut texts = [Vec::new(), Vec::new()];
        for (place, text) in texts.iter_mut().enumerate() {
            let size = number(1 + pair * 2 + place).ok_or_else(fault)?;
            *text = block.get(at..at + size).ok_or_else(fault)?.to_vec();
            at += size + 1;
        }
        let [name, value] = texts;
        pairs.push((name, value));
    }
    match at == block.len() {
        true => Ok(pairs),
        false => Err(fault()),
    }
}
