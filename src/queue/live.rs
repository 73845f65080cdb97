//! A pool as one worker knows it, with the limits of the newest policy that has it.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use crate::limit::pool::Pool;
use crate::store::key::{KeyMaker, PartialKey};

/// A pool, known by its identity. Streams of old policies hold the same pool as those of the
/// newest.
#[derive(Debug)]
pub struct LivePool {
    identity: Vec<u8>,
    /// The prefix of its keys.
    prefix: PartialKey,
    limits: Cell<Pool>,
}

/// All pools in use.
#[derive(Debug, Default)]
pub(super) struct LivePools {
    pools: Vec<Weak<LivePool>>,
}

impl LivePool {
    /// The current limits.
    #[must_use]
    pub const fn limits(&self) -> Pool {
        self.limits.get()
    }

    pub(super) fn key(&self) -> PartialKey {
        self.prefix.clone()
    }
}

impl LivePools {
    /// Gives the pool of this identity new limits. Returns it, and whether it has more slots than
    /// before.
    pub(super) fn reconfigure(
        &mut self,
        identity: &[u8],
        keys: &KeyMaker,
        limits: Pool,
    ) -> (Rc<LivePool>, bool) {
        self.pools.retain(|pool| pool.strong_count() > 0);
        if let Some(pool) = self
            .pools
            .iter()
            .filter_map(Weak::upgrade)
            .find(|pool| pool.identity == identity)
        {
            let before = pool.limits.replace(limits);
            return (pool, limits.slots() > before.slots());
        }
        let prefix = keys.partition(identity);
        let pool = Rc::new(LivePool {
            identity: identity.to_vec(),
            prefix,
            limits: Cell::new(limits),
        });
        self.pools.push(Rc::downgrade(&pool));
        (pool, false)
    }
}
