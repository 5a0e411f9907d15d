//! The crate from the outside, in one binary: linking each costs more than running it.

mod c_header;
mod files;
mod generated;
#[cfg(all(feature = "pytorch", feature = "keras", target_os = "linux"))]
mod hostile;
#[cfg(all(feature = "pytorch", feature = "keras", target_os = "linux"))]
mod hostile_files;
mod layouts;
mod made_elsewhere;
mod mutations;
mod onnx;
mod quantized;
mod random;
mod steps;
mod writers;
