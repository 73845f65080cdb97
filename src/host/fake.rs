//! A host for tests, as far as several of them need the same.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Value as Json;

use super::fault::Fault;
use super::queue::{QueueToken, SharedQueue};
use super::shared::{SharedData, Swap, Version};
use super::stream::Clock;
use crate::base::time::Timestamp;

/// Shared data as Envoy keeps it: one counter for all versions, nothing is ever freed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeData {
    pub(crate) values: Rc<RefCell<Values>>,
    versions: Rc<Cell<u32>>,
    /// What every read answers, if it is set.
    pub(crate) fault: Rc<Cell<Option<Fault>>>,
    queues: Rc<RefCell<Queues>>,
}

/// By token: the name, and what lies in it.
type Queues = Vec<(Vec<u8>, VecDeque<Vec<u8>>)>;

pub(crate) type Values = HashMap<Vec<u8>, (Vec<u8>, u32)>;

impl SharedData for FakeData {
    fn read(&self, key: &[u8]) -> Result<(Vec<u8>, Version), Fault> {
        if let Some(fault) = self.fault.get() {
            return Err(fault);
        }
        let values = self.values.borrow();
        Ok(values.get(key).map_or((Vec::new(), Version::ABSENT), |(value, cas)| (value.clone(), Version::of(*cas))))
    }

    fn swap(&self, key: &[u8], value: &[u8], seen: Version) -> Result<Swap, Fault> {
        let mut values = self.values.borrow_mut();
        if values.get(key).is_some_and(|(_, cas)| *cas != seen.cas()) {
            return Ok(Swap::Conflict);
        }
        self.versions.set(self.versions.get().wrapping_add(1));
        values.insert(key.to_vec(), (value.to_vec(), self.versions.get()));
        Ok(Swap::Done)
    }
}

/// Queues as Envoy keeps them; nobody is woken.
impl SharedQueue for FakeData {
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault> {
        let mut queues = self.queues.borrow_mut();
        if queues.iter().all(|(known, _)| known != name) {
            queues.push((name.to_vec(), VecDeque::new()));
        }
        let place = queues.iter().position(|(known, _)| known == name).unwrap();
        Ok(QueueToken(u32::try_from(place).unwrap()))
    }

    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault> {
        let mut queues = self.queues.borrow_mut();
        let (_, messages) = queues.get_mut(queue.0 as usize).ok_or(Fault::HostStatus(1))?;
        messages.push_back(message.to_vec());
        Ok(())
    }

    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.queues.borrow_mut().get_mut(queue.0 as usize).and_then(|(_, messages)| messages.pop_front()))
    }
}

/// A clock that stands.
pub(crate) struct At(pub(crate) Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A field of a message that holds bytes, a text or a message.
pub(crate) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// A serialized `Metadata`, from `{ namespace: { key: value } }`.
pub(crate) fn metadata(namespaces: &Json) -> Vec<u8> {
    let entry = |(name, values): (&String, &Json)| {
        field(1, &[field(1, name.as_bytes()), field(2, &as_struct(values).encode_to_vec())].concat())
    };
    namespaces.as_object().unwrap().iter().map(entry).collect::<Vec<_>>().concat()
}

/// A serialized `Node` with this metadata.
pub(crate) fn node(metadata: &Json) -> Vec<u8> {
    [field(1, b"id"), field(2, b"cluster"), field(3, &as_struct(metadata).encode_to_vec())].concat()
}

pub(crate) fn as_struct(map: &Json) -> Struct {
    let fields = map.as_object().unwrap().iter();
    Struct { fields: fields.map(|(key, value)| (key.clone(), as_value(value))).collect() }
}

fn as_value(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(as_value).collect() }),
        Json::Object(_) => Kind::StructValue(as_struct(value)),
    };
    Value { kind: Some(kind) }
}
