//! Clips: sequences of frames of one size, from videos, GIFs, folders of images or a stream.

mod clip;
mod ffmpeg;
#[cfg(feature = "media")]
mod images;
#[cfg(feature = "media")]
mod labelled;
#[cfg(feature = "media")]
mod labels;
mod stream;
mod y4m;

use std::io::Read;
use std::path::Path;

pub use clip::{Clip, MAX_CLIP_BYTES, Options};
#[cfg(feature = "media")]
pub use labelled::{LabelledClip, LabelledClips};
pub use stream::FrameReader;

use crate::error::Result;
use crate::file::{self, fault};

impl Clip {
    /// Reads a clip: a folder of images in natural order, an animated GIF, a Y4M file, a still image (one frame, or
    /// with [`Options::strip`] vertically stacked frames), and any other video through `ffmpeg`.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged, frames of different sizes, a video where `ffmpeg` is not installed.
    pub fn read(path: &Path, options: &Options) -> Result<Clip> {
        if path.is_dir() {
            return Self::from_images(path, options);
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
}

#[cfg(feature = "media")]
fn is_still(path: &Path) -> bool {
    super::images::is_image(path)
}

/// Without `media` no image can be read.
#[cfg(not(feature = "media"))]
fn is_still(_: &Path) -> bool {
    false
}

#[cfg(not(feature = "media"))]
impl Clip {
    fn from_images(path: &Path, _: &Options) -> Result<Clip> {
        Err(fault(path, "this build lacks the feature `media`, which reads images"))
    }

    fn from_gif(path: &Path, options: &Options) -> Result<Clip> {
        Self::from_images(path, options)
    }

    fn from_still(path: &Path, options: &Options) -> Result<Clip> {
        Self::from_images(path, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{gzip, write};

    #[test]
    fn a_y4m_file_is_recognised_by_content_plain_or_gzipped() {
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
    fn frames_are_resized_where_a_size_is_given() {
        let video = b"YUV4MPEG2 W2 H2 Cmono\nFRAME\n\x10\x10\x10\x10";
        let folder = tempfile::tempdir().unwrap();
        let options = Options { size: Some((3, 1)), ..Options::default() };
        let clip = Clip::read(&write(folder.path(), "a.y4m", video), &options).unwrap();
        assert_eq!((clip.width, clip.height, &clip.pixels[..]), (3, 1, &[16, 16, 16][..]));
    }
}
