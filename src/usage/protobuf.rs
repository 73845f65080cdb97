//! Protobuf messages as bytes, field by field: what OTLP needs of them.

use crate::base::varint;

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;

impl Message {
    fn tag(&mut self, field: u64, wire: u64) {
        varint::push((field << 3) | wire, &mut self.0);
    }

    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.tag(field, LENGTH);
        varint::push(u64::try_from(bytes.len()).unwrap_or_default(), &mut self.0);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(&mut self, field: u64, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn fixed(&mut self, field: u64, bytes: [u8; 8]) -> &mut Self {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&bytes);
        self
    }

    pub(super) fn number(&mut self, field: u64, number: u64) -> &mut Self {
        self.tag(field, VARINT);
        varint::push(number, &mut self.0);
        self
    }

    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0)
    }
}
