//! Images, and folders of images with a subfolder per class.

use std::io::{BufRead, Cursor, Seek};
use std::path::{Path, PathBuf};

use image::error::{ImageError, LimitErrorKind};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use jpeg_decoder::PixelFormat;

use super::encoder::Window;
use super::natural;
use crate::error::{Error, Result};
use crate::file::{self, fault};

/// Largest image read, in pixels; larger ones are mistakes or attacks.
pub const MAX_PIXELS: u64 = 1 << 26;
/// Largest image as it is decoded, in bytes: 8-bit RGBA of the most pixels, or half as many of 16 bits.
const MAX_BYTES: u64 = 4 * MAX_PIXELS;
/// Pixels that the scans of a progressive JPEG may go over in all: 16 scans of the largest image.
const MAX_SCANNED: u64 = 16 * MAX_PIXELS;
/// As [`pixels::MAX_FRAME`](super::pixels::MAX_FRAME).
const MAX_FRAME: u64 = super::pixels::MAX_FRAME as u64;
/// File extensions of the supported formats.
const ENDS: [&str; 10] = ["png", "jpg", "jpeg", "gif", "bmp", "webp", "pnm", "pgm", "ppm", "pbm"];

const CUT_SHORT: &str = "the image is cut short; copy or download it again";

/// Interpolation between pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Bilinear.
    Bilinear,
    /// Bicubic (Catmull-Rom).
    Bicubic,
}

/// A decoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `[height, width, channels]`, 0 to 255.
    pub pixels: Vec<u8>,
}

/// Whether a file's extension is that of an image.
pub fn is_image(path: &Path) -> bool {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
    end.is_some_and(|end| ENDS.contains(&end.as_str()))
}

/// Reads a PNG, JPEG, GIF (its first frame), BMP, WebP or PNM file, detected by content; EXIF orientation is
/// applied, transparent parts become white.
///
/// # Errors
/// A file that cannot be read, is damaged, is not an image, or claims more than [`MAX_PIXELS`].
pub fn read(path: &Path, grey: bool) -> Result<Image> {
    decode(&file::read(path)?, path, grey)
}

/// As [`read`], from a file's bytes; `path` is named in messages.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], path: &Path, grey: bool) -> Result<Image> {
    let failed = |error: ImageError| refusal(path, &error);
    let reader = with_limits(Cursor::new(bytes), path)?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), path)?;
    if decoder.total_bytes() > MAX_BYTES {
        let reason = format!(
            "has {} bytes, decoded; at most {MAX_BYTES} are read: make it smaller, or 8-bit",
            decoder.total_bytes()
        );
        return Err(fault(path, reason));
    }
    let scans = if is_jpeg { bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).count() as u64 } else { 1 };
    if scans.saturating_mul(u64::from(width) * u64::from(height)) > MAX_SCANNED {
        return Err(fault(path, format!("is a JPEG of {scans} scans; store it again with fewer, or smaller")));
    }
    // A damaged orientation tag is ignored.
    let orientation = decoder.orientation().ok();
    let mut image = match is_jpeg.then(|| jpeg(bytes)).flatten() {
        Some(image) => image,
        None => DynamicImage::from_decoder(decoder).map_err(failed)?,
    };
    if is_jpeg && is_cut_jpeg(bytes) {
        return Err(fault(path, CUT_SHORT));
    }
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(Image::of(image, grey))
}

/// A grey or colour JPEG with libjpeg's pixel values; other and damaged files are left to the general decoder.
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

/// Whether a JPEG ends before its end marker; the decoder silently fills what is missing with grey. Entropy-coded data
/// hold no marker but restarts (ITU T.81, B.1.1.5), so the first end marker after the start of the last scan is the
/// end.
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    let find = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    find(0xd9) < find(0xda)
}

fn with_limits<R: BufRead + Seek>(bytes: R, path: &Path) -> Result<ImageReader<R>> {
    let mut reader = ImageReader::new(bytes).with_guessed_format().map_err(|error| file::unreadable(path, error))?;
    if reader.format().is_none() {
        return Err(fault(path, "is not an image in a supported format (PNG, JPEG, GIF, BMP, WebP or PNM)"));
    }
    reader.limits(limits());
    Ok(reader)
}

/// A decoder's memory limit: 4 bytes for each of the most pixels and as much for itself.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(2 * MAX_BYTES);
    limits
}

/// # Errors
/// If an image's header claims more pixels than [`MAX_PIXELS`].
pub(crate) fn check_size(width: u64, height: u64, path: &Path) -> Result<()> {
    match width.checked_mul(height) {
        Some(0) => Err(fault(path, format!("the image is empty: {width} x {height}"))),
        Some(pixels) if pixels <= MAX_PIXELS => Ok(()),
        _ => Err(fault(
            path,
            format!("claims {width} x {height} pixels; at most {MAX_PIXELS} are read, make it smaller"),
        )),
    }
}

/// # Errors
/// If a frame has more pixels than [`MAX_FRAME`].
pub(crate) fn check_frame(width: u64, height: u64, path: &Path) -> Result<()> {
    check_size(width, height, path)?;
    if width * height > MAX_FRAME {
        let reason =
            format!("claims frames of {width} x {height} pixels; at most {MAX_FRAME} are read, make it smaller");
        return Err(fault(path, reason));
    }
    Ok(())
}

