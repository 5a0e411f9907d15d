//! The handle: what the training loop asks is carried out on a thread of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use elman::train::AllReduce;
use elman::{Error, Result};

use crate::connection::{Asked, Begun, Buffers, Command, Connection};

/// The connection to the other processes. Dropping it says goodbye to them.
#[derive(Debug)]
pub struct Mpi {
    begun: Begun,
    commands: Sender<Asked>,
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
        self.ask(Command::Abort(code), Buffers::default());
        std::process::exit(code.into())
    }

    /// Lends both buffers to the thread.
    fn move_bytes(&self, command: Command, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        let lent = Buffers { send: std::mem::take(send), receive: std::mem::take(receive) };
        (*send, *receive) = self.ask(command, lent);
    }

    /// The buffers after the thread has done it. Without an answer the job is at its end, and so is this process.
    fn ask(&self, command: Command, buffers: Buffers) -> (Vec<u8>, Vec<u8>) {
        let (answer, answered) = channel();
        let asked = self.commands.send(Asked { command, buffers, answer }).is_ok();
        match answered.recv() {
            Ok(Buffers { send, receive }) if asked => (send, receive),
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

    fn all_to_all(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        self.move_bytes(Command::AllToAll, send, receive);
    }

    fn all_gather(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        self.move_bytes(Command::AllGather, send, receive);
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) {
        self.move_bytes(Command::Broadcast, bytes, &mut Vec::new());
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
