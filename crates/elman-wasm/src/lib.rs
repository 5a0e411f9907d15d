//! Elman in a page: what the page's script calls, inside a worker.
//!
//! Words, numbers and bytes in and out; the arithmetic is that of `elman` and `elman-step`. `page/` has the script, and
//! `page/build` makes both into one file. Each module is written as plain Rust, which tests call, behind a thin layer for
//! the script.
// What `wasm_bindgen` makes of an exported function.
#![allow(unsafe_code)]

mod lossfun;
mod reader;
mod tasks;
mod training;

pub use lossfun::{loss_and_gradients, loss_and_gradients_js};
pub use reader::Reader;
pub use tasks::TaskModel;
pub use training::Training;

use std::path::PathBuf;

use elman::format::model::Loaded;
use elman::step::model::Document;
use elman::{Error, Result};
use elman_kernels::Isa;
use wasm_bindgen::prelude::*;

/// The instruction set in use: `simd128` or `plain`.
#[wasm_bindgen]
pub fn isa() -> String {
    Isa::best().name().into()
}

/// Uses the portable loops from now on, whose results are bit-identical on every machine.
#[wasm_bindgen]
pub fn choose_plain() {
    Isa::PLAIN.choose();
}

/// A model file that a reader dropped, verified.
fn loaded(name: &str, bytes: Vec<u8>) -> Result<Loaded> {
    let path = PathBuf::from(name);
    match Document::parse_owned(bytes) {
        Ok(document) => Ok(Loaded { path, document }),
        Err(error) => Err(Error::Model { path, reason: error.to_string() }),
    }
}

/// An error as the script sees it.
fn thrown(error: Error) -> JsError {
    JsError::new(&error.to_string())
}
