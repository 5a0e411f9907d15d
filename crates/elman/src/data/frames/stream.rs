//! Frames one at a time, in constant memory, from a file or a live source.

use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::y4m::{self, Header};
use crate::error::Result;
use crate::file::{fault, read_failed};

/// Reads frames from a stream: Y4M, or raw grey frames of a known size.
#[derive(Debug)]
pub struct FrameReader<R: Read> {
    stream: BufReader<R>,
    name: PathBuf,
    width: usize,
    height: usize,
    channels: usize,
    frames: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Raw,
    Y4m {
        header: Header,
        /// The line before a frame.
        line: Vec<u8>,
        /// The colour planes of the current frame; skipped for grey.
        chroma: Vec<u8>,
        luma: Vec<u8>,
    },
}

impl<R: Read> FrameReader<R> {
    /// A Y4M stream; reads its header. Grey unless `colour`. `name` is used in messages.
    ///
    /// # Errors
    /// A stream that cannot be read or is not Y4M with 8-bit samples.
    pub fn y4m(stream: R, name: &Path, colour: bool) -> Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        read_line(&mut stream, &mut line, name)?;
        let header = Header::parse(&line, name)?;
        let (width, height) = (header.width, header.height);
        let channels = if colour { 3 } else { 1 };
        let kind = Kind::Y4m { header, line, chroma: Vec::new(), luma: Vec::new() };
        Ok(FrameReader { stream, name: name.into(), width, height, channels, frames: 0, kind })
    }

    /// Raw grey frames, `width * height` bytes each. `name` is used in messages.
    ///
    /// # Errors
    /// A size of 0 or too large for a frame.
    pub fn raw(stream: R, name: &Path, width: usize, height: usize) -> Result<Self> {
        if width == 0 || height == 0 || width.checked_mul(height).is_none_or(|pixels| pixels > y4m::MAX_PIXELS) {
            return Err(fault(name, format!("invalid frame size {width} x {height}")));
        }
        let stream = BufReader::new(stream);
        Ok(FrameReader { stream, name: name.into(), width, height, channels: 1, frames: 0, kind: Kind::Raw })
    }

    /// The stream's name in messages.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Columns of a frame.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of a frame.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Frames per second, if the stream says.
    pub fn fps(&self) -> Option<f64> {
        match &self.kind {
            Kind::Raw => None,
            Kind::Y4m { header, .. } => header.fps,
        }
    }

    /// Puts the next frame, `[height, width, channels]`, into `frame`; `false` at the stream's end. Blocks until
    /// the frame is complete. With the same `frame` buffer, only the first call allocates.
    ///
    /// # Errors
    /// A stream that fails, or ends within a frame.
    pub fn next(&mut self, frame: &mut Vec<u8>) -> Result<bool> {
        let number = self.frames + 1;
        let len = self.width * self.height;
        match &mut self.kind {
            Kind::Raw => {
                frame.resize(len, 0);
                match fill(&mut self.stream, frame, &self.name)? {
                    0 => return Ok(false),
                    got if got < len => return Err(cut_short(&self.name, number, got, len)),
                    _ => {}
                }
            }
            Kind::Y4m { header, line, chroma, luma } => {
                if !read_line(&mut self.stream, line, &self.name)? {
                    return Ok(false);
                }
                if line.as_slice() != y4m::FRAME && !line.starts_with(b"FRAME ") {
                    let reason = format!("frame {number} does not start with FRAME; the Y4M stream is damaged");
                    return Err(fault(&self.name, reason));
                }
                chroma.resize(header.chroma_len(), 0);
                let grey = self.channels == 1;
                let plane = if grey { &mut *frame } else { &mut *luma };
                plane.resize(len, 0);
                let got = fill(&mut self.stream, plane, &self.name)?;
                let got = got + if got == len { fill(&mut self.stream, chroma, &self.name)? } else { 0 };
                if got < len + chroma.len() {
                    return Err(cut_short(&self.name, number, got, len + chroma.len()));
                }
                if grey {
                    header.grey(frame);
                } else {
                    header.rgb(luma, chroma, frame);
                }
            }
        }
        self.frames = number;
        Ok(true)
    }
}

