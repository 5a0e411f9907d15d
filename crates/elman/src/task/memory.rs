//! The memory that a run may take on this machine.

use super::plan::Plan;
use super::row::Task;
use crate::error::{Error, Result};

/// Settings by which a run takes less.
const SIZES: [&str; 6] = ["hidden", "layers", "batch", "seq_len", "max_len", "vocab_size"];

/// The bytes that this process can have: those of the machine, of its control group, and of its own limit. None where the
/// system does not say.
fn limit() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let meminfo = read("/proc/meminfo")?;
    let kib = |name: &str| -> Option<u64> {
        meminfo.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let machine = (kib("MemTotal:")? + kib("SwapTotal:").unwrap_or(0)) << 10;
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.iter().find_map(|path| read(path)?.trim().parse().ok());
    let own = read("/proc/self/limits").and_then(|limits| {
        limits.lines().find_map(|line| line.strip_prefix("Max address space")?.split_whitespace().next()?.parse().ok())
    });
    [Some(machine), group, own].into_iter().flatten().min()
}

/// Compares what a run takes with what there is, before anything of it is made.
///
/// # Errors
/// [`Error::Usage`] if it takes more.
pub(super) fn check(plan: &dyn Plan, task: &Task) -> Result<()> {
    let needed = plan.summary().memory as u64;
    let Some(limit) = limit().filter(|limit| needed > *limit) else { return Ok(()) };
    let names: Vec<String> = SIZES.iter().filter(|key| task.is_read(key)).map(|key| format!("`{key}`")).collect();
    Err(Error::Usage(format!(
        "this run takes about {} of memory, and there are {} here; give it less by a lower {}",
        size(needed),
        size(limit),
        names.join(", ")
    )))
}

/// Bytes as people say them.
fn size(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 10.0 { format!("{gib:.1} GiB") } else { format!("{gib:.0} GiB") }
}
