//! The inspection of one request body on its way to the upstream.

mod shadow;

use super::admit::Head;
use super::runtime::Runtime;
use crate::base::id::PayloadId;
use crate::host::stream::RequestBody;
use crate::observe::DecisionLabel;
use crate::observe::access_log::Line;
use crate::payload::body::{BodyMeter, Measurements, Progress, Reason, Rejection, Requirements};
use crate::payload::memory::OpenUpload;
use crate::payload::slice::Slice;
use crate::reply::addressee::ReplyContext;
use crate::request::checks::matched_route;
use crate::request::payload::MatchedPayload;

pub(super) use shadow::Shadow;

/// The most bytes that are copied from the host at once.
const PIECE_MAX: usize = 64 * 1024;

/// A body that is inspected.
pub(super) struct BodyInspection {
    /// The payload limit that applies.
    payload: Option<PayloadId>,
    /// The data of the request head for a refusal, since the head is gone by then.
    context: ReplyContext,
    /// The line for the access log if the payload limit rejects the body.
    refusal_line: Option<String>,
    /// Whether the head is held, so that the upstream has seen nothing of the request.
    is_held: bool,
    /// Bytes of the request that the proxy had received when it began to hold the head.
    received: Option<u64>,
    /// `None` once the body has passed.
    meter: Option<BodyMeter>,
    /// Counts the body as open until it has passed.
    open: Option<OpenUpload>,
    /// The payload limit in shadow that applies.
    shadow: Option<Box<Shadow>>,
    /// The size that the head states.
    length: Option<u64>,
    /// Bytes that have arrived.
    came: u64,
    has_ended: bool,
    /// Bytes of the host's buffer that were read, if the host keeps them there.
    seen: usize,
}

