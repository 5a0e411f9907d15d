//! Several processes that train one network, over MPI.
//!
//! [`Launch::find`] says whether a launcher such as `mpirun` or `srun` started this process as one of several. With the feature
//! `mpi` `Mpi::start` connects them, and what it returns is an [`AllReduce`](elman::train::AllReduce):
//!
//! ```no_run
//! # #[cfg(feature = "mpi")]
//! # fn main() -> elman::Result<()> {
//! use std::sync::Arc;
//! use elman::task::Start;
//! use elman::train::Ranks;
//!
//! let ranks = Ranks::new(Arc::new(elman_mpi::Mpi::start()?));
//! let mut settings = elman::Settings::for_builtin_data("classify-sequence")?;
//! settings.threads = 1;
//! let plan = elman::task::plan(settings)?;
//! let mut session = plan.session(Start::default().among(ranks))?;
//! session.run(&false.into(), &mut |_| {})?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "mpi"))]
//! # fn main() {}
//! ```

#[cfg(feature = "mpi")]
mod connection;
#[cfg(feature = "mpi")]
mod mpi;

#[cfg(feature = "mpi")]
pub use crate::mpi::Mpi;

/// This process as a launcher of several sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The launcher.
    pub launcher: &'static str,
    /// This process's number, from 0.
    pub rank: usize,
    /// The number of processes.
    pub size: usize,
}

/// A launcher, and where it writes a process's number and how many there are. `srun` sets its own whatever the MPI library is.
const LAUNCHERS: [(&str, &str, &str); 4] = [
    ("Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MPICH's mpirun", "PMI_RANK", "PMI_SIZE"),
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("an MPI launcher", "PMIX_RANK", "PMIX_SIZE"),
];

impl Launch {
    /// How this process was started: `None` if it is the only one.
    pub fn find() -> Option<Launch> {
        Self::found(|name| std::env::var(name).ok())
    }

    fn found(variable: impl Fn(&str) -> Option<String>) -> Option<Launch> {
        let number = |name: &str| variable(name)?.parse().ok();
        let launch = |(launcher, rank, size): (&'static str, &str, &str)| {
            Some(Launch { launcher, rank: number(rank)?, size: number(size)? })
        };
        LAUNCHERS.into_iter().find_map(launch).filter(|launch| launch.size > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_of_several_processes_is_recognised() {
        let found = |set: &[(&str, &str)]| {
            let set = set.to_vec();
            Launch::found(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
        };
        let open = found(&[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")]).unwrap();
        assert_eq!((open.rank, open.size), (2, 4));
        assert_eq!(
            found(&[("PMI_RANK", "0"), ("PMI_SIZE", "2")]).map(|launch| launch.launcher),
            Some("MPICH's mpirun")
        );
        assert!(found(&[("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "8")]).is_some());
        // A job of one process, or a batch script of Slurm, which no step runs.
        assert_eq!(found(&[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")]), None);
        assert_eq!(found(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]), None);
        assert_eq!(found(&[]), None);
    }
}
