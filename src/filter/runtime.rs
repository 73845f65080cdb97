//! What all streams under one policy share within a worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::stream::{CounterId, Properties};
use crate::observe::metrics::Counters;
use crate::policy::Policy;
use crate::reply::fields;
use crate::request::facts::settle;
use crate::request::head::Request;
use crate::store::Claim;
use crate::store::key::Secret;
use crate::store::shared::SharedStore;

/// A policy at work.
#[derive(Debug)]
pub struct Runtime<D> {
    /// The policy.
    pub policy: Policy,
    pub(super) store: RefCell<SharedStore<D>>,
    pub(super) counters: Counters,
    /// The names of all fields that responses may carry.
    pub(super) field_names: Vec<&'static str>,
    /// What tells entries of archives apart, and no client knows.
    pub(super) seed: Secret,
    /// Bytes of memory that bodies which are being decoded may come to need.
    pub(super) decoding: Rc<Cell<u64>>,
    /// Buffers of the request at hand, used again for the next.
    pub(super) scratch: RefCell<Scratch>,
}

#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) request: Request,
    pub(super) numbers: Vec<usize>,
    pub(super) claims: Vec<Claim>,
}

impl<D: SharedData + Properties> Runtime<D> {
    /// Puts `policy` to work over `data`. `fresh` becomes the proxy's secret if it has none yet.
    ///
    /// # Errors
    /// [`Fault`] if the host's shared data fails.
    pub fn start(
        mut policy: Policy,
        data: D,
        fresh: &Secret,
        define: impl FnMut(&str) -> CounterId,
    ) -> Result<Self, Fault> {
        settle(&mut policy, &data);
        let store = SharedStore::open(data, &policy.name, policy.keys_max, fresh)?;
        let counters = Counters::define(&policy, define);
        let field_names = fields::names(&policy);
        Ok(Self {
            policy,
            store: RefCell::new(store),
            counters,
            field_names,
            seed: *fresh,
            decoding: Rc::default(),
            scratch: RefCell::default(),
        })
    }
}