fn cut_short(name: &Path, frame: u64, got: usize, want: usize) -> crate::Error {
    fault(name, format!("ends within frame {frame}: {got} of {want} bytes"))
}

/// Fills a buffer as far as the stream goes; returns the bytes read.
fn fill(stream: &mut impl Read, buffer: &mut [u8], name: &Path) -> Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match stream.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(read_failed(name, error)),
        }
    }
    Ok(got)
}

/// A header line without its end; `false` at the stream's end.
fn read_line(stream: &mut impl Read, line: &mut Vec<u8>, name: &Path) -> Result<bool> {
    line.clear();
    let mut byte = [0];
    loop {
        match fill(stream, &mut byte, name)? {
            0 if line.is_empty() => return Ok(false),
            0 => return Err(fault(name, "ends within a header line; the Y4M stream is cut short")),
            _ if byte[0] == b'\n' => return Ok(true),
            _ => line.push(byte[0]),
        }
        let expected = [y4m::MAGIC, y4m::FRAME];
        let begins = |word: &&[u8]| line.iter().zip(word.iter()).all(|(a, b)| a == b);
        if line.len() > y4m::MAX_LINE || !expected.iter().any(begins) {
            return Err(fault(name, "is not a Y4M stream, or is damaged: expected a header line"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "<standard input>";

    /// Gives one byte at a time, as a slow pipe does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = buffer.len().min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    fn all<R: Read>(mut reader: FrameReader<R>) -> Result<Vec<Vec<u8>>> {
        let (mut frames, mut frame) = (Vec::new(), vec![9; 100]);
        while reader.next(&mut frame)? {
            frames.push(frame.clone());
        }
        Ok(frames)
    }

    #[test]
    fn y4m_frames_come_one_at_a_time_from_a_slow_pipe() {
        let video =
            b"YUV4MPEG2 W2 H2 C420 XCOLORRANGE=FULL\nFRAME\n\x01\x02\x03\x04\x80\x80FRAME Ip\n\x05\x06\x07\x08\x80\x80";
        let grey = all(FrameReader::y4m(Slow(video), Path::new(LIVE), false).unwrap()).unwrap();
        assert_eq!(grey, [[1, 2, 3, 4], [5, 6, 7, 8]]);
        let colour = all(FrameReader::y4m(Slow(video), Path::new(LIVE), true).unwrap()).unwrap();
        assert_eq!(colour[1], [5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8]);
    }

    #[test]
    fn raw_frames_come_one_at_a_time() {
        let frames = all(FrameReader::raw(Slow(&[1, 2, 3, 4, 5, 6]), Path::new(LIVE), 3, 1).unwrap()).unwrap();
        assert_eq!(frames, [[1, 2, 3], [4, 5, 6]]);
        assert!(FrameReader::raw(&b""[..], Path::new(LIVE), 0, 1).is_err());
        assert!(FrameReader::raw(&b""[..], Path::new(LIVE), usize::MAX, 2).is_err());
    }

    #[test]
    fn a_stream_that_ends_within_a_frame_is_an_error() {
        let error = all(FrameReader::raw(&[1, 2, 3, 4][..], Path::new(LIVE), 3, 1).unwrap()).unwrap_err().to_string();
        assert_eq!(error, "<standard input>: ends within frame 2: 1 of 3 bytes");
        let video = b"YUV4MPEG2 W2 H2\nFRAME\n\x01\x02\x03\x04\x80\x80";
        let begin = video.len() - 6 - 6;
        for cut in 0..video.len() {
            let read = FrameReader::y4m(&video[..cut], Path::new(LIVE), false).and_then(all);
            assert_eq!(read.is_ok(), cut == begin, "at {cut}: {read:?}");
        }
        let damaged = b"YUV4MPEG2 W1 H1 Cmono\nFRAME\n\x01GARBAGE";
        assert!(FrameReader::y4m(&damaged[..], Path::new(LIVE), false).and_then(all).is_err());
        let endless = [b"YUV4MPEG2 ".to_vec(), vec![b'x'; 10_000]].concat();
        assert!(FrameReader::y4m(&endless[..], Path::new(LIVE), false).is_err());
    }
}
