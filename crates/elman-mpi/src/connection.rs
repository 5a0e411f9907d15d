//! The one thread that calls the MPI library: collectives one after another, and in between a sign of life to the next rank.
//!
//! A rank whose process has died ends the job by itself. One that is stopped, or cut off, does not: its successor notices that
//! no sign of life has come for [`SILENCE`] and ends the job.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(500);
/// Without one for so long a rank counts as gone.
const SILENCE: Duration = Duration::from_secs(5);
/// What all ranks end with where one of them is gone.
const GONE: i32 = 7;
/// A collective is looked at without a pause for so long, and then every so often.
const EAGER: Duration = Duration::from_micros(200);
const PAUSE: Duration = Duration::from_micros(50);

/// What the thread is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Command {
    /// Equal parts, one for each rank.
    AllToAll,
    /// The same for all.
    AllGather,
    /// What rank 0 sends, for all.
    Broadcast,
    /// The end of all ranks, with this exit code.
    Abort(u8),
}

/// What is sent, and room for what is received.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) send: Vec<u8>,
    pub(crate) receive: Vec<u8>,
}

/// A command, its buffers, and where these go when it is done.
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) buffers: Buffers,
    pub(crate) answer: Sender<Buffers>,
}

/// What is known from the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) rank: usize,
    pub(crate) size: usize,
    /// This rank's share of the host's cores.
    pub(crate) cores: usize,
}

/// The MPI library in use by this thread.
pub(crate) struct Connection {
    world: SimpleCommunicator,
    life: Life,
    /// Finalizes the library when it is dropped, last.
    _universe: Universe,
}

impl Connection {
    /// Starts the library on this thread, and says what came of it.
    pub(crate) fn begin(begun: &Sender<Result<Begun, String>>) -> Option<Connection> {
        let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
            let _ = begun.send(Err("the MPI library is in use already".into()));
            return None;
        };
        if threading < Threading::Funneled {
            let _ = begun.send(Err("the MPI library cannot be used by a program with threads".into()));
            return None;
        }
        let world = universe.world();
        let cores = cores(&world);
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let life = Life::new(world.duplicate());
        let _ = begun.send(Ok(Begun { rank, size, cores }));
        Some(Connection { world, life, _universe: universe })
    }

    /// Carries out commands until nobody can give one.
    pub(crate) fn serve(mut self, commands: &Receiver<Asked>) {
        loop {
            match commands.recv_timeout(BEAT) {
                Ok(Asked { command, mut buffers, answer }) => {
                    self.carry_out(command, &mut buffers);
                    // Whoever asked may have gone: so will the channel.
                    let _ = answer.send(buffers);
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The others may still wait for what this rank has said.
                Err(RecvTimeoutError::Disconnected) => return self.life.finish(self.world.immediate_barrier()),
            }
            self.life.live();
        }
    }

    fn carry_out(&mut self, command: Command, Buffers { send, receive }: &mut Buffers) {
        let Connection { world, life, .. } = self;
        match command {
            Command::AllToAll => {
                scope(|scope| life.finish(world.immediate_all_to_all_into(scope, &send[..], &mut receive[..])));
            }
            Command::AllGather => {
                scope(|scope| life.finish(world.immediate_all_gather_into(scope, &send[..], &mut receive[..])));
            }
            Command::Broadcast => {
                let lead = world.process_at_rank(0);
                scope(|scope| life.finish(lead.immediate_broadcast_into(scope, &mut send[..])));
            }
            Command::Abort(code) => world.abort(code.into()),
        }
    }
}

/// Signs of life: each rank sends them to the next one.
struct Life {
    /// Apart from that of the collectives.
    ring: SimpleCommunicator,
    sent: Instant,
    heard: Instant,
}

impl Life {
    fn new(ring: SimpleCommunicator) -> Self {
        let now = Instant::now();
        Life { ring, sent: now, heard: now }
    }

    /// Waits for a collective.
    fn finish<'a, D: ?Sized, S: Scope<'a>>(&mut self, request: Request<'a, D, S>) {
        let began = Instant::now();
        let mut request = request;
        while let Err(unfinished) = request.test() {
            request = unfinished;
            if began.elapsed() > EAGER {
                std::thread::sleep(PAUSE);
                self.live();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Sends a sign of life when it is time, and looks for that of the rank before.
    fn live(&mut self) {
        let (rank, size) = (self.ring.rank(), self.ring.size());
        let [before, next] = [(rank + size - 1) % size, (rank + 1) % size];
        if self.sent.elapsed() >= BEAT {
            self.ring.process_at_rank(next).send(&1u8);
            self.sent = Instant::now();
        }
        let before = self.ring.process_at_rank(before);
        while before.immediate_probe().is_some() {
            before.receive::<u8>();
            self.heard = Instant::now();
        }
        if self.heard.elapsed() > SILENCE {
            let seconds = SILENCE.as_secs();
            eprintln!(
                "elman: rank {}, which rank {rank} listens to, has given no sign of life for {seconds} s: the job ends; \
                 `elman train --resume` goes on from its last checkpoint, with any number of ranks",
                before.rank()
            );
            self.ring.abort(GONE);
        }
    }
}

/// This rank's share of the cores of its host: its own where the launcher bound each rank to some, else one part of all.
fn cores(world: &SimpleCommunicator) -> usize {
    let host = world.split_shared(world.rank());
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all = vec![0u64; host.size() as usize];
    host.all_gather_into(&allowed(), &mut all[..]);
    let sharing = all.iter().filter(|other| **other == all[host.rank() as usize]).count();
    (available / sharing).max(1)
}

/// The cores that this process may use, as a number that tells sets apart.
fn allowed() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).hash(&mut hasher);
    hasher.finish()
}