pub(crate) fn refusal(path: &Path, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::Unsupported { .. }) => {
            fault(path, format!("the image cannot be read safely: {error}"))
        }
        ImageError::Limits(_) => {
            fault(path, format!("the image is too large (at most {MAX_PIXELS} pixels are read); make it smaller"))
        }
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => fault(path, CUT_SHORT),
        _ => fault(path, format!("the image is damaged or of an unsupported kind: {error}")),
    }
}

impl Image {
    /// An image of the `image` crate as bytes; transparent parts on white.
    pub(crate) fn of(image: DynamicImage, grey: bool) -> Image {
        let opaque = if image.color().has_alpha() { DynamicImage::ImageRgb8(on_white(image)) } else { image };
        let (width, height) = (opaque.width() as usize, opaque.height() as usize);
        let (channels, pixels) = match (grey, opaque.color().has_color()) {
            (false, _) => (3, opaque.into_rgb8().into_raw()),
            (true, false) => (1, opaque.into_luma8().into_raw()),
            (true, true) => (1, opaque.into_rgb8().pixels().map(luma).collect()),
        };
        Image { width, height, channels, pixels }
    }

    /// Crops the image.
    ///
    /// # Panics
    /// If the window exceeds the image.
    pub fn cut(&self, window: Window) -> Image {
        let Window { x, y, width, height } = window;
        let row = |row: usize| {
            let from = (row * self.width + x) * self.channels;
            self.pixels[from..from + width * self.channels].iter().copied()
        };
        Image { width, height, channels: self.channels, pixels: (y..y + height).flat_map(row).collect() }
    }

    /// The image at another size; downscaling averages.
    ///
    /// # Errors
    /// A size of 0 or above [`MAX_PIXELS`]; `pixels` of a length that contradicts the image's size.
    pub fn resize(&self, width: usize, height: usize) -> Result<Image> {
        self.resize_by(width, height, Interpolation::Bilinear)
    }

    /// As [`Self::resize`], with this interpolation.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub fn resize_by(&self, width: usize, height: usize, interpolation: Interpolation) -> Result<Image> {
        let usage = |reason: String| Error::Usage(reason);
        if width == 0 || height == 0 || (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            return Err(usage(format!("cannot resize an image to {width} x {height} pixels")));
        }
        if (self.width, self.height) == (width, height) {
            return Ok(self.clone());
        }
        let own = || usage(format!("the pixels are not {} x {} x {}", self.height, self.width, self.channels));
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
        Ok(Image { width, height, channels: self.channels, pixels })
    }
}

/// Grey of a colour: the luma of ITU-R BT.601, as in JPEG and in video, so that a clip has the same values in every
/// format.
fn luma(pixel: &image::Rgb<u8>) -> u8 {
    let [r, g, b] = pixel.0.map(u32::from);
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

fn on_white(image: DynamicImage) -> RgbImage {
    let image = image.into_rgba8();
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixel = |x, y| {
        let [r, g, b, a] = image.get_pixel(x, y).0;
        image::Rgb([blend(r, a), blend(g, a), blend(b, a)])
    };
    RgbImage::from_fn(image.width(), image.height(), pixel)
}

/// Images by class, from a folder with a subfolder per class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The classes, in natural order of their names; at least two.
    pub classes: Vec<String>,
    /// All images, or those of `train/`, each with its class; by class, then in natural order.
    pub train: Vec<(PathBuf, String)>,
    /// Those of `val/`, `valid/`, `validation/` or `dev/`.
    pub dev: Option<Vec<(PathBuf, String)>>,
    /// Those of `test/`.
    pub test: Option<Vec<(PathBuf, String)>>,
}

/// Lists a folder that holds a subfolder of images per class; or, one level above, `train/` and perhaps `val/` (`dev/`)
/// and `test/` with such subfolders. Hidden files and files without an image extension are ignored.
///
/// # Errors
/// A class without images, fewer than two classes, a class in `val/` or `test/` that `train/` lacks.
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
        let (others, images) = images_by_class(folder)?;
        if let Some(class) = others.iter().find(|class| !classes.contains(class)) {
            let reason =
                format!("the class {class:?} does not occur in {}: {}", train_folder.display(), classes.join(", "));
            return Err(fault(&folder.join(class), reason));
        }
        Ok(Some(images))
    };
    let (dev, test) = (part(&["val", "valid", "validation", "dev"])?, part(&["test", "testing"])?);
    Ok(Labelled { classes, train, dev, test })
}

type ByClass = (Vec<String>, Vec<(PathBuf, String)>);

fn classes_of(folder: &Path) -> Result<ByClass> {
    let (classes, images) = images_by_class(folder)?;
    match &classes[..] {
        [] => Err(fault(folder, "has no subfolders; each class needs a subfolder with its images")),
        [one] => Err(fault(folder, format!("has only one class, {one:?}; at least two are needed"))),
        _ => Ok((classes, images)),
    }
}

