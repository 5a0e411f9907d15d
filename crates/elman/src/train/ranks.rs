//! Data-parallel training: processes, called ranks as in MPI, that train one network together.
//!
//! Every rank holds the weights, the optimizer and the order of the data, and computes some blocks of each batch. The blocks'
//! gradients are added over all ranks, and every rank makes the same update: no weights are ever sent. What depends on the
//! clock or on signals is decided by rank 0, the lead.
//!
//! The sum is made here, of what an [`AllReduce`] moves: part `r` of the gradient goes from all ranks to rank `r`, which adds
//! it in the tree in which an [`Engine`](super::Engine) adds blocks, and from there back to all (reduce-scatter and all-gather:
//! 2 (N - 1) / N of the gradient out of each rank, Thakur et al. 2005, section 4.5). So the bits depend neither on the library
//! below nor on the network, and blocks divided among 1, 2 or 4 ranks have the same sum.

use std::sync::Arc;

use elman_kernels::Scalar;
use serde::{Deserialize, Serialize};

use crate::decode::Hypothesis;
use crate::error::{Error, Result};

/// What carries bytes between the ranks. All methods are collective: every rank calls them in the same order, with at least one
/// byte. The default is one rank alone.
///
/// A call that cannot be completed, since a rank or the network has gone, ends the process and with it the job: no rank can go
/// on alone, and the run goes on from its checkpoint.
pub trait AllReduce: Send + Sync {
    /// This process's number, from 0.
    fn rank(&self) -> usize {
        0
    }

    /// The number of processes.
    fn size(&self) -> usize {
        1
    }

    /// Sends the `r`-th of [`Self::size`] equal parts of `send` to rank `r`; `receive`, as long, becomes what the ranks sent
    /// here, in their order. The buffers may change places in memory, and so need not be copied.
    fn all_to_all(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        receive.copy_from_slice(send);
    }

    /// `receive`, [`Self::size`] times as long as `send`, becomes what all ranks send, in their order.
    fn all_gather(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
        receive.copy_from_slice(send);
    }

    /// Sends the bytes of rank 0 to all.
    fn broadcast(&self, bytes: &mut Vec<u8>) {
        let _ = bytes;
    }
}

/// One rank alone.
struct Alone;

impl AllReduce for Alone {}

/// How gradients travel between ranks; they are added in `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// `f32`.
    #[default]
    F32,
    /// Rounded to bfloat16: half the bytes.
    Bf16,
}

impl Reduce {
    /// Bytes of a number.
    fn bytes(self) -> usize {
        match self {
            Reduce::F32 => 4,
            Reduce::Bf16 => 2,
        }
    }

    fn write(self, values: &[f32], out: &mut [u8]) {
        match self {
            Reduce::F32 => {
                out.as_chunks_mut().0.iter_mut().zip(values).for_each(|(out, value)| *out = value.to_le_bytes());
            }
            Reduce::Bf16 => {
                let rounded = |value: &f32| value.to_bf16().to_le_bytes();
                out.as_chunks_mut().0.iter_mut().zip(values).for_each(|(out, value)| *out = rounded(value));
            }
        }
    }

    fn read(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Reduce::F32 => {
                out.iter_mut().zip(bytes.as_chunks().0).for_each(|(out, bytes)| *out = f32::from_le_bytes(*bytes));
            }
            Reduce::Bf16 => {
                let widened = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
                out.iter_mut().zip(bytes.as_chunks().0).for_each(|(out, bytes)| *out = widened(bytes));
            }
        }
    }
}

/// The ranks that train together.
#[derive(Clone)]
pub struct Ranks(Arc<dyn AllReduce>);

impl Default for Ranks {
    fn default() -> Self {
        Ranks(Arc::new(Alone))
    }
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ranks({} of {})", self.rank(), self.size())
    }
}

/// Buffers of [`Ranks::sum`].
#[derive(Default)]
pub(super) struct Sum {
    send: Vec<u8>,
    receive: Vec<u8>,
    values: Vec<f32>,
    /// The values that are not zero on all ranks.
    packed: Vec<f32>,
}

/// Values that are sent or left out together: a row of an embedding has some of them.
const TOGETHER: usize = 64;
/// From so many values on, ranks say first which are not zero: of the words of a large vocabulary a batch has few.
const MANY: usize = 1 << 19;