/// Why a body is not taken.
pub(super) enum Failure {
    /// The payload limit rejects it.
    Rejected(Rejection),
    /// The host does not give its bytes.
    Unavailable,
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl BodyInspection {
    /// Begins to inspect the body of a request, for a payload limit, for costs, or for both.
    ///
    /// # Errors
    /// If the head alone shows that the payload limit rejects the body.
    pub(super) fn open<D>(
        runtime: &Runtime<D>,
        head: Head<'_>,
        requirements: &Requirements,
        matched: Option<MatchedPayload<'_>>,
    ) -> Result<Self, Rejection> {
        let Head {
            request,
            caller,
            now,
            ..
        } = head;
        let encodings = request.headers.all("content-encoding");
        let meter = BodyMeter::new(requirements, encodings, runtime.seed, &runtime.bodies)?;
        let refusal_line = matched.and_then(|matched| {
            let (decision, limit) = (DecisionLabel::Refused, Some(&*matched.payload.scope.name));
            Line {
                decision,
                limit,
                tier: request.tier,
                engine: None,
                caller,
            }
            .to_text(&runtime.policy)
        });
        let policy = &runtime.policy;
        let mut context = ReplyContext::of(request, caller, policy, now.nanos());
        if policy.replies.shows_routes {
            context.route =
                matched.and_then(|matched| matched_route(&matched.payload.scope, request, policy));
        }
        let length = request.content_length();
        // A tunnel opens once the upstream has seen the head, so that is never held. If the head
        // states a body, the tunnel can wait for it.
        let can_wait = request.tunnel().is_none() || length.is_some_and(|length| length > 0);
        Ok(Self {
            payload: matched.map(|matched| matched.id),
            context,
            refusal_line,
            is_held: can_wait && matched.is_some_and(|matched| matched.payload.hold),
            received: None,
            meter: Some(meter),
            open: Some(runtime.bodies.open()),
            shadow: None,
            length,
            came: 0,
            has_ended: false,
            seen: 0,
        })
    }

    /// The same, measured by a payload limit in shadow as well.
    pub(super) fn beside(self, shadow: Option<Shadow>) -> Self {
        let shadow = shadow.map(Box::new);
        Self { shadow, ..self }
    }

    /// The payload limit in shadow that would have refused the body, and the line for the access
    /// log; once.
    pub(super) fn report(&mut self) -> Option<(PayloadId, Option<String>)> {
        self.shadow.as_mut()?.report()
    }

    /// The payload limit that applies.
    pub(super) const fn payload(&self) -> Option<PayloadId> {
        self.payload
    }

    pub(super) const fn context(&self) -> &ReplyContext {
        &self.context
    }

    /// The line for the access log if the payload limit rejects the body.
    pub(super) fn refusal_line(&self) -> Option<&str> {
        self.refusal_line.as_deref()
    }

    /// Whether the head is held until the body has been read.
    pub(super) const fn is_held(&self) -> bool {
        self.is_held
    }

    /// Notes the bytes that have arrived: `size` of them are in the host's buffer, which keeps all
    /// bytes of a held body. [`BodyInspection::advance`] reads them.
    ///
    /// # Errors
    /// Why the body is not taken.
    pub(super) fn take(&mut self, host: &impl RequestBody, size: usize) -> Result<(), Failure> {
        let mut start = self.seen;
        let more = u64::try_from(size.saturating_sub(start)).unwrap_or(u64::MAX);
        self.came = self.came.saturating_add(more);
        self.has_ended |= self.length == Some(self.came);
        if self.is_held {
            self.seen = size;
        }
        if let Some(meter) = &mut self.meter {
            meter.count(more)?;
        }
        if let Some(shadow) = &mut self.shadow {
            shadow.count(more);
        }
        if let Some(max) = self
            .length
            .filter(|length| self.came > *length && self.payload.is_some())
        {
            // The proxy enforces the length, and the bytes that have passed were inspected as the
            // whole body.
            return Err(Rejection {
                reason: Reason::Bytes,
                max: Some(max),
            }
            .into());
        }
        let Some(meter) = &mut self.meter else {
            return Ok(());
        };
        let mut shadow = self.shadow.as_mut().filter(|shadow| shadow.reads());
        while (meter.reads() || shadow.is_some()) && start < size {
            let asked = size.saturating_sub(start).min(PIECE_MAX);
            let piece = host.request_body(start, asked);
            if piece.len() != asked {
                return Err(Failure::Unavailable);
            }
            meter.offer(&piece)?;
            if let Some(shadow) = &mut shadow {
                shadow.offer(&piece);
            }
            start = start.saturating_add(piece.len());
        }
        Ok(())
    }

    /// Reads the bytes that have arrived, as far as the slice lasts.
    ///
    /// # Errors
    /// Why the body is rejected.
    pub(super) fn advance(&mut self, slice: &mut Slice) -> Result<Progress, Rejection> {
        let progress = match &mut self.meter {
            Some(meter) => meter.advance(slice)?,
            None => Progress::Idle,
        };
        match &mut self.shadow {
            Some(shadow) if progress == Progress::Idle => Ok(shadow.advance(slice)),
            Some(_) | None => Ok(progress),
        }
    }

    /// No more of the body will arrive.
    pub(super) const fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether the whole body has arrived, by its end or by the size that the head states.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the body has passed.
    pub(super) const fn has_passed(&self) -> bool {
        self.meter.is_none()
    }

    /// Passes a body that has arrived and was read to its end. Returns its measurements the first
    /// time.
    ///
    /// # Errors
    /// Why the body is rejected.
    pub(super) fn pass(&mut self) -> Result<Option<Measurements>, Rejection> {
        let Some(meter) = &mut self.meter else {
            return Ok(None);
        };
        meter.finish()?;
        if let Some(shadow) = &mut self.shadow {
            shadow.finish();
        }
        let measured = self.measurements();
        (self.meter, self.open) = (None, None);
        // The host forwards everything that it has.
        (self.is_held, self.seen) = (false, 0);
        Ok(measured)
    }

    /// Stops reading a body that only a cost needs. An unread body costs one.
    pub(super) fn stop_reading(&mut self) {
        self.meter = Some(BodyMeter::unread());
        self.shadow = None;
    }

    /// The measurements of the bytes so far; `None` once the body has passed.
    pub(super) fn measurements(&self) -> Option<Measurements> {
        let meter = self.meter.as_ref()?;
        Some(Measurements {
            bytes: self.came,
            ..meter.measured()
        })
    }

    /// Notes the bytes that the proxy has received of a held request, for
    /// [`BodyInspection::is_kept_back`].
    pub(super) fn note_received(&mut self, host: &impl RequestBody) {
        self.received = host.request_bytes();
    }

    /// Whether bytes of a held body have reached the proxy since then, and none the filter.
    pub(super) fn is_kept_back(&self, host: &impl RequestBody) -> bool {
        if !self.is_held || self.came > 0 || self.has_ended {
            return false;
        }
        self.received
            .zip(host.request_bytes())
            .is_some_and(|(before, now)| now > before)
    }
}
