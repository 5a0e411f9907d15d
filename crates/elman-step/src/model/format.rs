//! The keys and the limits of model files.

/// The element types of tensors, as safetensors names them.
pub use safetensors::Dtype;

/// The format version of models and checkpoints.
pub const FORMAT_VERSION: u64 = 1;
/// The format version of graphs.
pub const GRAPH_VERSION: u64 = 2;
/// Metadata key of the JSON document.
pub const CONFIG_KEY: &str = "elman";
/// Metadata key of the whole file's checksum.
pub const CHECKSUM_KEY: &str = "elman.crc32";
/// Metadata key of the tensors' checksums.
pub const TENSORS_KEY: &str = "elman.tensors";

/// Longest header accepted, in bytes; safetensors allows 100 MB.
pub const MAX_HEADER: usize = 10_000_000;
/// Most tensors accepted.
pub const MAX_TENSORS: usize = 100_000;
/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// Most values in the JSON document: each takes 32 bytes and more in memory, and as little as 2 in the file.
pub const MAX_VALUES: usize = 1_000_000;
