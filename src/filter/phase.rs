//! The phases of one stream, and all transitions between them.
//!
//! ```text
//!   Fresh ─ forward ─▶ Forwarded ─ response head ─▶ Finished
//!     │                 │     ▲ └─ gRPC response head ─▶ Answered ─ trailers ─▶ Finished
//!     │            wait │     │ grant
//!     │                 ▼     │
//!     │                Waiting ─ expire ─▶ Finished
//!     ├ refuse ─▶ Finished
//!     └ ask ─▶ Asking ─ answer ─▶ Fresh, to decide again
//! ```
//!
//! Every phase but the last can also be refused or end. The test below has all transitions.
//!
//! An event that does not fit the phase changes nothing. Such events are normal: a filter before
//! this one may answer a request that this one never saw, Envoy shows every filter the local
//! replies, and a stream may have no event but its end.

use std::mem::take;

use super::queued::{Entry, Queued};
use crate::reply::addressee::ReplyContext;
use crate::reply::fields::{LimitStatus, PoolStatus};
use crate::request::head::Tunnel;

/// How far a stream has progressed.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// No request head has arrived.
    #[default]
    Fresh,
    /// The request waits for the engine. Nothing was charged.
    Asking,
    /// The request waits for slots.
    Waiting(Forwarded, Box<Queued>),
    /// The upstream has the request, or gets it as soon as its held body has been read.
    Forwarded(Forwarded),
    /// The head of a gRPC response has passed. Its status is in the trailers.
    Answered,
    /// The request was answered, here or by the upstream. Its body may go on.
    Finished,
}

/// The data of an admitted request for its response.
#[derive(Debug, Default)]
pub(super) struct Forwarded {
    /// The limits that apply, as the response shows them.
    pub(super) limits: Vec<LimitStatus>,
    /// The pools that apply.
    pub(super) pools: Vec<PoolStatus>,
    /// Whether the outcome is that of a gRPC call. Known only if a charge depends on it.
    pub(super) is_grpc: bool,
    /// The tunnel that the request asks for. Known only if a body is inspected.
    pub(super) tunnel: Option<Tunnel>,
    /// The slots to acquire once the held body has been read.
    pub(super) entry: Option<Box<Entry>>,
    /// The data of the request for the fields of the response, if they show any.
    pub(super) context: Option<Box<ReplyContext>>,
}

/// An event that can end a phase.
#[derive(Debug)]
pub(super) enum Event {
    /// The limits admit the request.
    Forward(Forwarded),
    /// The limits must ask the engine first.
    Ask,
    /// The engine has answered, or will not.
    Answer,
    /// A pool lets the request wait.
    Wait(Box<Queued>),
    /// The pools grant the slots that the request waits for.
    Grant,
    /// A pool refuses the slots that the request waits for.
    Expire,
    /// The request is answered here.
    Refuse,
    /// The response head has arrived, the upstream's or one that Envoy made.
    ResponseHead,
    /// A response head has arrived, and charges depend on a gRPC status in the trailers.
    GrpcResponseHead,
    /// The response trailers have arrived.
    ResponseTrailers,
    /// The stream is over.
    End,
}

/// The work that a transition leaves to the stream.
#[derive(Debug)]
pub(super) enum Effect {
    Nothing,
    /// To count the wait, which has ended with the slots.
    LeaveQueue(Box<Queued>),
    /// To settle the request's charges, as it never gets its slots.
    Abandon(Forwarded, Box<Queued>),
    /// To settle the charges of a request that was forwarded, or nearly.
    Settle(Forwarded),
    /// To settle the charges that depend on the gRPC status.
    SettleStatus,
    /// To ask the limits again.
    DecideAgain,
}

