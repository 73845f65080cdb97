//! The memory that the library asks for, counted.

use std::cell::Cell;
use std::rc::Rc;

use brotli_decompressor::{Allocator, SliceWrapper, SliceWrapperMut};

/// What all allocators of one stream have given out.
#[derive(Clone, Default)]
pub(super) struct Memory {
    counts: Rc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Bytes that are held.
    held: Cell<usize>,
    /// Bytes that were ever asked for.
    asked: Cell<u64>,
    refused: Cell<bool>,
}

/// An allocator.
pub(super) struct Cells {
    memory: Memory,
    /// The most bytes that it gives out at once.
    most: usize,
}

/// Memory that was given out.
pub(super) struct Block<T> {
    cells: Vec<T>,
    memory: Option<Memory>,
}

impl Memory {
    /// An allocator that gives out `most` bytes at once, and nothing if asked for more.
    pub(super) fn cells(&self, most: usize) -> Cells {
        Cells { memory: self.clone(), most }
    }

    /// Whether more was asked for than is given out.
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
