//! Builds archives record by record, so that each record can be wrong.

use crate::payload::decode::tests::raw;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(super) name: &'static str,
    pub(super) method: u16,
    pub(super) flags: u16,
    /// The data as sent.
    pub(super) data: Vec<u8>,
    pub(super) crc: u32,
    pub(super) size: u64,
    pub(super) tail: Tail,
    /// Whether its sizes are in the extra field.
    pub(super) is_zip64: bool,
}

/// The descriptor after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Missing,
    Narrow,
    Wide,
    /// Without a signature.
    BareNarrow,
    BareWide,
}

pub(crate) fn stored(name: &'static str, bytes: &[u8]) -> File {
    let (data, size) = (bytes.to_vec(), bytes.len() as u64);
    let crc = crc32fast::hash(bytes);
    File {
        name,
        method: 0,
        flags: 0,
        data,
        crc,
        size,
        tail: Tail::Missing,
        is_zip64: false,
    }
}

pub(crate) fn deflated(name: &'static str, bytes: &[u8]) -> File {
    File {
        method: 8,
        data: raw(bytes),
        ..stored(name, bytes)
    }
}

impl File {
    pub(super) fn with(self, tail: Tail) -> Self {
        Self {
            flags: self.flags | 1 << 3,
            tail,
            ..self
        }
    }

    pub(super) fn wide(self) -> Self {
        Self {
            is_zip64: true,
            ..self
        }
    }

    /// Header, data and descriptor.
    pub(super) fn local(&self) -> Vec<u8> {
        let declared = self.tail == Tail::Missing;
        let (crc, compressed, size) = if declared {
            (self.crc, self.data.len() as u64, self.size)
        } else {
            (0, 0, 0)
        };
        let extra = if self.is_zip64 {
            extra(&[size, compressed])
        } else {
            vec![]
        };
        let narrow = |size: u64| if self.is_zip64 { u32::MAX } else { size as u32 };
        let mut bytes = b"PK\x03\x04\x14\0".to_vec();
        bytes.extend(
            [
                self.flags.to_le_bytes(),
                self.method.to_le_bytes(),
                [0; 2],
                [0; 2],
            ]
            .concat(),
        );
        bytes.extend(
            [crc, narrow(compressed), narrow(size)]
                .map(u32::to_le_bytes)
                .concat(),
        );
        bytes.extend(
            [self.name.len() as u16, extra.len() as u16]
                .map(u16::to_le_bytes)
                .concat(),
        );
        bytes.extend([self.name.as_bytes(), &extra, &self.data].concat());
        let sizes = [self.data.len() as u64, self.size];
        if [Tail::Narrow, Tail::Wide].contains(&self.tail) {
            bytes.extend(b"PK\x07\x08");
        }
        match self.tail {
            Tail::Missing => {}
            Tail::Narrow | Tail::BareNarrow => {
                bytes.extend(self.crc.to_le_bytes());
                bytes.extend(sizes.map(|size| (size as u32).to_le_bytes()).concat());
            }
            Tail::Wide | Tail::BareWide => {
                bytes.extend(self.crc.to_le_bytes());
                bytes.extend(sizes.map(u64::to_le_bytes).concat());
            }
        }
        bytes
    }

    pub(super) fn central(&self, offset: usize) -> Vec<u8> {
        let sizes = [self.size, self.data.len() as u64, offset as u64];
        let extra = if self.is_zip64 { extra(&sizes) } else { vec![] };
        let narrow = |size: u64| if self.is_zip64 { u32::MAX } else { size as u32 };
        let mut bytes = b"PK\x01\x02\x14\0\x14\0".to_vec();
        bytes.extend(
            [
                self.flags.to_le_bytes(),
                self.method.to_le_bytes(),
                [0; 2],
                [0; 2],
            ]
            .concat(),
        );
        bytes.extend(
            [self.crc, narrow(sizes[1]), narrow(sizes[0])]
                .map(u32::to_le_bytes)
                .concat(),
        );
        bytes.extend(
            [self.name.len() as u16, extra.len() as u16, 3, 0, 0, 0, 0]
                .map(u16::to_le_bytes)
                .concat(),
        );
        bytes.extend(narrow(sizes[2]).to_le_bytes());
        bytes.extend([self.name.as_bytes(), &extra, b"..."].concat());
        bytes
    }
}

fn extra(values: &[u64]) -> Vec<u8> {
    let field: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    [
        &[9, 9, 1, 0, 0, 1, 0][..],
        &(field.len() as u16).to_le_bytes(),
        &field,
    ]
    .concat()
}

pub(super) fn end(records: usize, bytes: usize, offset: usize, comment: &[u8]) -> Vec<u8> {
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([records as u16; 2].map(u16::to_le_bytes).concat());
    end.extend([bytes as u32, offset as u32].map(u32::to_le_bytes).concat());
    end.extend((comment.len() as u16).to_le_bytes());
    end.extend(comment);
    end
}

/// The zip64 end record, its locator, and an end record that refers to it.
pub(super) fn zip64_end(records: usize, bytes: usize, offset: usize) -> Vec<u8> {
    let mut end = b"PK\x06\x06".to_vec();
    end.extend(44_u64.to_le_bytes());
    end.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    end.extend(
        [records, records, bytes, offset]
            .map(|number| (number as u64).to_le_bytes())
            .concat(),
    );
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend(((offset + bytes) as u64).to_le_bytes());
    end.extend([1, 0, 0, 0]);
    end.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    end
}

/// The entries of an archive, and its central records in the same order.
pub(super) fn parts(files: &[File]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut locals = Vec::new();
    let mut centrals = Vec::new();
    for file in files {
        centrals.push(file.central(locals.len()));
        locals.extend(file.local());
    }
    (locals, centrals)
}

pub(crate) fn archive(files: &[File]) -> Vec<u8> {
    let (locals, centrals) = parts(files);
    let directory = centrals.concat();
    let end = end(files.len(), directory.len(), locals.len(), b"");
    [locals, directory, end].concat()
}
