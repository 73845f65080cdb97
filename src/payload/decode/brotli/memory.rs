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
    allocated: Cell<u64>,
    refused: Cell<bool>,
}

pub(super) struct CountingAllocator {
    memory: Memory,
    /// The most bytes of one allocation.
    bytes_max: usize,
}

/// An allocation.
pub(super) struct Block<T> {
    items: Vec<T>,
    memory: Option<Memory>,
}

impl Memory {
    /// An allocator for allocations of up to `bytes_max` bytes. A larger one gets no memory.
    pub(super) fn allocator(&self, bytes_max: usize) -> CountingAllocator {
        CountingAllocator {
            memory: self.clone(),
            bytes_max,
        }
    }

    /// Whether an allocation was too large.
    pub(super) fn was_refused(&self) -> bool {
        self.counts.refused.get()
    }

    pub(super) fn held(&self) -> usize {
        self.counts.held.get()
    }

    pub(super) fn allocated(&self) -> u64 {
        self.counts.allocated.get()
    }

    fn take(&self, bytes: usize) {
        self.counts.held.set(self.held().saturating_add(bytes));
        self.counts
            .allocated
            .set(self.allocated().saturating_add(bytes as u64));
    }
}

impl<T: Clone + Default> Allocator<T> for CountingAllocator {
    type AllocatedMemory = Block<T>;

    fn alloc_cell(&mut self, length: usize) -> Block<T> {
        if length.saturating_mul(size_of::<T>()) > self.bytes_max {
            self.memory.counts.refused.set(true);
            return Block::default();
        }
        let block = Block {
            items: vec![T::default(); length],
            memory: Some(self.memory.clone()),
        };
        self.memory.take(block.bytes());
        block
    }

    fn free_cell(&mut self, block: Block<T>) {
        drop(block);
    }
}

impl<T> Block<T> {
    fn bytes(&self) -> usize {
        self.items.len().saturating_mul(size_of::<T>())
    }
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            memory: None,
        }
    }
}

impl<T> SliceWrapper<T> for Block<T> {
    fn slice(&self) -> &[T] {
        &self.items
    }
}

impl<T> SliceWrapperMut<T> for Block<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory
                .counts
                .held
                .set(memory.held().saturating_sub(self.bytes()));
        }
    }
}
