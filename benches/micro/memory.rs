//! The system's allocator with a count of its calls, for the micro-benchmarks and
//! `tests/allocations.rs`.

#![allow(
    unsafe_code,
    reason = "an allocator is unsafe to write; this one forwards every call"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// By thread, since a test and its harness run on two.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The number of allocations and reallocations of this thread so far.
pub(crate) fn allocations() -> u64 {
    COUNT.get()
}

fn count_allocation() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_allocation();
        unsafe { System.realloc(pointer, layout, size) }
    }
}
