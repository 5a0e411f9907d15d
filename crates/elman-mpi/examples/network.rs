//! What an update costs over a network with a given latency and bandwidth, on one machine: every collective takes longer by what
//! its bytes would take there.
//!
//!     cargo build --release -p elman-mpi --features mpi --example network
//!     mpirun -n 2 target/release/examples/network 1ms 1Gb/s [--hidden 512 --batch 32 --reduce bf16 ..]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use elman::Settings;
use elman::task::Start;
use elman::train::{AllReduce, Event, Ranks};
use elman_mpi::{Launch, Mpi};

/// A connection over a slower network.
struct Slower {
    mpi: Mpi,
    latency: Duration,
    bytes_per_s: f64,
}

impl Slower {
    /// Waits as long as so many bytes out of this rank would take.
    fn wait(&self, bytes: usize) {
        std::thread::sleep(self.latency + Duration::from_secs_f64(bytes as f64 / self.bytes_per_s));
    }
}

impl AllReduce for Slower {
    fn rank(&self) -> usize {
        self.mpi.rank()
    }

    fn size(&self) -> usize {
        self.mpi.size()
    }

    fn all_to_all(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        self.wait(send.len() / self.size() * (self.size() - 1));
        self.mpi.all_to_all(send, receive);
    }

    fn all_gather(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        self.wait(send.len() * (self.size() - 1));
        self.mpi.all_gather(send, receive);
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) {
        self.wait(bytes.len());
        self.mpi.broadcast(bytes);
    }
}

/// `0.1ms` in seconds, `10Gb/s` in bytes per second.
fn number(text: &str, unit: &str) -> f64 {
    text.strip_suffix(unit)
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{text}: give a number of {unit}"))
}

fn main() -> elman::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [latency, bandwidth, options @ ..] = &words[..] else {
        panic!("usage: network 1ms 1Gb/s [--SETTING VALUE ..]")
    };
    let mut settings = Settings::for_builtin_data("language-model")?;
    (settings.hidden, settings.layers, settings.batch, settings.seq_len) = (512, 2, 32, 50);
    (settings.epochs, settings.max_steps, settings.val_every, settings.sample_every) = (0.0, 16, 1000, 0);
    (settings.threads, settings.dropout, settings.embedding) = (1, 0.0, 0);
    settings.set("cell", "lstm")?;
    for pair in options.chunks(2) {
        settings.set(pair[0].trim_start_matches('-'), &pair[1])?;
    }
    let ranks = match Launch::find() {
        None => Ranks::default(),
        Some(_) => Ranks::new(Arc::new(Slower {
            mpi: Mpi::start()?,
            latency: Duration::from_secs_f64(number(latency, "ms") / 1e3),
            bytes_per_s: number(bandwidth, "Gb/s") * 1e9 / 8.0,
        })),
    };
    let plan = elman::task::plan(settings)?;
    let mut session = plan.session(Start::default().among(ranks.clone()))?;
    let (mut times, mut last) = (Vec::new(), Instant::now());
    session.run(&AtomicBool::new(false), &mut |event| {
        if let Event::Step { .. } = event {
            times.push(last.elapsed().as_secs_f64() * 1e3);
            last = Instant::now();
        }
    })?;
    times.drain(..4.min(times.len()));
    times.sort_by(f64::total_cmp);
    if ranks.is_lead() {
        let (size, median) = (ranks.size(), times[times.len() / 2]);
        println!(
            "{size} ranks, {latency}, {bandwidth}, {} weights: {median:.1} ms per update",
            plan.summary().parameters
        );
    }
    Ok(())
}
