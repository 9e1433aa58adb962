//! The memory of this wasm instance.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use wasm_bindgen::prelude::*;

/// Bytes of the last allocation that failed; 0 if none did.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// The standard allocator, which also records that an allocation failed. After that the program traps without a
/// message, because there is no output here to print to.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

fn note(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        REFUSED.store(bytes, Ordering::Relaxed);
    }
    pointer
}

// SAFETY: every call goes to the standard allocator, and recording a failure allocates nothing.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the standard allocator's too.
        note(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        note(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        note(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Whether an allocation of this instance failed, which explains a trap. May be called after the instance trapped.
#[wasm_bindgen(js_name = ranOutOfMemory)]
pub fn ran_out_of_memory() -> bool {
    REFUSED.load(Ordering::Relaxed) > 0
}

/// Resets [`ran_out_of_memory`]: whatever allocation failed before does not concern what comes now.
pub(super) fn forget() {
    REFUSED.store(0, Ordering::Relaxed);
}

/// Bytes that this instance's memory has grown to. It never shrinks, so this is its peak.
#[wasm_bindgen(js_name = memoryBytes)]
pub fn memory_bytes() -> f64 {
    let buffer = wasm_bindgen::memory().dyn_into::<js_sys::WebAssembly::Memory>().map(|memory| memory.buffer());
    let bytes = buffer.and_then(|buffer| buffer.dyn_into::<js_sys::ArrayBuffer>()).map(|buffer| buffer.byte_length());
    bytes.map_or(0.0, f64::from)
}
