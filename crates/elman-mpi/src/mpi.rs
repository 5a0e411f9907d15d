//! The handle: what the training loop asks is carried out on a thread of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use elman::train::AllReduce;
use elman::{Error, Result};

use crate::connection::{Begun, Command, Connection};

/// The connection to the other processes. Dropping it says goodbye to them.
#[derive(Debug)]
pub struct Mpi {
    begun: Begun,
    commands: Sender<(Command, Sender<Vec<u8>>)>,
    thread: Option<JoinHandle<()>>,
}

impl Mpi {
    /// Connects with the processes that were started together with this one.
    ///
    /// # Errors
    /// [`Error::Ranks`] if the MPI library refuses.
    pub fn start() -> Result<Mpi> {
        let (commands, heard) = channel();
        let (begin, begun) = channel();
        let serve = move || {
            if let Some(connection) = Connection::begin(&begin) {
                connection.serve(&heard);
            }
        };
        let failed = |error: std::io::Error| Error::Ranks(format!("the thread of MPI cannot be started: {error}"));
        let thread = std::thread::Builder::new().name("elman-mpi".into()).spawn(serve).map_err(failed)?;
        let begun = next(&begun).map_err(Error::Ranks)?;
        Ok(Mpi { begun, commands, thread: Some(thread) })
    }

    /// The cores of this host that are this process's share.
    pub fn cores(&self) -> usize {
        self.begun.cores
    }

    /// Ends all processes with this exit code.
    pub fn abort(&self, code: u8) -> ! {
        self.ask(Command::Abort(code));
        std::process::exit(code.into())
    }

    /// What the thread answers. Without one the job is at its end, and so is this process.
    fn ask(&self, command: Command) -> Vec<u8> {
        let (answer, answered) = channel();
        let asked = self.commands.send((command, answer)).is_ok();
        match answered.recv() {
            Ok(bytes) if asked => bytes,
            _ => std::process::exit(1),
        }
    }
}

fn next(begun: &Receiver<std::result::Result<Begun, String>>) -> std::result::Result<Begun, String> {
    begun.recv().unwrap_or_else(|_| Err("the MPI library could not be started".into()))
}

impl AllReduce for Mpi {
    fn rank(&self) -> usize {
        self.begun.rank
    }

    fn size(&self) -> usize {
        self.begun.size
    }

    fn all_to_all(&self, send: &[u8], receive: &mut [u8]) {
        receive.copy_from_slice(&self.ask(Command::AllToAll(send.to_vec())));
    }

    fn all_gather(&self, send: &[u8], receive: &mut [u8]) {
        receive.copy_from_slice(&self.ask(Command::AllGather(send.to_vec())));
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.ask(Command::Broadcast(bytes.to_vec())));
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // The thread's loop ends with the channel.
        self.commands = channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
