//! After its first updates, training allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use elman::cell::CellKind;
use elman::settings::Settings;
use elman::task::language_model::Plan;
use elman::task::{Plan as _, Start};
use elman::train::{Event, Every, Precision};

use crate::alone;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on to the system's allocator as it came; the counter touches no memory but its own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` or `System.realloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the pointer came from this allocator with this layout, and the caller answers for `size`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Updates in which something else in the process may allocate.
const STRAY: usize = 3;

/// Allocations in each update, between the watcher's calls.
fn allocations(settings: &Settings) -> Vec<u64> {
    let text: String = (0..400).map(|i| format!("The {i} quick foxes jump over {} lazy dogs.\n", i * 7)).collect();
    let plan = Plan::of_text(text.as_bytes(), settings.clone()).unwrap();
    let mut counts = Vec::with_capacity(settings.max_steps as usize);
    let mut watch = |event: Event| {
        if matches!(event, Event::Step { .. }) {
            counts.push(ALLOCATIONS.load(Ordering::Relaxed));
        }
    };
    plan.session(Start::default()).unwrap().run(&AtomicBool::new(false), &mut watch).unwrap();
    counts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn an_update_allocates_nothing_after_the_first_few() {
    let _alone = alone();
    for threads in [1, 2] {
        for cell in CellKind::ALL {
            for plain in [true, false] {
                let mut s = Settings::preset("default").unwrap();
                (s.cell, s.threads, s.hidden, s.layers, s.batch, s.seq_len) = (cell, threads, 24, 2, 32, 8);
                (s.max_steps, s.log_every, s.val_every, s.sample_length) = (40, 1000, 1000, 0);
                s.checkpoint_every = Every::Steps(1000);
                if !plain {
                    (s.dropout, s.embedding, s.accumulate, s.ema_decay) = (0.2, 16, 2, 0.9);
                    (s.clip_value, s.state_reset, s.precision) = (0.5, 0.1, Precision::Bf16);
                }
                let counts = allocations(&s);
                // The counter sees the whole process: threads of an earlier pool that end, and the pool's queues, take
                // memory now and then. An update that allocates would do so every time, thirty times here.
                let updates = counts[9..].iter().filter(|&&n| n > 0).count();
                assert!(updates <= STRAY, "{cell:?}, {threads} threads, plain {plain}: {counts:?}");
            }
        }
    }
}
