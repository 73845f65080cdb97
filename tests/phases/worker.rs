//! One worker of Envoy: the roots and streams of a VM, with Envoy's work between the callbacks.
//!
//! Its PluginConfig has `allow_on_headers_stop_iteration: true`, as `sluicegate render` writes it.
//! It follows `context.cc` (`decodeHeaders`, `decodeData`) and `FilterManager` in Envoy's
//! `source/common/http/filter_manager.cc`. A rule that the filter breaks, and a trap, panic with
//! the names of the callback and of the call.

use std::collections::BTreeMap;

use super::host::Action;
use super::rules::Callback;
use super::stream::{Pairs, Part, Pause, Reply, Stream, pairs};
use super::vm::Vm;
use super::world::SharedWorld;

/// The statuses of the callbacks.
const CONTINUE: u32 = 0;
const STOP_AND_BUFFER: u32 = 1;
const STOP_AND_WATERMARK: u32 = 2;
const STOP_ALL_AND_WATERMARK: u32 = 4;

pub(crate) struct Worker {
    pub(crate) vm: Vm,
    next: u32,
    /// The streams that have ended.
    pub(crate) ended: BTreeMap<u32, Stream>,
}

impl Worker {
    pub(crate) fn new(world: &SharedWorld) -> Self {
        Self::with(Vm::of_the_filter(world))
    }

    pub(crate) fn with(vm: Vm) -> Self {
        let ended = BTreeMap::new();
        Self { vm, next: 0, ended }
    }

    /// Calls back.
    pub(crate) fn call<P: wasmi::WasmParams, R: wasmi::WasmResults>(
        &mut self,
        callback: Callback,
        context: u32,
        parameters: P,
    ) -> Option<R> {
        let result = self.vm.call(callback, context, parameters);
        result.unwrap_or_else(|why| panic!("{why}"))
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A root with a policy; `None` if the filter refuses it.
    pub(crate) fn configure(&mut self, policy: &str) -> Option<u32> {
        let (root, size) = (self.number(), policy.len() as u32);
        let host = self.vm.host_mut();
        host.roots.insert(root, policy.as_bytes().to_vec());
        self.call::<_, ()>(Callback::ContextCreate, root, (root, 0_u32));
        self.call::<_, u32>(Callback::VmStart, root, (root, 0_u32));
        let accepts = self.call::<_, u32>(Callback::Configure, root, (root, size));
        self.after();
        (accepts == Some(1)).then_some(root)
    }

    /// A root is gone, with its ticks.
    pub(crate) fn remove(&mut self, root: u32) {
        self.vm.host_mut().ticks.remove(&root);
        self.call::<_, u32>(Callback::Done, root, root);
        self.call::<_, ()>(Callback::Delete, root, root);
        self.vm.host_mut().roots.remove(&root);
        self.after();
    }

    /// The stream with this number, also after its end.
    pub(crate) fn stream(&self, id: u32) -> &Stream {
        let streams = &self.vm.host().streams;
        streams.get(&id).unwrap_or_else(|| &self.ended[&id])
    }

    pub(crate) fn stream_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.vm.host_mut().streams.get_mut(&id)
    }

    pub(crate) fn is_open(&self, id: u32) -> bool {
        self.vm.host().streams.contains_key(&id)
    }

    /// A stream of which the filter has seen nothing.
    pub(crate) fn create(&mut self, stream: Stream) -> u32 {
        let (id, root) = (self.number(), stream.root);
        self.vm.host_mut().streams.insert(id, stream);
        self.call::<_, ()>(Callback::ContextCreate, id, (id, root));
        id
    }

    /// A request head has come. `ends` is true if there is no body.
    pub(crate) fn open(&mut self, root: u32, head: &[(&str, &str)], ends: bool) -> u32 {
        self.open_with(root, head, ends, BTreeMap::new())
    }

    /// The same, with properties.
    pub(crate) fn open_with(
        &mut self,
        root: u32,
        head: &[(&str, &str)],
        ends: bool,
        properties: BTreeMap<String, Vec<u8>>,
    ) -> u32 {
        let head = pairs(head);
        let bytes = head.iter().map(|(name, value)| name.len() + value.len());
        let received = bytes.sum::<usize>() as u64;
        let (fields, has_ended) = (head.len() as u32, ends);
        let id = self.create(Stream {
            root,
            head,
            received,
            has_ended,
            properties,
            ..Stream::default()
        });
        let parameters = (id, fields, u32::from(ends));
        let status = self.call(Callback::RequestHeaders, id, parameters);
        if let Some(stream) = self.stream_mut(id).filter(|stream| !stream.was_answered()) {
            match status.unwrap_or(CONTINUE) {
                CONTINUE => stream.release(),
                STOP_AND_BUFFER => stream.pause = Pause::Head,
                STOP_ALL_AND_WATERMARK => stream.pause = Pause::All,
                other => panic!("status {other} for a head"),
            }
        }
        self.after();
        id
    }

