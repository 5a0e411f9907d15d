//! Clips from images: a folder, an animated GIF, a strip of stacked frames.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder};

use super::clip::{Clip, ClipBuilder, Options};
use crate::data::images::{self, Image};
use crate::data::natural;
use crate::error::Result;
use crate::file::{self, fault};

impl Clip {
    /// A folder's images in natural order (`frame2` before `frame10`).
    pub(super) fn from_images(folder: &Path, options: &Options) -> Result<Clip> {
        let mut builder = ClipBuilder::new(folder, options, None);
        // A folder's name has no extension: `walk.2` is not `walk`.
        builder.clip.id = natural::name(folder);
        let images: Vec<PathBuf> = natural::entries(folder)?.into_iter().filter(|f| images::is_image(f)).collect();
        if images.is_empty() {
            return Err(fault(folder, "holds no images; a folder is read as a clip of one image per frame"));
        }
        for path in images {
            let image = images::read(&path, !options.colour)?;
            builder.push(&image.pixels, image.width, image.height, &path)?;
        }
        builder.finish(folder)
    }

    pub(super) fn from_gif(path: &Path, options: &Options) -> Result<Clip> {
        let failed = |error| images::refusal(path, &error);
        let bytes = file::read(path)?;
        let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(failed)?;
        let (width, height) = decoder.dimensions();
        images::check_frame(width.into(), height.into(), path)?;
        decoder.set_limits(images::limits()).map_err(failed)?;
        let mut builder = ClipBuilder::new(path, options, None);
        let mut delays = Vec::new();
        for frame in decoder.into_frames() {
            let frame = frame.map_err(failed)?;
            delays.push(frame.delay().numer_denom_ms());
            let image = Image::of(DynamicImage::ImageRgba8(frame.into_buffer()), !options.colour);
            builder.push(&image.pixels, image.width, image.height, path)?;
        }
        // Frames of different durations have no frame rate.
        let alike = delays.windows(2).all(|pair| pair[0] == pair[1]);
        if let Some(&(milliseconds, per)) = delays.first().filter(|delay| alike && delay.0 > 0) {
            builder.clip.fps = Some(1000.0 * f64::from(per) / f64::from(milliseconds));
        }
        builder.finish(path)
    }

    pub(super) fn from_still(path: &Path, options: &Options) -> Result<Clip> {
        let image = images::read(path, !options.colour)?;
        let (width, height) = options.strip.unwrap_or((image.width, image.height));
        Self::from_strip(&image, width, height, path, options)
    }

    /// The vertically stacked frames of `width` x `height` in an image.
    ///
    /// # Errors
    /// If the image has another width, or its height is not a multiple of the frame's.
    pub fn from_strip(image: &Image, width: usize, height: usize, path: &Path, options: &Options) -> Result<Clip> {
        if image.width != width || height == 0 || !image.height.is_multiple_of(height) {
            let reason =
                format!("is {} x {}: not a vertical strip of {width} x {height} frames", image.width, image.height);
            return Err(fault(path, reason));
        }
        let mut builder = ClipBuilder::new(path, options, None);
        builder.clip.channels = image.channels;
        for frame in image.pixels.chunks_exact(width * height * image.channels) {
            builder.push(frame, width, height, path)?;
        }
        builder.finish(path)
    }
}

