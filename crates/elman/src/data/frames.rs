//! Clips: frames of one size, one after another, from videos, GIFs, folders of pictures or a stream.

mod ffmpeg;
#[cfg(feature = "media")]
mod labelled;
#[cfg(feature = "media")]
mod labels;
#[cfg(feature = "media")]
mod pictures;
mod stream;
mod y4m;

use std::io::Read;
use std::path::Path;

#[cfg(feature = "media")]
pub use labelled::{LabelledClip, LabelledClips};
pub use stream::FrameReader;

use super::file::{self, fault};
use crate::error::Result;

/// Largest clip kept in memory, in bytes of pixels.
pub const MAX_CLIP_BYTES: usize = 1 << 30;

/// A sequence of frames, all of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// What labels call it: the file's name without its end.
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
    /// Frames a second, where the file says.
    pub fps: Option<f64>,
}

/// How clips are read; by default grey, in their own size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Red, green and blue instead of grey.
    pub colour: bool,
    /// Width and height to resize every frame to.
    pub size: Option<(usize, usize)>,
    /// Width and height of the frames in a still picture that holds them one under another.
    pub strip: Option<(usize, usize)>,
}

impl Options {
    /// 1 or 3.
    pub fn channels(&self) -> usize {
        if self.colour { 3 } else { 1 }
    }
}

/// Gathers frames into a clip and sees to it that they are alike and not too many.
struct Gathering {
    clip: Clip,
    size: Option<(usize, usize)>,
}

impl Gathering {
    fn new(path: &Path, options: &Options, fps: Option<f64>) -> Gathering {
        let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let channels = options.channels();
        let clip = Clip { id, width: 0, height: 0, channels, frames: 0, pixels: Vec::new(), fps };
        Gathering { clip, size: options.size }
    }

    /// Adds a frame `[height, width, channels]`; `path` is what messages name.
    fn push(&mut self, frame: &[u8], width: usize, height: usize, path: &Path) -> Result<()> {
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
                "frame {} is {width} x {height}, those before it {} x {}; all frames need one size",
                clip.frames + 1,
                clip.width,
                clip.height
            );
            return Err(fault(path, reason));
        }
        if clip.pixels.len() + frame.len() > MAX_CLIP_BYTES {
            let reason = format!(
                "is too long for memory: {} frames of {width} x {height} take {} MiB; cut it or make the frames \
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

    fn finish(self, path: &Path) -> Result<Clip> {
        if self.clip.frames == 0 {
            return Err(fault(path, "holds no frames"));
        }
        Ok(self.clip)
    }
}

#[cfg(feature = "media")]
fn resized(frame: &[u8], from: (usize, usize), channels: usize, to: (usize, usize)) -> Result<Vec<u8>> {
    let frame = super::images::Picture { width: from.0, height: from.1, channels, pixels: frame.to_vec() };
    frame.resize(to.0, to.1).map(|frame| frame.pixels)
}

#[cfg(not(feature = "media"))]
fn resized(_: &[u8], _: (usize, usize), _: usize, _: (usize, usize)) -> Result<Vec<u8>> {
    Err(crate::error::Error::Usage("frames are resized by the feature `media`, which this build lacks".into()))
}

impl Clip {
    /// Reads a clip: a folder of pictures in natural order, an animated GIF, a Y4M file, a still picture (one frame, or
    /// with [`Options::strip`] frames one under another), and any other video through `ffmpeg`.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged, frames of different sizes, a video where `ffmpeg` is not installed.
    pub fn read(path: &Path, options: &Options) -> Result<Clip> {
        if path.is_dir() {
            return Self::from_pictures(path, options);
        }
        let mut head = Vec::new();
        let limit = y4m::MAGIC.len() as u64;
        file::open(path)?.take(limit).read_to_end(&mut head).map_err(|error| file::read_failed(path, error))?;
        match () {
            () if head.is_empty() => Err(fault(path, "the file is empty")),
            () if head == y4m::MAGIC => {
                Self::gather(FrameReader::y4m(file::open(path)?, path, options.colour)?, options)
            }
            () if head.starts_with(b"GIF8") => Self::from_gif(path, options),
            () if is_still(path) => Self::from_still(path, options),
            () => ffmpeg::read(Path::new(ffmpeg::PROGRAM), path, options),
        }
    }

    /// All frames of a stream, which was opened with the same `colour`.
    ///
    /// # Errors
    /// As [`FrameReader::next`]; a stream without frames, or longer than [`MAX_CLIP_BYTES`].
    pub fn gather<R: Read>(mut stream: FrameReader<R>, options: &Options) -> Result<Clip> {
        Self::gather_all(&mut stream, options)
    }

    fn gather_all<R: Read>(stream: &mut FrameReader<R>, options: &Options) -> Result<Clip> {
        let path = stream.name().to_path_buf();
        let mut gathering = Gathering::new(&path, options, stream.fps());
        gathering.clip.channels = stream.channels();
        let mut frame = Vec::new();
        while stream.next(&mut frame)? {
            gathering.push(&frame, stream.width(), stream.height(), &path)?;
        }
        gathering.finish(&path)
    }

    /// Values in a frame: `height * width * channels`.
    pub fn frame_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// One frame, `[height, width, channels]`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn frame(&self, t: usize) -> &[u8] {
        &self.pixels[t * self.frame_len()..(t + 1) * self.frame_len()]
    }
}

