//! `elman predict` on a stream: a prediction for each frame or row of standard input as it comes.

use std::io::{self, BufRead, Read};
use std::path::Path;

use elman::Error;
use elman::data::frames::FrameReader;
use elman::task::{StepKind, Stream};

use super::answers::Answers;
use crate::exit_code::{Failure, said};

/// Bytes of a row at most: a stream takes as much memory as its longest.
const MAX_LINE: u64 = 1 << 24;

/// What messages call standard input.
pub(super) const STDIN: &str = "standard input";

/// The lines of standard input, one in memory at a time and none without end.
pub(super) struct Lines<R> {
    stdin: R,
    /// Of the last line, from 1.
    pub(super) number: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(stdin: R) -> Self {
        Lines { stdin, number: 0 }
    }

    /// Reads the next line, without its end; false after the last.
    ///
    /// # Errors
    /// A stream that fails, a line of more than 16 MiB.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> Result<bool, Failure> {
        line.clear();
        let read = (&mut self.stdin).take(MAX_LINE + 1).read_until(b'\n', line);
        if read.map_err(|error| Failure::Stream("read from", error))? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if line.len() as u64 > MAX_LINE {
            let reason = format!("line {} is longer than {} MiB", self.number, MAX_LINE >> 20);
            return Err(Error::Data { path: STDIN.into(), reason }.into());
        }
        line.pop_if(|end| *end == b'\n');
        Ok(true)
    }
}

/// Predicts to the end of the stream; `raw` frames are grey bytes, others y4m.
///
/// # Errors
/// What is read is not what the model reads; standard output takes no more.
pub(super) fn run(mut stream: Box<dyn Stream + '_>, raw: bool, out: &mut Answers) -> Result<(), Failure> {
    let (name, stdin) = (Path::new(STDIN), io::stdin().lock());
    match stream.reads() {
        StepKind::Frames { width, height, channels } => {
            let mut reader = match raw {
                true => FrameReader::raw(stdin, name, width, height)?,
                false => FrameReader::y4m(stdin, name, channels == 3)?,
            };
            let (wide, high) = (reader.width(), reader.height());
            if (wide, high) != (width, height) {
                let reason =
                    format!("its frames are {wide} wide and {high} high, but the model reads {width} x {height}");
                return Err(Error::Data { path: name.into(), reason }.into());
            }
            let mut frame = Vec::new();
            while reader.next(&mut frame)? {
                stream.frame(&frame)?.map_or(Ok(()), |found| out.step(&found))?;
            }
        }
        StepKind::Lines if raw => {
            return Err(Error::Usage("--raw is for frames, and the model reads rows of a table".into()).into());
        }
        StepKind::Lines => {
            let (mut lines, mut line) = (Lines::of(stdin), Vec::new());
            while lines.next(&mut line)? {
                match stream.line(&line, name) {
                    Ok(found) => found.map_or(Ok(()), |found| out.step(&found))?,
                    // A bad line of a sensor is passed over: the state is that before it.
                    Err(error @ Error::Data { .. }) if lines.number > 1 => {
                        eprintln!("{}", said(&error.to_string()));
                        out.no_step(lines.number, &error.to_string())?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    stream.finish().iter().try_for_each(|found| out.step(found))
}
