//! Pictures, and folders of pictures with a subfolder per class.

use std::io::{BufRead, Cursor, Seek};
use std::path::{Path, PathBuf};

use image::error::{ImageError, LimitErrorKind};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use jpeg_decoder::PixelFormat;

use super::encoder::Window;
use super::file::{self, fault};
use super::natural;
use crate::error::{Error, Result};

/// Largest picture read, in pixels; a larger one is a slip or an attack, not an example for a recurrent network.
pub const MAX_PIXELS: u64 = 1 << 26;
/// File name ends of the formats that are read.
const ENDS: [&str; 10] = ["png", "jpg", "jpeg", "gif", "bmp", "webp", "pnm", "pgm", "ppm", "pbm"];

const CUT_SHORT: &str = "the picture is cut short; copy or download it again";

/// How pixels between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// From the nearest two each way.
    Bilinear,
    /// From the nearest four each way (Catmull-Rom).
    Bicubic,
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `[height, width, channels]`, 0 to 255.
    pub pixels: Vec<u8>,
}

/// Whether a file's name says that it is a picture.
pub fn is_picture(path: &Path) -> bool {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
    end.is_some_and(|end| ENDS.contains(&end.as_str()))
}

/// Reads a PNG, JPEG, GIF (its first frame), BMP, WebP or PNM file, by content and not by name; turned as its EXIF data
/// say, transparent parts on white.
///
/// # Errors
/// A file that cannot be read, is damaged, no picture, or claims more than [`MAX_PIXELS`].
pub fn read(path: &Path, grey: bool) -> Result<Picture> {
    decode(&file::read(path)?, path, grey)
}

/// As [`read`], from a file's bytes; `path` is what messages name.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], path: &Path, grey: bool) -> Result<Picture> {
    let failed = |error: ImageError| refusal(path, &error);
    let reader = with_limits(Cursor::new(bytes), path)?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), path)?;
    // A damaged orientation is no reason to lose the picture.
    let orientation = decoder.orientation().ok();
    let mut picture = match is_jpeg.then(|| jpeg(bytes)).flatten() {
        Some(picture) => picture,
        None => DynamicImage::from_decoder(decoder).map_err(failed)?,
    };
    if is_jpeg && is_cut_jpeg(bytes) {
        return Err(fault(path, CUT_SHORT));
    }
    if let Some(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(Picture::of(picture, grey))
}

/// A JPEG of grey or colours, with pixels as libjpeg's; other kinds, and damaged ones, are left to the general decoder.
fn jpeg(bytes: &[u8]) -> Option<DynamicImage> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(4 * MAX_PIXELS as usize);
    let pixels = decoder.decode().ok()?;
    let info = decoder.info()?;
    let (width, height) = (info.width.into(), info.height.into());
    match info.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    }
}

/// Whether a JPEG ends before its end marker; the decoder fills what is missing with grey and says nothing. Coded data
/// hold no marker but the restarts (ITU T.81, B.1.1.5), so that the end marker after the last scan's begin is the end.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    let find = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    find(0xd9) < find(0xda)
}

fn with_limits<R: BufRead + Seek>(bytes: R, path: &Path) -> Result<ImageReader<R>> {
    let mut reader = ImageReader::new(bytes).with_guessed_format().map_err(|error| file::unreadable(path, error))?;
    if reader.format().is_none() {
        return Err(fault(path, "is no picture this program reads (PNG, JPEG, GIF, BMP, WebP or PNM)"));
    }
    reader.limits(limits());
    Ok(reader)
}

/// What a decoder may take: 8 bytes for each of the most pixels (16-bit RGBA) and as much for itself.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(16 * MAX_PIXELS);
    limits
}

/// # Errors
/// If a picture's header claims more pixels than any example has.
pub(crate) fn check_size(width: u64, height: u64, path: &Path) -> Result<()> {
    match width.checked_mul(height) {
        Some(0) => Err(fault(path, format!("the picture is empty: {width} x {height}"))),
        Some(pixels) if pixels <= MAX_PIXELS => Ok(()),
        _ => Err(fault(
            path,
            format!("claims {width} x {height} pixels; at most {MAX_PIXELS} are read, make it smaller"),
        )),
    }
}

pub(crate) fn refusal(path: &Path, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::Unsupported { .. }) => {
            fault(path, format!("the picture cannot be read safely: {error}"))
        }
        ImageError::Limits(_) => fault(
            path,
            format!("the picture claims to be too large (at most {MAX_PIXELS} pixels are read); make it smaller"),
        ),
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => fault(path, CUT_SHORT),
        _ => fault(path, format!("the picture is damaged or of an unknown kind: {error}")),
    }
}