impl Phase {
    /// Moves on to the phase after `event`. Returns the remaining work.
    pub(super) fn on(&mut self, event: Event) -> Effect {
        match (&mut *self, event) {
            (Self::Fresh, Event::Forward(forwarded)) => {
                self.go(Self::Forwarded(forwarded), Effect::Nothing)
            }
            (Self::Fresh, Event::Ask) => self.go(Self::Asking, Effect::Nothing),
            (Self::Asking, Event::Answer) => self.go(Self::Fresh, Effect::DecideAgain),
            (Self::Forwarded(forwarded), Event::Wait(queued)) => {
                *self = Self::Waiting(take(forwarded), queued);
                Effect::Nothing
            }
            (Self::Waiting(forwarded, queued), Event::Grant) => {
                let (forwarded, queued) = (take(forwarded), take(queued));
                self.go(Self::Forwarded(forwarded), Effect::LeaveQueue(queued))
            }
            (
                Self::Waiting(forwarded, queued),
                Event::Expire
                | Event::Refuse
                | Event::ResponseHead
                | Event::GrpcResponseHead
                | Event::End,
            ) => {
                let effect = Effect::Abandon(take(forwarded), take(queued));
                self.finish(effect)
            }
            (Self::Forwarded(forwarded), Event::Refuse | Event::ResponseHead | Event::End) => {
                let effect = Effect::Settle(take(forwarded));
                self.finish(effect)
            }
            (Self::Forwarded(forwarded), Event::GrpcResponseHead) => {
                let effect = Effect::Settle(take(forwarded));
                self.go(Self::Answered, effect)
            }
            (Self::Answered, Event::ResponseTrailers | Event::End) => {
                self.finish(Effect::SettleStatus)
            }
            (
                Self::Fresh | Self::Asking,
                Event::Refuse | Event::ResponseHead | Event::GrpcResponseHead | Event::End,
            )
            | (Self::Answered, Event::Refuse) => self.finish(Effect::Nothing),
            (
                _,
                Event::Forward(_)
                | Event::Ask
                | Event::Answer
                | Event::Wait(_)
                | Event::Grant
                | Event::Expire
                | Event::Refuse
                | Event::ResponseHead
                | Event::GrpcResponseHead
                | Event::ResponseTrailers
                | Event::End,
            ) => Effect::Nothing,
        }
    }

    fn finish(&mut self, effect: Effect) -> Effect {
        self.go(Self::Finished, effect)
    }