impl Ranks {
    /// Those that this connects.
    pub fn new(ranks: Arc<dyn AllReduce>) -> Ranks {
        Ranks(ranks)
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.0.rank()
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Whether there is no other.
    pub fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Whether this one decides, writes and speaks.
    pub fn is_lead(&self) -> bool {
        self.rank() == 0
    }

    /// The blocks of a batch that this rank computes, of so many.
    pub(super) fn own(&self, blocks: usize) -> std::ops::Range<usize> {
        self.rank() * blocks / self.size()..(self.rank() + 1) * blocks / self.size()
    }

    /// Adds the values of all ranks, on all; returns the notes of all ranks, which are as long for each. Of many values
    /// those travel that are not zero on every rank.
    pub(super) fn sum(&self, values: &mut [f32], reduce: Reduce, note: &[u8], buffers: &mut Sum) -> Vec<Vec<u8>> {
        let Some(present) = self.present(values) else { return self.sum_all(values, reduce, note, buffers) };
        let mut packed = std::mem::take(&mut buffers.packed);
        packed.clear();
        let chosen = |(i, _): &(usize, &mut [f32])| present[i / 8] >> (i % 8) & 1 == 1;
        for (_, values) in values.chunks_mut(TOGETHER).enumerate().filter(chosen) {
            packed.extend_from_slice(values);
        }
        let notes = self.sum_all(&mut packed, reduce, note, buffers);
        let mut from = &packed[..];
        for (_, values) in values.chunks_mut(TOGETHER).enumerate().filter(chosen) {
            let (sums, rest) = from.split_at(values.len());
            values.copy_from_slice(sums);
            from = rest;
        }
        buffers.packed = packed;
        notes
    }

    /// A bit for each [`TOGETHER`] values that are not all zero on all ranks; nothing if it is not worth it.
    fn present(&self, values: &[f32]) -> Option<Vec<u8>> {
        if values.len() < MANY {
            return None;
        }
        let mut own = vec![0; values.len().div_ceil(TOGETHER).div_ceil(8)];
        for (i, values) in values.chunks(TOGETHER).enumerate() {
            // By its bits: -0 is a value.
            own[i / 8] |= u8::from(values.iter().any(|value| value.to_bits() != 0)) << (i % 8);
        }
        let mut all = vec![0; own.len() * self.size()];
        self.0.all_gather(&mut own, &mut all);
        let mut present = vec![0; own.len()];
        for of_rank in all.chunks_exact(own.len()) {
            present.iter_mut().zip(of_rank).for_each(|(present, bits)| *present |= bits);
        }
        let count: u32 = present.iter().map(|bits: &u8| bits.count_ones()).sum();
        (count as usize * TOGETHER < values.len() / 10 * 9).then_some(present)
    }

    fn sum_all(&self, values: &mut [f32], reduce: Reduce, note: &[u8], buffers: &mut Sum) -> Vec<Vec<u8>> {
        let (size, width) = (self.size(), reduce.bytes());
        let part = values.len().div_ceil(size);
        let packet = part * width + note.len();
        let Sum { send, receive, values: parts, .. } = buffers;
        send.resize(size * packet, 0);
        receive.resize(size * packet, 0);
        for (rank, packet) in send.chunks_exact_mut(packet).enumerate() {
            let (numbers, end) = packet.split_at_mut(part * width);
            reduce.write(&values[(rank * part).min(values.len())..((rank + 1) * part).min(values.len())], numbers);
            end.copy_from_slice(note);
        }
        self.0.all_to_all(send, receive);
        parts.resize(size * part, 0.0);
        for (packet, values) in receive.chunks_exact(packet).zip(parts.chunks_exact_mut(part)) {
            reduce.read(&packet[..part * width], values);
        }
        let notes = receive.chunks_exact(packet).map(|packet| packet[part * width..].to_vec()).collect();
        add_in_pairs(&mut parts.chunks_exact_mut(part).collect::<Vec<_>>());
        send.resize(part * width, 0);
        reduce.write(&parts[..part], send);
        receive.resize(size * part * width, 0);
        self.0.all_gather(send, receive);
        reduce.read(receive, values);
        notes
    }

    /// What each rank has to say.
    pub(super) fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.is_alone() {
            return vec![bytes.to_vec()];
        }
        let size = self.size();
        let mut lengths = vec![0; 8 * size];
        self.0.all_gather(&mut (bytes.len() as u64).to_le_bytes().to_vec(), &mut lengths);
        let lengths: Vec<usize> =
            lengths.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut send = bytes.to_vec();
        send.resize(longest, 0);
        let mut receive = vec![0; longest * size];
        if longest > 0 {
            self.0.all_gather(&mut send, &mut receive);
        }
        lengths.iter().enumerate().map(|(rank, len)| receive[rank * longest..][..*len].to_vec()).collect()
    }