impl Picture {
    /// A picture of the `image` crate as bytes; transparent parts on white.
    pub(crate) fn of(picture: DynamicImage, grey: bool) -> Picture {
        let opaque = if picture.color().has_alpha() { DynamicImage::ImageRgb8(on_white(&picture)) } else { picture };
        let (width, height) = (opaque.width() as usize, opaque.height() as usize);
        let (channels, pixels) = match (grey, opaque.color().has_color()) {
            (false, _) => (3, opaque.into_rgb8().into_raw()),
            (true, false) => (1, opaque.into_luma8().into_raw()),
            (true, true) => (1, opaque.into_rgb8().pixels().map(luma).collect()),
        };
        Picture { width, height, channels, pixels }
    }

    /// A part of the picture.
    ///
    /// # Panics
    /// If it does not lie in the picture.
    pub fn cut(&self, window: Window) -> Picture {
        let Window { x, y, width, height } = window;
        let row = |row: usize| {
            let from = (row * self.width + x) * self.channels;
            self.pixels[from..from + width * self.channels].iter().copied()
        };
        Picture { width, height, channels: self.channels, pixels: (y..y + height).flat_map(row).collect() }
    }

    /// The picture at another size; made smaller, a pixel is an average of those it stands for.
    ///
    /// # Errors
    /// A size of 0 or above [`MAX_PIXELS`]; `pixels` that are not as many as the picture's fields say.
    pub fn resize(&self, width: usize, height: usize) -> Result<Picture> {
        self.resize_by(width, height, Interpolation::Bilinear)
    }

    /// As [`Self::resize`], with this interpolation.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub fn resize_by(&self, width: usize, height: usize, interpolation: Interpolation) -> Result<Picture> {
        let usage = |reason: String| Error::Usage(reason);
        if width == 0 || height == 0 || (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            return Err(usage(format!("a picture cannot be made {width} x {height} pixels")));
        }
        if (self.width, self.height) == (width, height) {
            return Ok(self.clone());
        }
        let own = || usage(format!("the picture is not {} x {} x {}", self.height, self.width, self.channels));
        let (w, h) = (u32::try_from(self.width).map_err(|_| own())?, u32::try_from(self.height).map_err(|_| own())?);
        let (to_w, to_h) = (width as u32, height as u32);
        let filter = match interpolation {
            Interpolation::Bilinear => FilterType::Triangle,
            Interpolation::Bicubic => FilterType::CatmullRom,
        };
        let pixels = self.pixels.clone();
        let pixels = match self.channels {
            1 => {
                let from = GrayImage::from_raw(w, h, pixels).ok_or_else(own)?;
                imageops::resize(&from, to_w, to_h, filter).into_raw()
            }
            _ => {
                let from = RgbImage::from_raw(w, h, pixels).ok_or_else(own)?;
                imageops::resize(&from, to_w, to_h, filter).into_raw()
            }
        };
        Ok(Picture { width, height, channels: self.channels, pixels })
    }
}

/// Grey of a colour: the luma of ITU-R BT.601, as in JPEG and in video, so that a clip is the same numbers whichever way
/// it is kept.
fn luma(pixel: &image::Rgb<u8>) -> u8 {
    let [r, g, b] = pixel.0.map(u32::from);
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let picture = picture.to_rgba8();
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixel = |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0;
        image::Rgb([blend(r, a), blend(g, a), blend(b, a)])
    };
    RgbImage::from_fn(picture.width(), picture.height(), pixel)
}

/// Pictures by class, from a folder with a subfolder per class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The classes, in natural order of their names; at least two.
    pub classes: Vec<String>,
    /// All pictures, or those of `train/`, each with its class; by class, then in natural order.
    pub train: Vec<(PathBuf, String)>,
    /// Those of `val/`, `valid/`, `validation/` or `dev/`.
    pub dev: Option<Vec<(PathBuf, String)>>,
    /// Those of `test/`.
    pub test: Option<Vec<(PathBuf, String)>>,
}