fn images_by_class(folder: &Path) -> Result<ByClass> {
    let (mut classes, mut images) = (Vec::new(), Vec::new());
    for entry in natural::entries(folder)?.into_iter().filter(|entry| entry.is_dir()) {
        let class = natural::name(&entry);
        let before = images.len();
        gather(&entry, &class, &mut images)?;
        if images.len() == before {
            let reason =
                format!("the class {class:?} has no images ({}); add some or remove its folder", ENDS.join(", "));
            return Err(fault(&entry, reason));
        }
        classes.push(class);
    }
    Ok((classes, images))
}

fn gather(folder: &Path, class: &str, images: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in natural::entries(folder)? {
        // A symbolic link to a parent folder would recurse for ever.
        let linked = entry.symlink_metadata().is_ok_and(|data| data.is_symlink());
        if entry.is_dir() && !linked {
            gather(&entry, class, images)?;
        } else if is_image(&entry) && entry.is_file() {
            images.push((entry, class.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;
    use crate::file::write;

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn ramp() -> DynamicImage {
        DynamicImage::ImageRgb8(RgbImage::from_fn(5, 3, |x, y| image::Rgb([50 * x as u8, 100 * y as u8, 7])))
    }

    #[test]
    fn lossless_formats_give_the_pixels_that_were_written() {
        let want = Image { width: 5, height: 3, channels: 3, pixels: ramp().into_rgb8().into_raw() };
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
        let image = RgbaImage::from_fn(3, 1, |x, _| Rgba([0, 0, 0, [0, 255, 128][x as usize]]));
        let bytes = encoded(&DynamicImage::ImageRgba8(image), ImageFormat::Png);
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
    fn images_that_take_far_more_than_their_pixels_are_refused_by_their_headers() {
        // 16 bits of red, green, blue and alpha.
        let mut deep = claims(8192, 8192);
        (deep[24], deep[25]) = (16, 6);
        let crc = crc32(&deep[12..29]);
        deep[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = decode(&deep, Path::new("p.png"), false).unwrap_err().to_string();
        assert!(error.contains("make it smaller"), "{error}");
        // A JPEG of many scans over the largest image.
        let mut jpeg = encoded(&ramp(), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|pair| matches!(pair, [0xff, 0xc0..=0xc2])).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
        jpeg.extend([0xff, 0xda].repeat(300));
        let error = decode(&jpeg, Path::new("p.jpg"), false).unwrap_err().to_string();
        assert!(error.contains("a JPEG of 301 scans"), "{error}");
    }

    #[test]
    fn damaged_images_are_errors_with_the_file() {
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
        assert!(error.contains("not an image"), "{error}");
    }

    #[test]
    fn no_flipped_byte_makes_a_decoder_panic() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, WebP};
        for format in [Png, Jpeg, Gif, Bmp, WebP, Pnm] {
            let bytes = encoded(&ramp(), format);
            for (at, flip) in (0..bytes.len()).flat_map(|at| [(at, 1), (at, 0x80), (at, 0xff)]) {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Ok(image) = decode(&damaged, Path::new("p"), true) {
                    assert_eq!(image.pixels.len(), image.width * image.height, "{format:?}, byte {at}");
                }
            }
        }
    }

    #[test]
    fn resizing_averages_and_keeps_the_channels() {
        let image = Image { width: 4, height: 2, channels: 1, pixels: vec![0, 0, 200, 200, 0, 0, 200, 200] };
        let half = image.resize(2, 1).unwrap();
        assert!(half.pixels[0] < 60 && half.pixels[1] > 140, "{half:?}");
        let three = decode(&encoded(&ramp(), ImageFormat::Png), Path::new("p"), false).unwrap().resize(7, 2).unwrap();
        assert_eq!((three.width, three.height, three.channels, three.pixels.len()), (7, 2, 3, 42));
        assert!(image.resize(0, 4).is_err() && image.resize(1 << 20, 1 << 20).is_err());
        assert!(Image { pixels: vec![1], ..image }.resize(2, 2).is_err());
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
    fn a_folder_of_splits_is_recognised_by_its_train_folder() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), &["train/a/1.png", "train/b/1.png", "val/a/2.png", "test/b/3.png", "test/b/4.png"]);
        let found = labelled_folder(folder.path()).unwrap();
        let count = |part: &Option<Vec<_>>| part.as_ref().map(Vec::len);
        assert_eq!((found.classes.len(), found.train.len()), (2, 2));
        assert_eq!((count(&found.dev), count(&found.test)), (Some(1), Some(2)));
        made(folder.path(), &["test/c/1.png"]);
        let error = labelled_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("class \"c\" does not occur") && error.contains("a, b"), "{error}");
    }

    #[test]
    fn empty_or_single_classes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = || labelled_folder(folder.path()).unwrap_err().to_string();
        assert!(refusal().contains("no subfolders"));
        made(folder.path(), &["a/1.png"]);
        assert!(refusal().contains("only one class, \"a\""));
        std::fs::create_dir(folder.path().join("b")).unwrap();
        assert!(refusal().contains("the class \"b\" has no images"));
    }
}
