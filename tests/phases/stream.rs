//! One stream as Envoy sees it.

use std::collections::{BTreeMap, VecDeque};

/// Header fields in their order.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Fields from text.
pub(crate) fn pairs(fields: &[(&str, &str)]) -> Pairs {
    let bytes =
        |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    fields.iter().map(bytes).collect()
}

/// The part of the request that does not go on to the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pause {
    #[default]
    No,
    /// The head; the callbacks with the body go on (`allow_on_headers_stop_iteration: true`).
    Head,
    /// The head and everything after it; there are no callbacks.
    All,
    /// Everything after the head.
    Rest,
}

/// A part after the head.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Body(Vec<u8>, bool),
    Trailers,
}

/// A local reply, as the filter asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u32,
    pub(crate) details: String,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Pairs,
    pub(crate) grpc_status: i32,
}

/// The part of the request that the upstream has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) heads: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) is_complete: bool,
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) root: u32,
    pub(crate) head: Pairs,
    pub(crate) properties: BTreeMap<String, Vec<u8>>,
    /// Bytes of the request that came.
    pub(crate) received: u64,
    /// The part of the body that the callback can read.
    pub(crate) part: Vec<u8>,
    /// The parts that Envoy keeps, and whether the filter reads them again with the next.
    pub(crate) kept: Vec<u8>,
    pub(crate) shows_kept: bool,
    /// Parts that came while everything waits.
    pub(crate) waiting: VecDeque<Part>,
    /// Whether the whole request came.
    pub(crate) has_ended: bool,
    pub(crate) pause: Pause,
    /// Whether the filter resumed the request in this callback.
    pub(crate) resumed: bool,
    pub(crate) reply: Option<Reply>,
    /// Whether Envoy cut the stream, since a reply came after the response's head.
    pub(crate) was_reset: bool,
    pub(crate) upstream: Upstream,
    pub(crate) response: Option<Pairs>,
    pub(crate) trailers: Pairs,
    pub(crate) filter_state: Option<String>,
}

impl Stream {
    pub(crate) fn has_head_at_hand(&self) -> bool {
        matches!(self.pause, Pause::Head | Pause::All)
    }

    pub(crate) const fn has_response(&self) -> bool {
        self.response.is_some()
    }

    pub(crate) const fn was_answered(&self) -> bool {
        self.reply.is_some()
    }

    pub(crate) const fn was_resumed(&self) -> bool {
        self.resumed
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause != Pause::No
    }

    /// The status of the reply, or of the response.
    pub(crate) fn status(&self) -> Option<u32> {
        match &self.reply {
            Some(reply) => Some(reply.status),
            None => self.field(":status")?.parse().ok(),
        }
    }

    /// The first field of the response with this name.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let response = self.response.as_ref()?;
        let (_, value) = response
            .iter()
            .find(|(known, _)| known == name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Forwards the parts that Envoy keeps.
    pub(crate) fn release(&mut self) {
        if self.upstream.heads == 0 {
            self.upstream.heads = 1;
        }
        self.pause = Pause::No;
        self.upstream.body.append(&mut self.kept);
        self.shows_kept = false;
        self.upstream.is_complete |= self.has_ended && self.waiting.is_empty();
    }
}
