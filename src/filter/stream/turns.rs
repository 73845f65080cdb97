//! A stream's turn: it asks for slots, waits for them, and gives them back.

use std::rc::Rc;

use super::{Flow, Forwarded, Phase, Stream};
use crate::base::id::PoolId;
use crate::filter::ledger::{Books, Changed};
use crate::filter::stated::{tell_now, update};
use crate::filter::turn::{Entry, Turn, arrive};
use crate::host::queue::SharedQueue;
use crate::host::shared::SharedData;
use crate::host::stream::Host;
use crate::observe::{Event, Refund, Sink, access_log};
use crate::queue::stream::{Admission, Answer, Ask, Refusal};
use crate::reply::fields::LimitStatus;
use crate::reply::local::{self, Under};

impl<D: SharedData + SharedQueue> Stream<D> {
    /// It has waited: it is its turn, or it was too long. True where the host is to resume the request;
    /// otherwise it was answered.
    pub fn on_turn(&mut self, host: &impl Host, answer: Answer) -> bool {
        let (forwarded, turn) = match std::mem::replace(&mut self.phase, Phase::Finished) {
            Phase::Waiting(forwarded, turn) => (forwarded, turn),
            other @ (Phase::Fresh | Phase::Forwarded(_) | Phase::Answered | Phase::Finished) => {
                self.phase = other;
                return false;
            }
        };
        self.observe_turn(host, &turn, -1);
        match answer {
            Answer::Resume => {
                self.phase = Phase::Forwarded(forwarded);
                if self.upload.as_ref().is_none_or(|upload| upload.has_passed()) {
                    self.admit(host);
                }
                true
            }
            Answer::Refuse(refusal) => {
                self.refuse_turn(host, &turn, refusal, forwarded.shown);
                false
            }
        }
    }

    /// Asks for the slots that the request needs. One that goes on at once needs no words, of which
    /// `turn` makes those for the pools.
    pub(super) fn enter(
        &mut self,
        host: &impl Host,
        forwarded: Forwarded,
        asks: Vec<Ask>,
        turn: impl FnOnce(&[PoolId]) -> Turn,
    ) -> Flow {
        match arrive(&self.runtime, self.id, asks, host) {
            Admission::Admit => {
                self.phase = Phase::Forwarded(forwarded);
                Flow::Continue
            }
            Admission::Wait => {
                let turn = turn(&forwarded.pools);
                self.observe_turn(host, &turn, 1);
                self.phase = Phase::Waiting(forwarded, turn);
                Flow::Wait
            }
            Admission::Refuse(refusal) => {
                self.refuse_turn(host, &turn(&forwarded.pools), refusal, forwarded.shown);
                Flow::Stop
            }
        }
    }

    /// Asks for the slots of a request whose held body has passed.
    pub(super) fn enter_held(&mut self, host: &impl Host) -> Flow {
        let Phase::Forwarded(mut forwarded) = std::mem::replace(&mut self.phase, Phase::Finished) else {
            return Flow::Continue;
        };
        let Some(entry) = forwarded.entry.take() else {
            self.phase = Phase::Forwarded(forwarded);
            return Flow::Continue;
        };
        let Entry { turn, asks } = *entry;
        let since = host.uptime();
        self.enter(host, forwarded, asks, |_| turn.after_body(since))
    }

    /// Answers a request that a pool refuses: it was not admitted, so no limit is charged for it, unless its body
    /// was read before.
    pub(super) fn refuse_turn(&mut self, host: &impl Host, turn: &Turn, refusal: Refusal, mut shown: Vec<LimitStatus>) {
        let runtime = Rc::clone(&self.runtime);
        let policy = &runtime.policy;
        let books = Books { runtime: &runtime, host };
        update(&mut shown, self.settle_turn(host, turn, Refund::QueueRefused));
        let (pool, line) = turn.refused(refusal);
        if let Some(pool) = pool {
            books.sink().observe(Event::QueueRefused { pool, reason: refusal.reason });
        }
        if let Some(line) = line {
            host.set_filter_state(access_log::KEY, line);
        }
        tell_now(&mut shown, host);
        let under = Under { shown: &shown, pools: &turn.pools };
        self.reply(host, &local::queue_refused(policy, pool, refusal.reason, &turn.told, under));
        (self.phase, self.upload) = (Phase::Finished, None);
    }

    /// It ends while it waits: it never had its turn, and nothing of it stays.
    pub(super) fn give_up(&mut self, host: &impl Host, turn: &Turn) -> Vec<Changed> {
        self.observe_turn(host, turn, -1);
        self.leave(host);
        self.upload = None;
        self.settle_turn(host, turn, Refund::QueueLeft)
    }

    /// It never has its turn: nothing of it stays, unless its body was read before.
    fn settle_turn(&mut self, host: &impl Host, turn: &Turn, why: Refund) -> Vec<Changed> {
        let runtime = Rc::clone(&self.runtime);
        let books = Books { runtime: &runtime, host };
        if turn.paid {
            self.count_charges(host);
            self.ledger.leave_seats(&books);
            return self.ledger.keep(&books, None);
        }
        self.admission.clear();
        self.ledger.cancel(&books, why)
    }

    /// Gives its slots back, if it has any.
    pub(super) fn leave(&self, host: &impl Host) {
        if let Some(pools) = &self.runtime.pools {
            pools.worker.borrow_mut().release(self.id, host.uptime());
        }
    }

    fn observe_turn(&self, host: &impl Host, turn: &Turn, by: i64) {
        let sink = Books { runtime: &*self.runtime, host }.sink();
        for pool in &turn.pools {
            sink.observe(Event::Waiting { pool: *pool, by });
            if by < 0 {
                sink.observe(Event::Waited { pool: *pool, span: host.uptime().less(turn.since) });
            }
        }
    }
}