/// Lists a folder that holds a subfolder of pictures per class; or, one level above, `train/` and perhaps `val/` (`dev/`)
/// and `test/` with such subfolders. Hidden files and files that are no pictures by their name are left out.
///
/// # Errors
/// A class without pictures, fewer than two classes, a class in `val/` or `test/` that `train/` lacks.
pub fn labelled_folder(path: &Path) -> Result<Labelled> {
    let folders: Vec<PathBuf> = natural::entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect();
    let find = |names: &[&str]| {
        let is = |folder: &&PathBuf| names.contains(&natural::name(folder).to_lowercase().as_str());
        folders.iter().find(is)
    };
    let train = find(&["train", "training"]);
    let has_folders = |folder: &Path| Ok::<_, Error>(natural::entries(folder)?.iter().any(|entry| entry.is_dir()));
    let Some(train_folder) = train.filter(|folder| has_folders(folder).unwrap_or(false)) else {
        let (classes, train) = classes_of(path)?;
        return Ok(Labelled { classes, train, dev: None, test: None });
    };
    let (classes, train) = classes_of(train_folder)?;
    let part = |names: &[&str]| {
        let Some(folder) = find(names) else { return Ok(None) };
        let (others, pictures) = pictures_by_class(folder)?;
        if let Some(class) = others.iter().find(|class| !classes.contains(class)) {
            let reason = format!("there is no class \"{class}\" in {}: {}", train_folder.display(), classes.join(", "));
            return Err(fault(&folder.join(class), reason));
        }
        Ok(Some(pictures))
    };
    let (dev, test) = (part(&["val", "valid", "validation", "dev"])?, part(&["test", "testing"])?);
    Ok(Labelled { classes, train, dev, test })
}

type ByClass = (Vec<String>, Vec<(PathBuf, String)>);

fn classes_of(folder: &Path) -> Result<ByClass> {
    let (classes, pictures) = pictures_by_class(folder)?;
    match &classes[..] {
        [] => Err(fault(folder, "has no subfolders; each class needs one of its name, with the pictures in it")),
        [one] => Err(fault(folder, format!("has one class, \"{one}\"; at least two are needed to tell apart"))),
        _ => Ok((classes, pictures)),
    }
}

fn pictures_by_class(folder: &Path) -> Result<ByClass> {
    let (mut classes, mut pictures) = (Vec::new(), Vec::new());
    for entry in natural::entries(folder)?.into_iter().filter(|entry| entry.is_dir()) {
        let class = natural::name(&entry);
        let before = pictures.len();
        gather(&entry, &class, &mut pictures)?;
        if pictures.len() == before {
            let reason =
                format!("the class \"{class}\" has no pictures ({}); fill its folder or remove it", ENDS.join(", "));
            return Err(fault(&entry, reason));
        }
        classes.push(class);
    }
    Ok((classes, pictures))
}

