//! A request's body on its way to the upstream.

use super::runtime::Runtime;
use crate::base::id::PayloadId;
use crate::host::stream::RequestBody;
use crate::observe::access_log;
use crate::payload::body::{BodyMeter, Measurements, Progress, Reason, Rejection};
use crate::payload::slice::Slice;
use crate::reply::local::ReplyContext;
use crate::request::head::Request;
use crate::request::identify::Caller;
use crate::request::payload::{MatchedPayload, check_length, requirements};
use crate::store::LimitCheck;

/// The most bytes that are copied out of the host at once.
const PIECE_MAX: usize = 64 * 1024;

/// A body that is measured.
pub(super) struct Upload {
    /// The payload limit that holds for it.
    pub(super) payload: Option<PayloadId>,
    /// What its refusal needs of the request's head, which is gone by then.
    pub(super) told: ReplyContext,
    /// The line of its refusal for the access log.
    pub(super) refused_line: Option<String>,
    /// Whether the upstream has seen nothing of the request, as the body has not passed.
    pub(super) hold: bool,
    /// Bytes of the request that the proxy had when a held head came.
    received: Option<u64>,
    /// `None` once the body has passed.
    meter: Option<BodyMeter>,
    /// What the head says of its size.
    length: Option<u64>,
    /// Bytes that have come.
    came: u64,
    /// Whether no more will come.
    ended: bool,
    /// Bytes in the host's buffer that were read, where it keeps them.
    seen: usize,
}

/// The payload limit that refuses a body, and why.
pub(super) type Refusal = (Option<PayloadId>, Rejection);

/// Why a body goes no further.
pub(super) enum Fail {
    Refused(Rejection),
    /// The host does not give its bytes.
    Unread,
}

impl From<Rejection> for Fail {
    fn from(refused: Rejection) -> Self {
        Self::Refused(refused)
    }
}

impl Upload {
    /// The body of a request to which this payload limit and these checks apply; `None` if neither needs to
    /// know it.
    ///
    /// # Errors
    /// Where the head alone says that it is refused.
    pub(super) fn open<D>(
        runtime: &Runtime<D>,
        request: &Request,
        caller: &Caller<'_>,
        payload: Option<PayloadId>,
        checks: &[LimitCheck],
        noise: u64,
    ) -> Result<Option<Self>, Refusal> {
        let policy = &runtime.policy;
        if request.ends {
            return Ok(None);
        }
        let matched = payload.and_then(|id| MatchedPayload::of(id, caller, policy));
        let Some(required) = requirements(matched, request, policy, checks) else { return Ok(None) };
        let of_it = |refused| (payload, refused);
        check_length(&required, request).map_err(of_it)?;
        let encodings = request.headers.all("content-encoding");
        let meter = BodyMeter::new(&required, encodings, runtime.seed, &runtime.bodies).map_err(of_it)?;
        let limit = matched.map(|matched| matched.payload);
        let line = limit.and_then(|limit| access_log::refused(policy, Some(&limit.scope.name), request.tier, caller));
        let length = request.content_length();
        // A tunnel opens when the upstream has seen its head, so that is never held. One that comes with
        // a body may wait for it.
        let waits = request.tunnel().is_none() || length.is_some_and(|length| length > 0);
        Ok(Some(Self {
            payload,
            told: ReplyContext::of(request, noise),
            refused_line: line,
            hold: waits && limit.is_some_and(|limit| limit.hold),
            received: None,
            meter: Some(meter),
            length,
            came: 0,
            ended: false,
            seen: 0,
        }))
    }

    /// Takes what has come: `size` bytes are in the host's buffer, of which a held body keeps all. They
    /// are read by [`Upload::advance`].
    ///
    /// # Errors
    /// Why the body goes no further.
    pub(super) fn take(&mut self, host: &impl RequestBody, size: usize) -> Result<(), Fail> {
        let mut start = self.seen;
        let more = u64::try_from(size.saturating_sub(start)).unwrap_or(u64::MAX);
        self.came = self.came.saturating_add(more);
        self.ended |= self.length == Some(self.came);
        if self.hold {
            self.seen = size;
        }
        if let Some(meter) = &mut self.meter {
            meter.count(more)?;
        }
        if let Some(max) = self.length.filter(|length| self.came > *length && self.payload.is_some()) {
            // The proxy holds clients to it, and what passed was told to be whole.
            return Err(Rejection { reason: Reason::Bytes, max: Some(max) }.into());
        }
        let Some(meter) = &mut self.meter else { return Ok(()) };
        while meter.reads() && start < size {
            let asked = size.saturating_sub(start).min(PIECE_MAX);
            let piece = host.request_body(start, asked);
            if piece.len() != asked {
                return Err(Fail::Unread);
            }
            meter.offer(&piece)?;
            start = start.saturating_add(piece.len());
        }
        Ok(())
    }

    /// Reads what has come, as far as the slice lasts.
    ///
    /// # Errors
    /// Why the body is refused.
    pub(super) fn advance(&mut self, slice: &mut Slice) -> Result<Progress, Rejection> {
        self.meter.as_mut().map_or(Ok(Progress::Idle), |meter| meter.advance(slice))
    }

    /// No more will come.
    pub(super) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether all of it has come, by its end or by the size that its head says.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it has been passed.
    pub(super) const fn has_passed(&self) -> bool {
        self.meter.is_none()
    }

    /// Passes a body of which all has come and was read; what it came to, the first time.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn pass(&mut self) -> Result<Option<Measurements>, Rejection> {
        let Some(meter) = &mut self.meter else { return Ok(None) };
        meter.finish()?;
        let measured = self.measured();
        self.meter = None;
        // The host goes on with all that it has.
        (self.hold, self.seen) = (false, 0);
        Ok(measured)
    }

    /// Reads no further, where only a cost wants it: what is not read counts as one.
    pub(super) fn forgo(&mut self) {
        self.meter = Some(BodyMeter::unread());
    }

    /// What has come of it so far; `None` once it has passed.
    pub(super) fn measured(&self) -> Option<Measurements> {
        let meter = self.meter.as_ref()?;
        Some(Measurements { bytes: self.came, ..meter.measured() })
    }

    /// Notes what the proxy has received of a held request, for [`Upload::is_kept_back`].
    pub(super) fn note_received(&mut self, host: &impl RequestBody) {
        self.received = host.request_bytes();
    }

    /// Whether bytes of a held body have come to the proxy since, and none to the filter.
    pub(super) fn is_kept_back(&self, host: &impl RequestBody) -> bool {
        let came_to_proxy = || self.received.zip(host.request_bytes()).is_some_and(|(head, now)| now > head);
        self.hold && self.came == 0 && !self.ended && came_to_proxy()
    }
}
