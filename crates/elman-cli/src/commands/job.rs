//! The processes that train together, where a launcher started this one as one of several.

use elman::train::Ranks;
use elman_mpi::Launch;

#[cfg(feature = "mpi")]
use crate::exit_code::tell;
use crate::exit_code::{Failure, Outcome};

/// This process and the others of its job; most often it is alone.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub(crate) ranks: Ranks,
    #[cfg(feature = "mpi")]
    mpi: Option<std::sync::Arc<elman_mpi::Mpi>>,
}

impl Job {
    /// Connects with the other processes, if there are any.
    pub(crate) fn find() -> Result<Job, Failure> {
        Launch::find().map_or_else(|| Ok(Job::default()), Job::join)
    }

    #[cfg(feature = "mpi")]
    fn join(launch: Launch) -> Result<Job, Failure> {
        let mpi = std::sync::Arc::new(elman_mpi::Mpi::start()?);
        let ranks = Ranks::new(mpi.clone());
        if ranks.size() != launch.size {
            let Launch { launcher, size, .. } = launch;
            return Err(Failure::Other(format!(
                "{launcher} started {size} processes, but the MPI library that this program is built with sees {}: it is \
                 another than the launcher's; start it with the launcher of its own library",
                ranks.size()
            )));
        }
        Ok(Job { ranks, mpi: Some(mpi) })
    }

    #[cfg(not(feature = "mpi"))]
    fn join(launch: Launch) -> Result<Job, Failure> {
        let Launch { launcher, rank, size } = launch;
        if rank > 0 {
            // The first one says it.
            std::process::exit(crate::exit_code::USAGE.into());
        }
        Err(Failure::Elman(elman::Error::Usage(format!(
            "{launcher} started this as one of {size} processes, but the program is built without MPI: each would train a \
             network of its own; build it with `cargo build --release -p elman-cli --features mpi`, or start it alone"
        ))))
    }

    /// Threads of this process, where the settings leave them to the machine.
    pub(crate) fn threads(&self, asked: usize) -> usize {
        #[cfg(feature = "mpi")]
        if let (0, Some(mpi)) = (asked, &self.mpi) {
            return mpi.cores();
        }
        asked
    }

    /// How this process ends. A failure ends the others too: they would wait for it.
    pub(crate) fn ended(&self, outcome: Outcome) -> Outcome {
        #[cfg(feature = "mpi")]
        if let (Err(failure), Some(mpi)) = (&outcome, &self.mpi) {
            if !self.ranks.is_lead() {
                // What all have to say the lead says first, and ends the others.
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            tell(failure, &self.name());
            mpi.abort(failure.code());
        }
        outcome
    }

    /// Ends all processes, after what was said.
    pub(crate) fn leave(&self, code: u8) -> u8 {
        #[cfg(feature = "mpi")]
        if let Some(mpi) = &self.mpi {
            mpi.abort(code);
        }
        code
    }

    /// What this process is called in messages, in front of them; the first one speaks for all.
    #[cfg(feature = "mpi")]
    fn name(&self) -> String {
        if self.ranks.is_lead() { String::new() } else { format!("rank {}: ", self.ranks.rank()) }
    }
}
