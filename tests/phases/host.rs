//! The host's state for one VM: contexts, ticks, and the requests of a callback.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::{CallResponse, EngineCall};
use super::faults::{Fault, Faults, Noise};
use super::rules::{self, Call, Callback, Moment};
use super::stream::Stream;
use super::world::SharedWorld;

/// The most answers to streams in one callback. Envoy carries each out in a call within the
/// previous one, and some three hundred overflow the VM's stack (proxy-wasm-cpp-host, issue 326).
const ANSWERS_MAX: usize = 100;

/// Envoy's action after the callback (`context.cc`: `addAfterVmCallAction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Reply(u32),
    Resume(u32),
}

/// How often a root ticks, in milliseconds, and when the next time is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    pub(crate) period: u64,
    pub(crate) due: u64,
}

/// One VM.
pub(crate) struct Host {
    pub(crate) world: SharedWorld,
    pub(crate) worker: usize,
    /// The configurations of roots.
    pub(crate) roots: BTreeMap<u32, Vec<u8>>,
    pub(crate) streams: BTreeMap<u32, Stream>,
    pub(crate) ticks: BTreeMap<u32, Ticks>,
    /// The callback that runs, and its context.
    pub(crate) callback: Option<(Callback, u32)>,
    pub(crate) effective: u32,
    /// Whether the module allocates memory for the host.
    pub(crate) is_allocating: bool,
    pub(crate) actions: Vec<Action>,
    /// The names of metrics that this VM defined.
    pub(crate) defined: BTreeSet<String>,
    pub(crate) faults: Option<Faults>,
    pub(crate) log: Vec<String>,
    /// How often each call was made.
    pub(crate) calls: BTreeMap<&'static str, u64>,
    pub(crate) noise: Noise,
    /// The calls to clusters that have not ended, and the number of the last one.
    pub(crate) engine_calls: Vec<EngineCall>,
    pub(crate) last_token: u32,
    /// The data that the callback with the end of a call can read.
    pub(crate) call_response: CallResponse,
}

impl Host {
    pub(crate) fn new(world: &SharedWorld) -> Self {
        let worker = world.borrow().workers;
        world.borrow_mut().workers += 1;
        Self {
            world: world.clone(),
            worker,
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            ticks: BTreeMap::new(),
            callback: None,
            effective: 0,
            is_allocating: false,
            actions: Vec::new(),
            defined: BTreeSet::new(),
            faults: None,
            log: Vec::new(),
            calls: BTreeMap::new(),
            noise: Noise::new(worker as u64),
            engine_calls: Vec::new(),
            last_token: 0,
            call_response: CallResponse::default(),
        }
    }

    pub(crate) fn begin(&mut self, callback: Callback, context: u32) {
        assert!(self.callback.is_none(), "one callback at a time");
        self.callback = Some((callback, context));
        self.effective = context;
    }

    pub(crate) fn end(&mut self) {
        self.callback = None;
        self.effective = 0;
    }

    /// Checks a call, and returns how it fails if the test wants that.
    ///
    /// # Errors
    /// The callback, the call, and the rule that it breaks.
    pub(crate) fn enter(
        &mut self,
        name: &'static str,
        call: Call<'_>,
    ) -> Result<Option<Fault>, String> {
        *self.calls.entry(name).or_default() += 1;
        let Some((callback, own)) = self.callback else {
            return Err(format!("{name} outside of a callback"));
        };
        if self.is_allocating {
            return self.violation(name, "proxy_on_memory_allocate calls the host");
        }
        let moment = Moment {
            callback,
            stream: self.streams.get(&self.effective),
            is_own: self.effective == own,
        };
        if let Err(why) = rules::check(call, moment) {
            return self.violation(name, why);
        }
        // A log line that fails shows nothing to anybody.
        let faults = self.faults.as_mut().filter(|_| !matches!(call, Call::Log));
        Ok(faults.and_then(|faults| faults.of(name)))
    }

    /// # Errors
    /// Always.
    pub(crate) fn violation<T>(&self, call: &str, why: &str) -> Result<T, String> {
        let callback = self.callback.map_or("no callback", |(it, _)| it.export());
        Err(format!("{callback}: {call} is not allowed: {why}"))
    }

    /// Whether calls concern the context of the callback.
    pub(crate) fn is_own(&self) -> bool {
        self.callback.is_some_and(|(_, own)| own == self.effective)
    }

    /// The stream that calls concern.
    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&self.effective)
    }

    /// The root that calls concern, or the one that their stream is under.
    pub(crate) fn root(&self) -> u32 {
        let stream = self.streams.get(&self.effective);
        stream.map_or(self.effective, |stream| stream.root)
    }

    /// # Errors
    /// If it is one answer too many for one callback.
    pub(crate) fn act(&mut self, call: &str, action: Action) -> Result<(), String> {
        self.actions.push(action);
        if self.actions.len() > ANSWERS_MAX {
            return self.violation(call, "so many answers overflow the stack of the VM");
        }
        Ok(())
    }

    /// Sets how often the root ticks; 0 is never (`host`: `WasmBase::setTimerPeriod`).
    pub(crate) fn set_ticks(&mut self, period: u64) {
        let due = self.world.borrow().now + period * 1_000_000;
        let root = self.root();
        if period == 0 {
            self.ticks.remove(&root);
        } else {
            self.ticks.insert(root, Ticks { period, due });
        }
    }
}
