//! A clip in memory.

use std::io::Read;
use std::path::Path;

use super::stream::FrameReader;
use crate::error::Result;
use crate::file::fault;

/// Largest clip kept in memory, in bytes of pixels.
pub const MAX_CLIP_BYTES: usize = 1 << 30;

/// A sequence of frames, all of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Its name in label files: the file name without extension.
    pub id: String,
    /// Columns of a frame.
    pub width: usize,
    /// Rows of a frame.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `T`; at least 1.
    pub frames: usize,
    /// `[T, height, width, channels]`, 0 to 255.
    pub pixels: Vec<u8>,
    /// Frames per second, if the file says.
    pub fps: Option<f64>,
}

/// How clips are read; by default grey, at their own size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Red, green and blue instead of grey.
    pub colour: bool,
    /// Width and height to resize every frame to.
    pub size: Option<(usize, usize)>,
    /// Width and height of the vertically stacked frames in a still image.
    pub strip: Option<(usize, usize)>,
}

impl Options {
    /// 1 or 3.
    pub fn channels(&self) -> usize {
        if self.colour { 3 } else { 1 }
    }
}

/// Collects frames into a clip and checks their sizes and number.
pub(super) struct ClipBuilder {
    pub(super) clip: Clip,
    size: Option<(usize, usize)>,
}

impl ClipBuilder {
    pub(super) fn new(path: &Path, options: &Options, fps: Option<f64>) -> ClipBuilder {
        let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let channels = options.channels();
        let clip = Clip { id, width: 0, height: 0, channels, frames: 0, pixels: Vec::new(), fps };
        ClipBuilder { clip, size: options.size }
    }

    /// Adds a frame `[height, width, channels]`; `path` is named in messages.
    pub(super) fn push(&mut self, frame: &[u8], width: usize, height: usize, path: &Path) -> Result<()> {
        match self.size.filter(|&size| size != (width, height)) {
            Some((to_width, to_height)) => {
                let frame = resized(frame, (width, height), self.clip.channels, (to_width, to_height))?;
                self.add(&frame, to_width, to_height, path)
            }
            None => self.add(frame, width, height, path),
        }
    }

    fn add(&mut self, frame: &[u8], width: usize, height: usize, path: &Path) -> Result<()> {
        let clip = &mut self.clip;
        if clip.frames == 0 {
            (clip.width, clip.height) = (width, height);
        } else if (clip.width, clip.height) != (width, height) {
            let reason = format!(
                "frame {} is {width} x {height}, the frames before it are {} x {}; all frames need one size",
                clip.frames + 1,
                clip.width,
                clip.height
            );
            return Err(fault(path, reason));
        }
        if clip.pixels.len() + frame.len() > MAX_CLIP_BYTES {
            let reason = format!(
                "is too long: {} frames of {width} x {height} take {} MiB; shorten it or make the frames \
                 smaller",
                clip.frames,
                clip.pixels.len() >> 20
            );
            return Err(fault(path, reason));
        }
        clip.pixels.extend_from_slice(frame);
        clip.frames += 1;
        Ok(())
    }

    pub(super) fn finish(self, path: &Path) -> Result<Clip> {
        if self.clip.frames == 0 {
            return Err(fault(path, "holds no frames"));
        }
        Ok(self.clip)
    }
}

#[cfg(feature = "media")]
fn resized(frame: &[u8], from: (usize, usize), channels: usize, to: (usize, usize)) -> Result<Vec<u8>> {
    let frame = crate::data::images::Image { width: from.0, height: from.1, channels, pixels: frame.to_vec() };
    frame.resize(to.0, to.1).map(|frame| frame.pixels)
}

#[cfg(not(feature = "media"))]
fn resized(_: &[u8], _: (usize, usize), _: usize, _: (usize, usize)) -> Result<Vec<u8>> {
    Err(crate::error::Error::Usage("this build lacks the feature `media`, which resizes frames".into()))
}

impl Clip {
    /// Reads all frames of a stream that was opened with the same `colour`.
    ///
    /// # Errors
    /// As [`FrameReader::next`]; a stream without frames, or longer than [`MAX_CLIP_BYTES`].
    pub fn gather<R: Read>(mut stream: FrameReader<R>, options: &Options) -> Result<Clip> {
        Self::gather_all(&mut stream, options)
    }

    pub(super) fn gather_all<R: Read>(stream: &mut FrameReader<R>, options: &Options) -> Result<Clip> {
        let path = stream.name().to_path_buf();
        let mut builder = ClipBuilder::new(&path, options, stream.fps());
        builder.clip.channels = stream.channels();
        let mut frame = Vec::new();
        while stream.next(&mut frame)? {
            builder.push(&frame, stream.width(), stream.height(), &path)?;
        }
        builder.finish(&path)
    }

    /// Values per frame: `height * width * channels`.
    pub fn frame_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// One frame, `[height, width, channels]`.
    ///
    /// # Panics
    /// If `t` is out of range.
    pub fn frame(&self, t: usize) -> &[u8] {
        &self.pixels[t * self.frame_len()..(t + 1) * self.frame_len()]
    }
}
