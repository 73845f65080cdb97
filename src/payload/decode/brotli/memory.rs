//! Counts the memory that the library allocates.

use std::cell::Cell;
use std::rc::Rc;

use brotli_decompressor::{Allocator, SliceWrapper, SliceWrapperMut};

/// The counts of all allocators of one stream.
#[derive(Clone, Default)]
pub(super) struct Memory {
    counts: Rc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Bytes allocated now.
    held: Cell<usize>,
    /// Bytes allocated in all, including freed ones.
    asked: Cell<u64>,
    refused: Cell<bool>,
}

pub(super) struct Cells {
    memory: Memory,
    /// The most bytes of one allocation.
    most: usize,
}

/// An allocation.
pub(super) struct Block<T> {
    cells: Vec<T>,
    memory: Option<Memory>,
}

impl Memory {
    /// An allocator for allocations of up to `most` bytes. A larger one gets no memory.
    pub(super) fn cells(&self, most: usize) -> Cells {
        Cells { memory: self.clone(), most }
    }

    /// Whether an allocation was too large.
    pub(super) fn was_refused(&self) -> bool {
        self.counts.refused.get()
    }

    pub(super) fn held(&self) -> usize {
        self.counts.held.get()
    }

    pub(super) fn asked(&self) -> u64 {
        self.counts.asked.get()
    }

    fn take(&self, bytes: usize) {
        self.counts.held.set(self.held().saturating_add(bytes));
        self.counts.asked.set(self.asked().saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
    }
}

impl<T: Clone + Default> Allocator<T> for Cells {
    type AllocatedMemory = Block<T>;

    fn alloc_cell(&mut self, length: usize) -> Block<T> {
        if length.saturating_mul(size_of::<T>()) > self.most {
            self.memory.counts.refused.set(true);
            return Block::default();
        }
        let block = Block { cells: vec![T::default(); length], memory: Some(self.memory.clone()) };
        self.memory.take(block.bytes());
        block
    }

    fn free_cell(&mut self, block: Block<T>) {
        drop(block);
    }
}

impl<T> Block<T> {
    fn bytes(&self) -> usize {
        self.cells.len().saturating_mul(size_of::<T>())
    }
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Self { cells: Vec::new(), memory: None }
    }
}

impl<T> SliceWrapper<T> for Block<T> {
    fn slice(&self) -> &[T] {
        &self.cells
    }
}

impl<T> SliceWrapperMut<T> for Block<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.cells
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.counts.held.set(memory.held().saturating_sub(self.bytes()));
        }
    }
}