#[cfg(feature = "media")]
fn is_still(path: &Path) -> bool {
    super::images::is_picture(path)
}

/// Without `media` every picture is one that cannot be read.
#[cfg(not(feature = "media"))]
fn is_still(_: &Path) -> bool {
    false
}

#[cfg(not(feature = "media"))]
impl Clip {
    fn from_pictures(path: &Path, _: &Options) -> Result<Clip> {
        Err(fault(path, "pictures are read by the feature `media`, which this build lacks"))
    }

    fn from_gif(path: &Path, options: &Options) -> Result<Clip> {
        Self::from_pictures(path, options)
    }

    fn from_still(path: &Path, options: &Options) -> Result<Clip> {
        Self::from_pictures(path, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::file::{gzip, write};

    #[test]
    fn a_y4m_file_is_known_by_its_content_plain_or_gzipped() {
        let folder = tempfile::tempdir().unwrap();
        let video = b"YUV4MPEG2 W2 H1 F25:1 Cmono\nFRAME\n\x01\x02FRAME\n\x03\x04";
        for (name, bytes) in [("walk.y4m", video.to_vec()), ("walk.gz", gzip(video))] {
            let clip = Clip::read(&write(folder.path(), name, bytes), &Options::default()).unwrap();
            assert_eq!((clip.id.as_str(), clip.frames, clip.channels, clip.fps), ("walk", 2, 1, Some(25.0)));
            assert_eq!((clip.frame(0), clip.frame(1)), (&[1, 2][..], &[3, 4][..]));
        }
        let error = Clip::read(&write(folder.path(), "e", b""), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
        let none = write(folder.path(), "none.y4m", b"YUV4MPEG2 W2 H1\n");
        assert!(Clip::read(&none, &Options::default()).unwrap_err().to_string().contains("no frames"));
    }

    #[cfg(feature = "media")]
    #[test]
    fn frames_are_resized_where_a_size_is_asked() {
        let video = b"YUV4MPEG2 W2 H2 Cmono\nFRAME\n\x10\x10\x10\x10";
        let folder = tempfile::tempdir().unwrap();
        let options = Options { size: Some((3, 1)), ..Options::default() };
        let clip = Clip::read(&write(folder.path(), "a.y4m", video), &options).unwrap();
        assert_eq!((clip.width, clip.height, &clip.pixels[..]), (3, 1, &[16, 16, 16][..]));
    }
}
