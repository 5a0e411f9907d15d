//! `elman doctor`: what this machine offers, and any problem with it.

use std::path::Path;
use std::time::Instant;

use elman::error::in_words;
use elman_kernels::{Isa, peak};
use serde_json::json;

use crate::args::Doctor;
use crate::exit_code::Outcome;

/// Rounds of multiply-adds between two looks at the clock: some 10 ms.
const ROUNDS: usize = 2_000_000;

pub(crate) fn run(args: &Doctor) -> Outcome {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sets: Vec<&str> = Isa::available().map(Isa::name).collect();
    let gflops = (0..5).map(|_| multiply_adds_per_second()).fold(0.0, f64::max) / 1e9;
    let (total, available) = memory();
    let writable = tempfile(Path::new("."));
    let mut problems = Vec::new();
    if let Err(reason) = &writable {
        problems.push(format!("this folder cannot be written ({reason}): name another by `elman train --out DIR`"));
    }
    if Isa::best() == Isa::PLAIN && cfg!(target_arch = "x86_64") {
        problems.push("this CPU has neither AVX2 nor AVX-512: training will be several times slower".into());
    }
    if available.is_some_and(|bytes| bytes < 256 << 20) {
        problems.push("less than 256 MB of memory are free: choose a small --hidden and --batch".into());
    }
    if args.json {
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"), "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
            "instruction_set": Isa::best().name(), "instruction_sets": sets, "threads": threads,
            "memory_bytes": total, "memory_available_bytes": available, "peak_gflops_one_thread": gflops,
            "mpi": cfg!(feature = "mpi"), "folder_writable": writable.is_ok(), "problems": problems,
        });
        println!("{report}");
        return Ok(0);
    }
    let mb = |bytes: Option<u64>| bytes.map_or("unknown".into(), |b| format!("{} MB", b >> 20));
    println!("elman {} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    println!("instruction set  {} (of {})", Isa::best().name(), sets.join(", "));
    println!("threads          {threads}");
    println!("peak             {gflops:.0} GFLOP/s of multiply-adds on one thread");
    println!("memory           {}, {} free", mb(total), mb(available));
    println!("several machines {}", if cfg!(feature = "mpi") { "by mpirun or srun" } else { "built without MPI" });
    println!("this folder      {}", if writable.is_ok() { "can be written" } else { "cannot be written" });
    if problems.is_empty() {
        println!("no problems found");
    }
    problems.iter().for_each(|problem| println!("! {problem}"));
    Ok(0)
}

fn multiply_adds_per_second() -> f64 {
    let began = Instant::now();
    let operations = peak::multiply_adds(Isa::best(), ROUNDS);
    operations / began.elapsed().as_secs_f64()
}

/// Bytes of memory in all and available, where the system says so.
fn memory() -> (Option<u64>, Option<u64>) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb << 10)
    };
    (of("MemTotal:"), of("MemAvailable:"))
}

/// Whether a file can be made in a folder; it is removed at once.
fn tempfile(folder: &Path) -> Result<(), String> {
    let path = folder.join(format!(".elman-doctor-{}", std::process::id()));
    let made = std::fs::File::create_new(&path).map(drop).map_err(|error| in_words(&error));
    if made.is_ok() {
        std::fs::remove_file(&path).map_err(|error| in_words(&error))?;
    }
    made
}
