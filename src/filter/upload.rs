//! A request's body on its way to the upstream.

use std::cell::Cell;
use std::rc::Rc;

use super::runtime::Runtime;
use crate::host::stream::RequestBody;
use crate::observe::access_log;
use crate::payload::body::{BodyMeter, Measured, Progress, Reason, Refused, Wanted};
use crate::payload::slice::Slice;
use crate::reply::local::Told;
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::request::payload::{check_length, holding, wanted};
use crate::store::Claim;

/// The most bytes that are copied out of the host at once.
const SLICE_MAX: usize = 64 * 1024;

/// The most memory that all bodies of one worker which are being decoded may come to need.
const DECODING_MAX: u64 = 384 << 20;

/// A body that is measured.
pub(super) struct Upload {
    /// The payload limit that holds for it.
    pub(super) payload: Option<usize>,
    /// What its refusal needs of the request's head, which is gone by then.
    pub(super) told: Told,
    /// The line of its refusal for the access log.
    pub(super) refused_line: Option<String>,
    /// Whether the upstream sees nothing of the request before the body has passed.
    pub(super) hold: bool,
    meter: BodyMeter,
    /// Bytes in the host's buffer that were read, where it keeps them.
    seen: usize,
    _memory: Option<Memory>,
}

/// The number of the payload limit that refuses a body, and why.
pub(super) type Refusal = (usize, Refused);

impl Upload {
    /// The body of a request whose limits these claims ask; `None` where nobody wants to know of it.
    ///
    /// # Errors
    /// Where the head alone says that it is refused.
    pub(super) fn open<D>(
        runtime: &Runtime<D>,
        request: &Request,
        caller: &Caller<'_>,
        numbers: &mut Vec<usize>,
        claims: &[Claim],
        noise: u64,
    ) -> Result<Option<Self>, Refusal> {
        let policy = &runtime.policy;
        if request.ends {
            return Ok(None);
        }
        let holding = holding(request, caller, policy, numbers);
        let Some(wanted) = wanted(policy, holding, request, claims) else { return Ok(None) };
        let number = holding.map(|holding| holding.number);
        let of_it = |refused| (number.unwrap_or_default(), refused);
        check_length(&wanted, request).map_err(of_it)?;
        let open = |wanted: &Wanted| {
            BodyMeter::new(wanted, request.headers.all("content-encoding"), runtime.seed).map_err(of_it)
        };
        let mut meter = open(&wanted)?;
        let memory = Memory::take(&runtime.decoding, meter.memory_max());
        if memory.is_none() {
            if number.is_some() {
                return Err(of_it(Refused { reason: Reason::Busy, max: None }));
            }
            // A cost alone turns nobody away: what is not read counts as one.
            meter = open(&Wanted::default())?;
        }
        let limit = holding.map(|holding| holding.payload);
        let line = limit.and_then(|limit| access_log::refused(policy, &limit.name, request.tier, caller));
        Ok(Some(Self {
            payload: number,
            told: Told::of(request, noise),
            refused_line: line,
            hold: limit.is_some_and(|limit| limit.hold),
            meter,
            seen: 0,
            _memory: memory,
        }))
    }

    /// Takes what has come: `size` bytes are in the host's buffer, of which a held body keeps all.
    ///
    /// # Errors
    /// Why the body is refused.
    pub(super) fn take(&mut self, host: &impl RequestBody, size: usize) -> Result<(), Refused> {
        let mut start = self.seen;
        self.meter.count(u64::try_from(size.saturating_sub(start)).unwrap_or(u64::MAX))?;
        while self.meter.reads() && start < size {
            let slice = host.request_body(start, size.saturating_sub(start).min(SLICE_MAX));
            if slice.is_empty() {
                break;
            }
            self.meter.offer(&slice)?;
            while self.meter.advance(&mut Slice::new(Slice::UNITS))? == Progress::Pending {}
            start = start.saturating_add(slice.len());
        }
        if self.hold {
            self.seen = size;
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn finish(&mut self) -> Result<(), Refused> {
        self.meter.finish()
    }

    /// What came of it so far.
    pub(super) fn measured(&self) -> Measured {
        self.meter.measured()
    }
}

/// A share of the memory for decoding, given back at the end.
struct Memory {
    all: Rc<Cell<u64>>,
    share: u64,
}

impl Memory {
    fn take(all: &Rc<Cell<u64>>, share: u64) -> Option<Self> {
        let with = all.get().saturating_add(share);
        (with <= DECODING_MAX).then(|| {
            all.set(with);
            Self { all: Rc::clone(all), share }
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(self.share));
    }
}