    /// More of a request's body has come.
    pub(crate) fn body(&mut self, id: u32, bytes: &[u8], ends: bool) {
        let Some(stream) = self.stream_mut(id).filter(|stream| !stream.was_answered()) else {
            return;
        };
        stream.received += bytes.len() as u64;
        stream.has_ended |= ends;
        if stream.pause == Pause::All {
            stream.waiting.push_back(Part::Body(bytes.to_vec(), ends));
        } else {
            self.deliver(id, bytes, ends);
        }
    }

    /// The trailers of a request have come, after which nothing comes.
    pub(crate) fn trailers(&mut self, id: u32) {
        let Some(stream) = self.stream_mut(id).filter(|stream| !stream.was_answered()) else {
            return;
        };
        stream.has_ended = true;
        if stream.pause == Pause::All {
            stream.waiting.push_back(Part::Trailers);
        } else {
            self.deliver_trailers(id);
        }
    }

    fn deliver(&mut self, id: u32, bytes: &[u8], ends: bool) {
        let Some(stream) = self.stream_mut(id) else {
            return;
        };
        // The filter reads all that Envoy buffers for it, or the new part alone.
        let kept = stream.shows_kept.then(|| std::mem::take(&mut stream.kept));
        stream.part = kept.unwrap_or_default();
        stream.part.extend(bytes);
        let parameters = (id, stream.part.len() as u32, u32::from(ends));
        let status = self.call(Callback::RequestBody, id, parameters);
        if let Some(stream) = self.stream_mut(id) {
            let part = std::mem::take(&mut stream.part);
            stream.kept.extend(part);
            let status = status.unwrap_or(CONTINUE);
            stream.shows_kept = status == STOP_AND_BUFFER;
            match status {
                _ if stream.was_answered() => {}
                CONTINUE => stream.release(),
                STOP_AND_BUFFER | STOP_AND_WATERMARK => stop(stream),
                other => panic!("status {other} for a part of the body"),
            }
        }
        self.after();
    }

    fn deliver_trailers(&mut self, id: u32) {
        let status = self.call(Callback::RequestTrailers, id, (id, 1_u32));
        if let Some(stream) = self.stream_mut(id).filter(|stream| !stream.was_answered()) {
            match status.unwrap_or(CONTINUE) {
                CONTINUE => stream.release(),
                _ => stop(stream),
            }
        }
        self.after();
    }

    /// The head of a response has come, the upstream's or one that Envoy makes.
    pub(crate) fn respond(&mut self, id: u32, head: &[(&str, &str)], ends: bool) {
        if self.is_open(id) {
            self.show_response(id, pairs(head), ends);
        }
    }

    fn show_response(&mut self, id: u32, head: Pairs, ends: bool) {
        let fields = head.len() as u32;
        if let Some(stream) = self.stream_mut(id) {
            stream.response = Some(head);
        }
        let parameters = (id, fields, u32::from(ends));
        let status = self.call(Callback::ResponseHeaders, id, parameters);
        assert_eq!(status.unwrap_or(CONTINUE), CONTINUE, "no response waits");
        self.after();
    }

    /// A part of the response's body has come.
    pub(crate) fn response_body(&mut self, id: u32, size: u32, ends: bool) {
        if self.is_open(id) {
            self.call::<_, u32>(Callback::ResponseBody, id, (id, size, u32::from(ends)));
            self.after();
        }
    }

    pub(crate) fn response_trailers(&mut self, id: u32, trailers: &[(&str, &str)]) {
        let Some(stream) = self.stream_mut(id) else {
            return;
        };
        stream.trailers = pairs(trailers);
        let status = self.call(Callback::ResponseTrailers, id, (id, trailers.len() as u32));
        assert_eq!(status.unwrap_or(CONTINUE), CONTINUE, "no response waits");
        self.after();
    }

    /// A stream ends: by its response, or because a side is gone.
    pub(crate) fn finish(&mut self, id: u32) {
        if !self.is_open(id) {
            return;
        }
        self.call::<_, ()>(Callback::Log, id, id);
        self.call::<_, u32>(Callback::Done, id, id);
        self.call::<_, ()>(Callback::Delete, id, id);
        if let Some(stream) = self.vm.host_mut().streams.remove(&id) {
            self.ended.insert(id, stream);
        }
        self.after();
    }

