//! The library from the outside, in one binary: linking each costs more than running it.

mod auto;
mod contract;
mod divergence;
#[cfg(feature = "convert")]
mod graphs;
mod hostile_files;
mod layering;
mod made_file;
mod metrics;
mod precision;
mod ranks;
mod reference;
mod spoilings;
mod step;
mod tasks;

use elman_kernels::Isa;

/// Computes on the instruction set that `ELMAN_ISA` names (`plain`, `avx2`, ..): for a run of the contract and of the step
/// functions on one that this machine would not choose.
fn on_the_named_instruction_set() {
    if let Ok(name) = std::env::var("ELMAN_ISA") {
        let found = Isa::available().find(|isa| isa.name() == name);
        found.unwrap_or_else(|| panic!("ELMAN_ISA={name}: this machine has no such instruction set")).choose();
    }
}
