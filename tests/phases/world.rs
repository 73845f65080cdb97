//! The state that the workers of one proxy share: shared data, queues, metrics and clocks.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Clones are the same proxy.
pub(crate) type SharedWorld = Rc<RefCell<World>>;

/// The queue called `name`, with the context that is notified of messages.
#[derive(Debug)]
pub(crate) struct Queue {
    name: Vec<u8>,
    pub(crate) listener: (usize, u32),
    pub(crate) messages: VecDeque<Vec<u8>>,
}

/// A metric, which all workers share by its name.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) kind: u32,
    pub(crate) name: String,
    pub(crate) value: i64,
}

/// Gauges that state the policy for as long as it is enforced.
const STATED: [&str; 4] = [
    "sluicegate_policy_info",
    "sluicegate_policy_loaded_seconds",
    "sluicegate_keys",
    "sluicegate_keys_max",
];

pub(crate) const COUNTER: u32 = 0;
pub(crate) const GAUGE: u32 = 1;
pub(crate) const HISTOGRAM: u32 = 2;

#[derive(Debug)]
pub(crate) struct World {
    /// Both clocks, in nanoseconds.
    pub(crate) now: u64,
    pub(crate) data: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    cas: u32,
    pub(crate) queues: Vec<Queue>,
    /// Messages of which a worker was not notified yet: the worker, its root, the queue.
    pub(crate) notices: VecDeque<(usize, u32, u32)>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) workers: usize,
}

impl World {
    pub(crate) fn shared() -> SharedWorld {
        Rc::new(RefCell::new(Self {
            now: 1_700_000_000_000_000_000,
            data: BTreeMap::new(),
            cas: 0,
            queues: Vec::new(),
            notices: VecDeque::new(),
            metrics: Vec::new(),
            workers: 0,
        }))
    }

    /// Stores a value. A version of 0 overwrites, and any other creates an absent key
    /// (proxy-wasm-cpp-host: `SharedData::set`). False if there is another version.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], cas: u32) -> bool {
        if let Some((_, known)) = self.data.get(key)
            && cas != 0
            && cas != *known
        {
            return false;
        }
        self.cas += 1;
        self.data.insert(key.to_vec(), (value.to_vec(), self.cas));
        true
    }

    /// The token of a queue, whose listener the caller becomes.
    pub(crate) fn register(&mut self, name: &[u8], listener: (usize, u32)) -> u32 {
        let known = self.queues.iter().position(|queue| queue.name == name);
        let place = known.unwrap_or_else(|| {
            let (name, messages) = (name.to_vec(), VecDeque::new());
            self.queues.push(Queue {
                name,
                listener,
                messages,
            });
            self.queues.len() - 1
        });
        self.queues[place].listener = listener;
        place as u32 + 1
    }

    pub(crate) fn queue(&mut self, token: u32) -> Option<&mut Queue> {
        self.queues.get_mut((token as usize).checked_sub(1)?)
    }

    /// False if there is no such queue.
    pub(crate) fn enqueue(&mut self, token: u32, message: &[u8]) -> bool {
        let Some(queue) = self.queue(token) else {
            return false;
        };
        queue.messages.push_back(message.to_vec());
        let (worker, root) = queue.listener;
        self.notices.push_back((worker, root, token));
        true
    }

    /// The number of a metric. Envoy makes a new number for each definition of a name, all of
    /// which count the same; here the number is that of the name.
    pub(crate) fn define(&mut self, kind: u32, name: &str) -> u32 {
        let known = self.metrics.iter().position(|known| known.name == name);
        let place = known.unwrap_or_else(|| {
            let (name, value) = (name.to_owned(), 0);
            self.metrics.push(Metric { kind, name, value });
            self.metrics.len() - 1
        });
        place as u32 + 1
    }

    pub(crate) fn metric(&mut self, id: u32) -> Option<&mut Metric> {
        self.metrics.get_mut((id as usize).checked_sub(1)?)
    }

    /// The gauges that are not zero, except those that state the policy.
    pub(crate) fn gauges(&self) -> Vec<(&str, i64)> {
        let gauges = self.metrics.iter().filter(|metric| metric.kind == GAUGE);
        let gauges = gauges.map(|metric| (&*metric.name, metric.value));
        let states = |name: &str| STATED.iter().any(|stated| name.ends_with(stated));
        gauges
            .filter(|(name, value)| *value != 0 && !states(name))
            .collect()
    }
}
