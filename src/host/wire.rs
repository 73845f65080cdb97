//! Protobuf's wire format, read in place: the fields of a message, one after the other.
//!
//! ```text
//!   key = number << 3 | form    form 0: varint  1: eight bytes  2: length, bytes  5: four bytes
//! ```
//!
//! Nothing is copied and nothing is entered: a field that is a message is bytes, to be read as a
//! message by the caller that needs its content. So no nesting is too deep, and the cost of reading
//! depends on the bytes alone. Source: the encoding page of protobuf.dev.

use crate::base::varint;

/// The fields of a message, in the order of its bytes. Malformed bytes end them.
#[derive(Clone)]
pub(crate) struct Fields<'m> {
    rest: &'m [u8],
}

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'m> {
    Varint(u64),
    Fixed64(u64),
    /// A text, bytes or a message.
    Bytes(&'m [u8]),
    Fixed32(u32),
}

impl<'m> Fields<'m> {
    pub(crate) const fn of(message: &'m [u8]) -> Self {
        Self { rest: message }
    }

    fn read(&mut self) -> Option<(u64, Payload<'m>)> {
        let (key, rest) = varint::read(self.rest)?;
        let (payload, rest) = match key & 7 {
            0 => {
                let (number, rest) = varint::read(rest)?;
                (Payload::Varint(number), rest)
            }
            1 => {
                let (bytes, rest) = rest.split_first_chunk::<8>()?;
                (Payload::Fixed64(u64::from_le_bytes(*bytes)), rest)
            }
            2 => {
                let (size, rest) = varint::read(rest)?;
                let (bytes, rest) = rest.split_at_checked(usize::try_from(size).ok()?)?;
                (Payload::Bytes(bytes), rest)
            }
            5 => {
                let (bytes, rest) = rest.split_first_chunk::<4>()?;
                (Payload::Fixed32(u32::from_le_bytes(*bytes)), rest)
            }
            // Groups (3 and 4) are deprecated since proto2, and no message that is read here has
            // one.
            _ => return None,
        };
        self.rest = rest;
        Some((key >> 3, payload))
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = (u64, Payload<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.read();
        if field.is_none() {
            self.rest = &[];
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{
        WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
    };

    use super::*;

    #[test]
    fn the_forms_are_told_apart() {
        let bytes = [
            0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 2, 0, 0, 0,
        ];
        let fields = [
            (1, Payload::Varint(150)),
            (2, Payload::Fixed64(1)),
            (3, Payload::Bytes(b"hi")),
            (4, Payload::Fixed32(2)),
        ];
        assert_eq!(Fields::of(&bytes).collect::<Vec<_>>(), fields);
        for end in 0..bytes.len() {
            assert!(
                Fields::of(&bytes[..end])
                    .eq(fields.into_iter().take(Fields::of(&bytes[..end]).count()))
            );
        }
        assert_eq!(
            Fields::of(&[0x1a, 3, b'h', b'i']).next(),
            None,
            "longer than the message"
        );
        assert_eq!(Fields::of(&[0x0b, 0x0c]).next(), None, "a group");
        assert_eq!(
            Fields::of(&[0xff; 40]).next(),
            None,
            "a number without an end"
        );
    }

    proptest! {
        #[test]
        fn what_prost_can_skip_is_read_the_same(
            bytes in prop::collection::vec(prop_oneof![3 => 0_u8..40, 1 => any::<u8>()], 0..60),
        ) {
            let mut rest = &bytes[..];
            let mut numbers = Vec::new();
            while let Ok((number, form)) = decode_key(&mut rest) {
                let group = matches!(form, WireType::StartGroup | WireType::EndGroup);
                if group || skip_field(form, number, &mut rest, Default::default()).is_err() {
                    break;
                }
                numbers.push(u64::from(number));
            }
            // prost refuses the number 0 and those over 2^29; here they are fields that no caller
            // asks for.
            let ours: Vec<u64> = Fields::of(&bytes).map(|(number, _)| number).collect();
            prop_assert!(ours.starts_with(&numbers), "{ours:?} {numbers:?}");
        }

        #[test]
        fn a_varint_reads_as_prost_reads_it(
            number: u64,
            rest in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut bytes = Vec::new();
            encode_key(1, WireType::Varint, &mut bytes);
            encode_varint(number, &mut bytes);
            prop_assert_eq!(
                Fields::of(&bytes).next(),
                Some((1, Payload::Varint(number)))
            );
            let tail = varint::read(&rest).map(|(number, _)| number);
            prop_assert_eq!(tail, decode_varint(&mut &rest[..]).ok());
        }
    }
}