fn gather(folder: &Path, class: &str, pictures: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in natural::entries(folder)? {
        // A link to a folder above would never end.
        let linked = entry.symlink_metadata().is_ok_and(|data| data.is_symlink());
        if entry.is_dir() && !linked {
            gather(&entry, class, pictures)?;
        } else if is_picture(&entry) && entry.is_file() {
            pictures.push((entry, class.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;
    use crate::data::file::write;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn ramp() -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_fn(5, 3, |x, y| image::Rgb([50 * x as u8, 100 * y as u8, 7])))
    }

    #[test]
    fn lossless_formats_give_the_pixels_that_were_written() {
        let want = Picture { width: 5, height: 3, channels: 3, pixels: ramp().into_rgb8().into_raw() };
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Pnm] {
            let bytes = encoded(&ramp(), format);
            assert_eq!(decode(&bytes, Path::new("p"), false).unwrap(), want, "{format:?}");
            let grey = decode(&bytes, Path::new("p"), true).unwrap();
            // The pixel of red 50, green 100, blue 7: 0.299, 0.587 and 0.114 of them.
            assert_eq!((grey.channels, grey.pixels.len(), grey.pixels[6]), (1, 15, 74));
        }
        let jpeg = decode(&encoded(&ramp(), ImageFormat::Jpeg), Path::new("p"), false).unwrap();
        assert_eq!((jpeg.width, jpeg.height, jpeg.pixels.len()), (5, 3, 45));
        let gif = decode(&encoded(&ramp(), ImageFormat::Gif), Path::new("p"), true).unwrap();
        assert_eq!((gif.width, gif.height, gif.pixels.len()), (5, 3, 15));
    }

    #[test]
    fn transparent_parts_are_white() {
        let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba([0, 0, 0, [0, 255, 128][x as usize]]));
        let bytes = encoded(&DynamicImage::ImageRgba8(picture), ImageFormat::Png);
        assert_eq!(decode(&bytes, Path::new("p"), true).unwrap().pixels, [255, 0, 127]);
    }

    /// A PNG header that claims a size, with a right checksum.
    fn claims(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encoded(&ramp(), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused() {
        assert!(decode(&claims(5, 3), Path::new("p"), true).is_ok());
        for (width, height) in [(65535, 65535), (1 << 30, 1), (u32::MAX >> 1, u32::MAX >> 1), (1 << 14, 1 << 13)] {
            let error = decode(&claims(width, height), Path::new("p.png"), true).unwrap_err().to_string();
            assert!(error.starts_with("p.png: ") && error.contains("smaller"), "{width} x {height}: {error}");
        }
        let error = decode(b"P5 65535 65535 255\n\0\0", Path::new("p"), true).unwrap_err().to_string();
        assert!(error.contains("65535 x 65535"), "{error}");
    }

    #[test]
    fn damaged_pictures_are_errors_with_the_file() {
        for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Pnm] {
            let bytes = encoded(&ramp(), format);
            for cut in 0..bytes.len() / 2 {
                let error = decode(&bytes[..cut], Path::new("p.png"), true).unwrap_err().to_string();
                assert!(error.starts_with("p.png: "), "{error}");
            }
        }
        let jpeg = encoded(&ramp(), ImageFormat::Jpeg);
        for cut in 2..jpeg.len() - 1 {
            let error = decode(&jpeg[..cut], Path::new("p.jpg"), true).unwrap_err().to_string();
            assert!(error.starts_with("p.jpg: "), "at {cut}: {error}");
        }
        let error = decode(b"hello, world", Path::new("p.png"), true).unwrap_err().to_string();
        assert!(error.contains("no picture"), "{error}");
    }

    #[test]
    fn no_flipped_byte_makes_a_decoder_panic() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, WebP};
        for format in [Png, Jpeg, Gif, Bmp, WebP, Pnm] {
            let bytes = encoded(&ramp(), format);
            for (at, flip) in (0..bytes.len()).flat_map(|at| [(at, 1), (at, 0x80), (at, 0xff)]) {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Ok(picture) = decode(&damaged, Path::new("p"), true) {
                    assert_eq!(picture.pixels.len(), picture.width * picture.height, "{format:?}, byte {at}");
                }
            }
        }
    }

    #[test]
    fn resizing_averages_and_keeps_the_channels() {
        let picture = Picture { width: 4, height: 2, channels: 1, pixels: vec![0, 0, 200, 200, 0, 0, 200, 200] };
        let half = picture.resize(2, 1).unwrap();
        assert!(half.pixels[0] < 60 && half.pixels[1] > 140, "{half:?}");
        let three = decode(&encoded(&ramp(), ImageFormat::Png), Path::new("p"), false).unwrap().resize(7, 2).unwrap();
        assert_eq!((three.width, three.height, three.channels, three.pixels.len()), (7, 2, 3, 42));
        assert!(picture.resize(0, 4).is_err() && picture.resize(1 << 20, 1 << 20).is_err());
        assert!(Picture { pixels: vec![1], ..picture }.resize(2, 2).is_err());
    }

    fn made(folder: &Path, names: &[&str]) {
        names.iter().for_each(|name| drop(write(folder, name, encoded(&ramp(), ImageFormat::Png))));
    }

    #[test]
    fn a_folder_per_class_is_listed_in_natural_order() {
        let folder = tempfile::tempdir().unwrap();
        made(
            folder.path(),
            &["cat/2.png", "cat/10.PNG", "dog/deep/1.jpg", ".git/x.png", "cat/.hidden.png", "dog/a.txt"],
        );
        let found = labelled_folder(folder.path()).unwrap();
        assert_eq!(found.classes, ["cat", "dog"]);
        let names: Vec<String> =
            found.train.iter().map(|(path, class)| format!("{class} {}", natural::name(path))).collect();
        assert_eq!(names, ["cat 2.png", "cat 10.PNG", "dog 1.jpg"]);
        assert_eq!((found.dev, found.test), (None, None));
    }

    #[test]
    fn a_level_of_splits_is_known_by_its_train_folder() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), &["train/a/1.png", "train/b/1.png", "val/a/2.png", "test/b/3.png", "test/b/4.png"]);
        let found = labelled_folder(folder.path()).unwrap();
        let count = |part: &Option<Vec<_>>| part.as_ref().map(Vec::len);
        assert_eq!((found.classes.len(), found.train.len()), (2, 2));
        assert_eq!((count(&found.dev), count(&found.test)), (Some(1), Some(2)));
        made(folder.path(), &["test/c/1.png"]);
        let error = labelled_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no class \"c\"") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn empty_or_single_classes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = || labelled_folder(folder.path()).unwrap_err().to_string();
        assert!(refusal().contains("no subfolders"));
        made(folder.path(), &["a/1.png"]);
        assert!(refusal().contains("one class, \"a\""));
        std::fs::create_dir(folder.path().join("b")).unwrap();
        assert!(refusal().contains("the class \"b\" has no pictures"));
    }
}
