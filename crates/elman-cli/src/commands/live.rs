//! `elman predict` on a stream: a prediction for each frame or row of standard input as it comes.

use std::io::{self, BufRead};
use std::path::Path;

use elman::Error;
use elman::data::frames::FrameReader;
use elman::task::{StepKind, Stream};

use super::answers::Answers;
use crate::exit_code::Failure;

/// What messages call standard input.
pub(super) const STDIN: &str = "standard input";

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
            for line in stdin.split(b'\n') {
                let line = line.map_err(|error| Failure::Stream("read from", error))?;
                stream.line(&line, name)?.map_or(Ok(()), |found| out.step(&found))?;
            }
        }
    }
    stream.finish().iter().try_for_each(|found| out.step(found))
}