    fn go(&mut self, to: Self, effect: Effect) -> Effect {
        *self = to;
        effect
    }

    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh)
    }

    pub(super) const fn is_asking(&self) -> bool {
        matches!(self, Self::Asking)
    }

    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(..))
    }

    /// The request, if the upstream has it and has not answered.
    pub(super) const fn forwarded(&self) -> Option<&Forwarded> {
        match self {
            Self::Forwarded(forwarded) => Some(forwarded),
            Self::Fresh | Self::Asking | Self::Waiting(..) | Self::Answered | Self::Finished => {
                None
            }
        }
    }

    /// As [`Phase::forwarded`].
    pub(super) const fn forwarded_mut(&mut self) -> Option<&mut Forwarded> {
        match self {
            Self::Forwarded(forwarded) => Some(forwarded),
            Self::Fresh | Self::Asking | Self::Waiting(..) | Self::Answered | Self::Finished => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::PoolId;

    const POOL: PoolStatus = PoolStatus {
        pool: PoolId::FIRST,
        slots: 2,
        free: None,
        route: None,
    };

    /// For each event the phase after it, by the phase before it. A dot means that nothing changes,
    /// and a word after a slash names the effect.
    const TRANSITIONS: &str = "
                         Fresh       Asking             Waiting               \
        Forwarded        Answered               Finished
        Forward          Forwarded   .                  .                     \
        .                .                      .
        Ask              Asking      .                  .                     \
        .                .                      .
        Answer           .           Fresh/DecideAgain  .                     \
        .                .                      .
        Wait             .           .                  .                     \
        Waiting          .                      .
        Grant            .           .                  Forwarded/LeaveQueue  \
        .                .                      .
        Expire           .           .                  Finished/Abandon      \
        .                .                      .
        Refuse           Finished    Finished           Finished/Abandon      \
        Finished/Settle  Finished               .
        ResponseHead     Finished    Finished           Finished/Abandon      \
        Finished/Settle  .                      .
        GrpcResponseHead Finished    Finished           Finished/Abandon      \
        Answered/Settle  .                      .
        ResponseTrailers .           .                  .                     \
        .                Finished/SettleStatus  .
        End              Finished    Finished           Finished/Abandon      \
        Finished/Settle  Finished/SettleStatus  .
    ";

    /// A request by which [`marked`] and the effects can be recognized.
    fn forwarded() -> Forwarded {
        Forwarded {
            pools: vec![POOL],
            ..Forwarded::default()
        }
    }

    fn phase(name: &str) -> Phase {
        match name {
            "Fresh" => Phase::Fresh,
            "Asking" => Phase::Asking,
            "Waiting" => Phase::Waiting(forwarded(), Box::default()),
            "Forwarded" => Phase::Forwarded(forwarded()),
            "Answered" => Phase::Answered,
            "Finished" => Phase::Finished,
            _ => panic!("no phase {name}"),
        }
    }

    fn event(name: &str) -> Event {
        match name {
            "Forward" => Event::Forward(forwarded()),
            "Ask" => Event::Ask,
            "Answer" => Event::Answer,
            "Wait" => Event::Wait(Box::default()),
            "Grant" => Event::Grant,
            "Expire" => Event::Expire,
            "Refuse" => Event::Refuse,
            "ResponseHead" => Event::ResponseHead,
            "GrpcResponseHead" => Event::GrpcResponseHead,
            "ResponseTrailers" => Event::ResponseTrailers,
            "End" => Event::End,
            _ => panic!("no event {name}"),
        }
    }

    /// The names of a phase and of an effect, after a look at their content.
    fn names(phase: &Phase, effect: &Effect) -> (&'static str, &'static str) {
        let carries =
            |forwarded: &Forwarded| assert_eq!(forwarded.pools, [POOL], "the request is not lost");
        let phase = match phase {
            Phase::Fresh => "Fresh",
            Phase::Asking => "Asking",
            Phase::Waiting(forwarded, _) => {
                carries(forwarded);
                "Waiting"
            }
            Phase::Forwarded(forwarded) => {
                carries(forwarded);
                "Forwarded"
            }
            Phase::Answered => "Answered",
            Phase::Finished => "Finished",
        };
        let effect = match effect {
            Effect::Nothing => "",
            Effect::LeaveQueue(_) => "LeaveQueue",
            Effect::Abandon(forwarded, _) => {
                carries(forwarded);
                "Abandon"
            }
            Effect::Settle(forwarded) => {
                carries(forwarded);
                "Settle"
            }
            Effect::SettleStatus => "SettleStatus",
            Effect::DecideAgain => "DecideAgain",
        };
        (phase, effect)
    }

    #[test]
    fn every_event_in_every_phase_leads_where_the_table_says() {
        let mut rows = TRANSITIONS
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let mut rows = rows.by_ref().filter(|row| !row.is_empty());
        let before = rows.next().unwrap();
        let mut cells = 0;
        for row in rows {
            assert_eq!(row.len(), before.len() + 1, "{row:?}");
            for (before, cell) in before.iter().zip(&row[1..]) {
                let unchanged = format!("{before}/");
                let (after, effect) = match cell.split_once('/') {
                    Some(both) => both,
                    None if *cell == "." => unchanged.split_once('/').unwrap(),
                    None => (*cell, ""),
                };
                let mut phase = phase(before);
                let found = phase.on(event(row[0]));
                assert_eq!(
                    names(&phase, &found),
                    (after, effect),
                    "{} in {before}",
                    row[0]
                );
                cells += 1;
            }
        }
        assert_eq!(cells, 11 * 6, "every event in every phase");
    }

    #[test]
    fn only_a_forwarded_request_is_one() {
        for (name, is_forwarded) in [
            ("Fresh", false),
            ("Asking", false),
            ("Waiting", false),
            ("Forwarded", true),
            ("Answered", false),
            ("Finished", false),
        ] {
            let mut phase = phase(name);
            assert_eq!(phase.forwarded().is_some(), is_forwarded, "{name}");
            assert_eq!(phase.forwarded_mut().is_some(), is_forwarded, "{name}");
            assert_eq!(
                (phase.is_fresh(), phase.is_asking(), phase.is_waiting()),
                (name == "Fresh", name == "Asking", name == "Waiting")
            );
        }
    }
}