    /// What the lead has to say; what the others give is not read.
    pub fn from_lead(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.is_alone() {
            return bytes;
        }
        let mut len = Vec::new();
        (bytes.len() as u64).write(&mut len);
        self.0.broadcast(&mut len);
        let mut bytes = bytes;
        bytes.resize(u64::read(&mut &len[..]).unwrap_or_default() as usize, 0);
        if !bytes.is_empty() {
            self.0.broadcast(&mut bytes);
        }
        bytes
    }

    /// Whether it is so on every rank.
    pub(super) fn all(&self, is_so: bool) -> bool {
        self.gather(&[u8::from(is_so)]).iter().all(|bytes| bytes == &[1])
    }

    /// Values for every number below `count`: each rank computes those of some, which `f` is given, and all have all.
    ///
    /// # Errors
    /// The error of `f` on any rank.
    pub(crate) fn share<T: Message>(&self, count: usize, f: impl FnOnce(&[usize]) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let own: Vec<usize> = (self.rank()..count).step_by(self.size()).collect();
        let found = f(&own);
        if self.is_alone() {
            return found;
        }
        let mut bytes = vec![u8::from(found.is_ok())];
        match &found {
            Ok(values) => values.iter().for_each(|value| value.write(&mut bytes)),
            Err(error) => bytes.extend(error.to_string().bytes()),
        }
        let all = self.gather(&bytes);
        found?;
        let mut rests = Vec::with_capacity(all.len());
        for (rank, bytes) in all.iter().enumerate() {
            match bytes.split_first() {
                Some((1, rest)) => rests.push(rest),
                Some((_, words)) => {
                    return Err(Error::Ranks(format!("rank {rank}: {}", String::from_utf8_lossy(words))));
                }
                None => return Err(Error::Ranks(format!("rank {rank} answered with nothing"))),
            }
        }
        let value = |i: usize| {
            let rank = i % self.size();
            T::read(&mut rests[rank])
                .ok_or_else(|| Error::Ranks(format!("rank {rank} answered with fewer values than it was asked for")))
        };
        (0..count).map(value).collect()
    }
}

/// Adds the parts into the first: (0 + 1) + (2 + 3) and so on, as an [`Engine`](super::Engine) adds blocks.
fn add_in_pairs(parts: &mut [&mut [f32]]) {
    let mut distance = 1;
    while distance < parts.len() {
        for first in (0..parts.len() - distance).step_by(2 * distance) {
            let (to, from) = parts.split_at_mut(first + distance);
            to[first].iter_mut().zip(&*from[0]).for_each(|(to, &from)| *to += from);
        }
        distance *= 2;
    }
}

/// What is sent from rank to rank.
pub(crate) trait Message: Sized {
    fn write(&self, out: &mut Vec<u8>);

    /// Takes it off the beginning; `None` if there is too little.
    fn read(from: &mut &[u8]) -> Option<Self>;
}

/// Implements [`Message`] for a number.
macro_rules! number {
    ($($type:ty)+) => {$(
        impl Message for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$type>::from_le_bytes(*bytes))
            }
        }
    )+};
}

number!(u32 u64 f32 f64);

impl<T: Message> Message for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        (0..u64::read(from)?).map(|_| T::read(from)).collect()
    }
}

impl<A: Message, B: Message> Message for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
}

