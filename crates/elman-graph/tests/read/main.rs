//! Reading foreign formats: the numbers of their own runtimes, or a refusal that names what is wrong.

mod files;
mod generated;
#[cfg(all(feature = "pytorch", feature = "keras", target_os = "linux"))]
mod hostile;
#[cfg(all(feature = "pytorch", feature = "keras", target_os = "linux"))]
mod hostile_files;
mod layouts;
mod made_elsewhere;
mod mutations;