    /// Envoy's work after a callback.
    pub(crate) fn after(&mut self) {
        for action in self.vm.take_actions() {
            match action {
                Action::Reply(id) => self.reply(id),
                Action::Resume(id) => self.resume(id),
            }
        }
    }

    /// A local reply: the filter sees it as any response, and the stream ends. After the head of a
    /// response, Envoy resets the stream (`DownstreamFilterManager::sendLocalReply`).
    fn reply(&mut self, id: u32) {
        let Some(stream) = self.stream_mut(id) else {
            return;
        };
        let Some(reply) = stream.reply.clone() else {
            return;
        };
        if stream.has_response() {
            stream.was_reset = true;
        } else {
            let is_grpc = stream.head.iter().any(|(name, value)| {
                name == b"content-type" && value.starts_with(b"application/grpc") && {
                    matches!(value.get(16), None | Some(b'+'))
                }
            });
            let head = response_of(&reply, is_grpc);
            let ends = is_grpc || reply.body.is_empty();
            self.show_response(id, head, ends);
            if !ends {
                self.response_body(id, reply.body.len() as u32, true);
            }
        }
        self.finish(id);
    }

    /// `continueDecoding`: the parts that Envoy keeps go on, and those that came meanwhile come to
    /// the filter.
    fn resume(&mut self, id: u32) {
        let Some(stream) = self.stream_mut(id) else {
            return;
        };
        let waiting = std::mem::take(&mut stream.waiting);
        stream.resumed = false;
        stream.release();
        if !waiting.is_empty() {
            stream.upstream.is_complete = false;
        }
        let (mut bytes, mut ends, mut trailers) = (Vec::new(), false, false);
        for part in &waiting {
            match part {
                Part::Body(part, last) => {
                    bytes.extend(part);
                    ends |= last;
                }
                Part::Trailers => trailers = true,
            }
        }
        if waiting.iter().any(|part| matches!(part, Part::Body(..))) {
            self.deliver(id, &bytes, ends);
        }
        if trailers && self.is_open(id) && !self.stream(id).was_answered() {
            self.deliver_trailers(id);
        }
    }

    /// Lets time pass: roots tick, and learn of messages in their queues.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let world = self.vm.host().world.clone();
        let end = world.borrow().now + milliseconds * 1_000_000;
        loop {
            self.take_messages();
            let ticks = &self.vm.host().ticks;
            let next = ticks.iter().min_by_key(|(_, ticks)| ticks.due);
            let Some((root, due)) = next.map(|(root, ticks)| (*root, ticks.due)) else {
                break;
            };
            if due > end {
                break;
            }
            let now = world.borrow().now.max(due);
            world.borrow_mut().now = now;
            self.end_calls();
            self.call::<_, ()>(Callback::Tick, root, root);
            if let Some(ticks) = self.vm.host_mut().ticks.get_mut(&root) {
                ticks.due = now + ticks.period * 1_000_000;
            }
            self.after();
        }
        world.borrow_mut().now = end;
        self.end_calls();
    }

    /// Notifies roots of messages in their queues.
    pub(crate) fn take_messages(&mut self) {
        let (world, worker) = (self.vm.host().world.clone(), self.vm.host().worker);
        loop {
            let mut notices = world.borrow().notices.clone().into_iter();
            let place = notices.position(|(listener, ..)| listener == worker);
            let notice = place.and_then(|place| world.borrow_mut().notices.remove(place));
            let Some((_, root, queue)) = notice else {
                return;
            };
            // Envoy finds no context of a root that is gone.
            if self.vm.host().roots.contains_key(&root) {
                self.call::<_, ()>(Callback::QueueReady, root, (root, queue));
                self.after();
            }
        }
    }
}

/// The body stops at the filter, with the head if that waits.
fn stop(stream: &mut Stream) {
    if stream.pause == Pause::No {
        stream.pause = Pause::Rest;
    }
}

/// The response that Envoy makes of a local reply: of a gRPC one, trailers alone
/// (`Utility::prepareLocalReply` in `source/common/http/utility.cc`).
fn response_of(reply: &Reply, is_grpc: bool) -> Pairs {
    let status = reply.status.to_string();
    let grpc_status = reply.grpc_status.to_string();
    let mut head = match is_grpc {
        true => pairs(&[
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", &grpc_status),
        ]),
        false => pairs(&[(":status", &status)]),
    };
    head.extend(reply.headers.iter().cloned());
    head
}