impl Message for Hypothesis {
    fn write(&self, out: &mut Vec<u8>) {
        self.tokens.write(out);
        (self.log_prob, self.score).write(out);
        self.attention.write(out);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let tokens = Vec::read(from)?;
        let (log_prob, score) = Message::read(from)?;
        Some(Hypothesis { tokens, log_prob, score, attention: Vec::read(from)? })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::*;

    #[test]
    fn what_travels_in_bfloat16_is_rounded_to_the_nearest_and_stays_what_it_is() {
        let largest = f32::from_bits(0x3f80_7fff);
        let cases = [(1.0, 1.0), (largest, 1.0), (f32::from_bits(0x3f80_8001), 1.007_812_5), (-0.0, -0.0)];
        let ties = [(f32::from_bits(0x3f80_8000), 1.0), (f32::from_bits(0x3f81_8000), 1.015_625)];
        let ends = [(f32::INFINITY, f32::INFINITY), (f32::MAX, f32::INFINITY)];
        let (values, want): (Vec<f32>, Vec<f32>) = cases.into_iter().chain(ties).chain(ends).unzip();
        let mut bytes = vec![0; 2 * values.len()];
        Reduce::Bf16.write(&values, &mut bytes);
        let mut got = vec![0.0; values.len()];
        Reduce::Bf16.read(&bytes, &mut got);
        assert_eq!(got, want);
        let mut nan = [0.0];
        Reduce::Bf16.read(&f32::from_bits(0x7f80_0001).to_bf16().to_le_bytes(), &mut nan);
        assert!(nan[0].is_nan());
    }

    /// Two ranks that exchange bytes through a barrier.
    struct Pair {
        rank: usize,
        shared: Shared,
    }

    /// Where they meet, and what each gives.
    type Shared = Arc<(Barrier, Mutex<[Vec<u8>; 2]>)>;

    impl Pair {
        fn exchange(&self, send: &[u8]) -> [Vec<u8>; 2] {
            let (barrier, bytes) = &*self.shared;
            bytes.lock().unwrap()[self.rank] = send.to_vec();
            barrier.wait();
            let all = bytes.lock().unwrap().clone();
            barrier.wait();
            all
        }
    }

    impl AllReduce for Pair {
        fn rank(&self) -> usize {
            self.rank
        }

        fn size(&self) -> usize {
            2
        }

        fn all_to_all(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
            let half = send.len() / 2;
            let parts = self.exchange(send).map(|bytes| bytes[self.rank * half..][..half].to_vec());
            receive.copy_from_slice(&parts.concat());
        }

        fn all_gather(&self, send: &mut Vec<u8>, receive: &mut Vec<u8>) {
            receive.copy_from_slice(&self.exchange(send).concat());
        }
    }

    #[test]
    fn rows_that_no_rank_has_seen_do_not_travel() {
        let n = MANY + 100;
        let shared: Shared = Arc::new((Barrier::new(2), Mutex::default()));
        let values = |rank: usize| {
            let mut values = vec![0.0; n];
            // Rows of 128 that one or both have, the last values, and a -0.
            for row in [3, 50 + rank, 4000] {
                (0..128).for_each(|i| values[row * 128 + i] = (row * i + rank) as f32 * 0.37);
            }
            values[n - 1] = 0.1 + rank as f32;
            values[n / 2] = -0.0;
            values
        };
        for reduce in [Reduce::F32, Reduce::Bf16] {
            let run = |rank: usize| {
                let ranks = Ranks::new(Arc::new(Pair { rank, shared: shared.clone() }));
                let mut got = values(rank);
                let notes = ranks.sum(&mut got, reduce, &[rank as u8], &mut Sum::default());
                assert_eq!(notes, [[0], [1]]);
                shared.0.wait();
                let few = shared.1.lock().unwrap().iter().map(Vec::len).sum::<usize>();
                shared.0.wait();
                let mut want = values(rank);
                ranks.sum_all(&mut want, reduce, &[rank as u8], &mut Sum::default());
                let all = shared.1.lock().unwrap().iter().map(Vec::len).sum::<usize>();
                assert!(few < all / 100, "{few} of {all}");
                assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()));
            };
            let run = &run;
            std::thread::scope(|scope| {
                let other = scope.spawn(move || run(1));
                run(0);
                other.join().unwrap();
            });
        }
    }

    #[test]
    fn messages_come_back_and_short_ones_are_noticed() {
        let hypothesis = Hypothesis {
            tokens: vec![1, 2, 3],
            log_prob: f64::NEG_INFINITY,
            score: -0.5,
            attention: vec![vec![0.5, f32::NAN], Vec::new()],
        };
        let mut bytes = Vec::new();
        vec![(vec![hypothesis.clone()], 7u64)].write(&mut bytes);
        let read = Vec::<(Vec<Hypothesis>, u64)>::read(&mut &bytes[..]).unwrap();
        let (back, seven) = &read[0];
        assert_eq!((back[0].tokens.clone(), back[0].log_prob, *seven), (vec![1, 2, 3], f64::NEG_INFINITY, 7));
        assert!(back[0].attention[0][1].is_nan() && back[0].attention[1].is_empty());
        for len in 0..bytes.len() {
            assert!(Vec::<(Vec<Hypothesis>, u64)>::read(&mut &bytes[..len]).is_none(), "{len}");
        }
    }
}