#[cfg(test)]
pub(super) mod made {
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgba, RgbaImage};

    use super::*;

    /// A plain grey image as PNG.
    pub(crate) fn png(width: u32, height: u32, grey: u8) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(width, height, image::Luma([grey])));
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// An animated GIF of plain frames, each with its delay in milliseconds.
    pub(crate) fn gif(frames: &[(u8, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for &(grey, milliseconds) in frames {
            let image = RgbaImage::from_pixel(3, 2, Rgba([grey, grey, grey, 255]));
            let delay = Delay::from_numer_denom_ms(milliseconds, 1);
            encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).unwrap();
        }
        drop(encoder);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::made::{gif, png};
    use super::*;
    use crate::file::write;

    #[test]
    fn a_gif_of_frames_without_end_is_refused_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = gif(&[(0, 40), (255, 40)]);
        bytes[6..10].copy_from_slice(&[0, 0x20, 0, 0x20]);
        let path = write(folder.path(), "a.gif", bytes);
        let error = Clip::from_gif(&path, &Options::default()).unwrap_err().to_string();
        assert!(error.contains("frames of 8192 x 8192"), "{error}");
    }

    #[test]
    fn a_folder_of_images_is_read_in_natural_order() {
        let folder = tempfile::tempdir().unwrap();
        let clip_folder = folder.path().join("walk.2");
        for (name, grey) in [("frame10.png", 30), ("frame2.png", 20), ("frame1.png", 10), (".hidden.png", 99)] {
            write(&clip_folder, name, png(3, 2, grey));
        }
        write(&clip_folder, "notes.txt", "x");
        let clip = Clip::read(&clip_folder, &Options::default()).unwrap();
        assert_eq!((clip.id.as_str(), clip.frames, clip.width, clip.height), ("walk.2", 3, 3, 2));
        assert_eq!([clip.frame(0)[0], clip.frame(1)[0], clip.frame(2)[0]], [10, 20, 30]);
        let colour = Clip::read(&clip_folder, &Options { colour: true, ..Options::default() }).unwrap();
        assert_eq!((colour.channels, colour.frame(1)), (3, &[20; 18][..]));
        write(&clip_folder, "frame11.png", png(2, 2, 1));
        let error = Clip::read(&clip_folder, &Options::default()).unwrap_err().to_string();
        assert!(error.contains("frame11.png: frame 4 is 2 x 2, the frames before it are 3 x 2"), "{error}");
        let resized = Clip::read(&clip_folder, &Options { size: Some((2, 2)), ..Options::default() }).unwrap();
        assert_eq!((resized.frames, resized.frame_len()), (4, 4));
        let empty = tempfile::tempdir().unwrap();
        assert!(Clip::read(empty.path(), &Options::default()).unwrap_err().to_string().contains("no images"));
    }

    #[test]
    fn an_animated_gif_has_a_frame_rate_if_its_delays_are_equal() {
        let folder = tempfile::tempdir().unwrap();
        let even = write(folder.path(), "even.gif", gif(&[(0, 40), (255, 40), (0, 40)]));
        let clip = Clip::read(&even, &Options::default()).unwrap();
        assert_eq!((clip.id.as_str(), clip.frames, clip.width, clip.height), ("even", 3, 3, 2));
        assert_eq!((clip.frame(0)[0], clip.frame(1)[0], clip.fps), (0, 255, Some(25.0)));
        let uneven = write(folder.path(), "uneven.gif", gif(&[(0, 40), (255, 80)]));
        assert_eq!(Clip::read(&uneven, &Options::default()).unwrap().fps, None);
        let bytes = gif(&[(0, 40), (255, 40)]);
        let cut = write(folder.path(), "cut.gif", &bytes[..bytes.len() - 10]);
        let error = Clip::read(&cut, &Options::default()).unwrap_err().to_string();
        assert!(error.contains("cut.gif: "), "{error}");
    }

    #[test]
    fn no_flipped_byte_of_a_gif_panics() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = gif(&[(0, 40), (255, 40)]);
        for (at, flip) in (6..bytes.len()).flat_map(|at| [(at, 1), (at, 0x80), (at, 0xff)]) {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(clip) = Clip::read(&write(folder.path(), "a.gif", damaged), &Options::default()) {
                assert_eq!(clip.pixels.len(), clip.frames * clip.frame_len(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_strip_is_split_into_its_frames() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "s.png", png(4, 6, 50));
        let options = |strip| Options { strip, ..Options::default() };
        assert_eq!(Clip::read(&path, &options(Some((4, 2)))).unwrap().frames, 3);
        assert_eq!(Clip::read(&path, &options(None)).unwrap().frames, 1);
        for wrong in [(3, 2), (4, 4), (4, 0), (8, 3)] {
            let error = Clip::read(&path, &options(Some(wrong))).unwrap_err().to_string();
            assert!(error.contains("s.png: is 4 x 6: not a vertical strip"), "{error}");
        }
    }
}
