//! Our lines in the proxy's log.

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::abi;

const CRITICAL: u32 = 5;

struct ProxyLog;

impl Log for ProxyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Trace => 0,
            Level::Debug => 1,
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        abi::log(level, &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Sends our lines there from now on, and the last words of a VM that dies.
pub(super) fn begin() {
    // It fails if it was done before, as the second root context of a VM may do.
    if log::set_logger(&ProxyLog).is_ok() {
        log::set_max_level(LevelFilter::Info);
        std::panic::set_hook(Box::new(|panic| abi::log(CRITICAL, &panic.to_string())));
    }
}
