//! YUV4MPEG2: a line of text, then for each frame a line and its planes (format: yuv4mpeg(5) of the mjpegtools).

use std::path::Path;

use crate::error::Result;
use crate::file::fault;

/// The first bytes of a stream.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";
/// Frames start with this, optionally followed by a space and parameters.
pub(super) const FRAME: &[u8] = b"FRAME";
/// Maximum length of a header line; anything longer is not Y4M.
pub(super) const MAX_LINE: usize = 4096;
/// Largest frame, in pixels.
pub(super) const MAX_PIXELS: usize = crate::data::pixels::MAX_FRAME;

/// Chroma subsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    Mono,
    /// Half the columns, half the rows.
    C420,
    /// Half the columns.
    C422,
    C444,
}

/// The stream header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) fps: Option<f64>,
    chroma: Chroma,
    /// Values span 0 to 255 rather than the broadcast range 16 to 235.
    full_range: bool,
}

impl Header {
    /// # Errors
    /// An invalid header, a missing size, or samples of more than 8 bits.
    pub(super) fn parse(line: &[u8], path: &Path) -> Result<Header> {
        let line = std::str::from_utf8(line).ok();
        let Some(tags) = line.and_then(|line| line.strip_prefix("YUV4MPEG2")) else {
            return Err(fault(path, "is not a Y4M stream: it does not start with YUV4MPEG2"));
        };
        let (mut width, mut height, mut fps, mut chroma, mut full_range) = (0, 0, None, Chroma::C420, None);
        for tag in tags.split_ascii_whitespace() {
            let (key, value) = tag.split_at(tag.chars().next().map_or(0, char::len_utf8));
            let size = || value.parse::<usize>().unwrap_or(0);
            match key {
                "W" => width = size(),
                "H" => height = size(),
                "F" => fps = rate(value),
                "C" => chroma = sampling(value, path)?,
                "X" => match value.to_uppercase().as_str() {
                    "COLORRANGE=FULL" => full_range = Some(true),
                    "COLORRANGE=LIMITED" => full_range = Some(false),
                    _ => {}
                },
                // Interlacing and pixel aspect do not affect values.
                _ => {}
            }
        }
        if width == 0 || height == 0 || width.checked_mul(height).is_none_or(|pixels| pixels > MAX_PIXELS) {
            return Err(fault(path, format!("the Y4M header claims frames of {width} x {height} pixels")));
        }
        // Grey frames are full range: ffmpeg writes them so, without the tag.
        let full_range = full_range.unwrap_or(chroma == Chroma::Mono);
        Ok(Header { width, height, fps, chroma, full_range })
    }

    /// Columns and rows of a colour plane.
    fn chroma_size(&self) -> (usize, usize) {
        match self.chroma {
            Chroma::Mono => (0, 0),
            Chroma::C420 => (self.width.div_ceil(2), self.height.div_ceil(2)),
            Chroma::C422 => (self.width.div_ceil(2), self.height),
            Chroma::C444 => (self.width, self.height),
        }
    }

    /// Bytes in the two colour planes.
    pub(super) fn chroma_len(&self) -> usize {
        let (width, height) = self.chroma_size();
        2 * width * height
    }

    /// Luma as stored to grey of 0 to 255.
    pub(super) fn grey(&self, luma: &mut [u8]) {
        if !self.full_range {
            luma.iter_mut().for_each(|value| *value = stretched(*value));
        }
    }

    /// Luma `[H, W]` and the two colour planes to `[H, W, 3]`: ITU-R BT.601, in JPEG's equations for the full range.
    pub(super) fn rgb(&self, luma: &[u8], chroma: &[u8], out: &mut Vec<u8>) {
        let (columns, rows) = self.chroma_size();
        let (blue, red) = chroma.split_at(chroma.len() / 2);
        out.clear();
        for (y, row) in luma.chunks_exact(self.width).enumerate() {
            for (x, &value) in row.iter().enumerate() {
                if self.chroma == Chroma::Mono {
                    let grey = if self.full_range { value } else { stretched(value) };
                    out.extend([grey; 3]);
                    continue;
                }
                // The sample that covers the pixel, without blending.
                let at = (y * rows / self.height) * columns + x * columns / self.width;
                let (offset, luma_scale, chroma_scale) =
                    if self.full_range { (0.0, 1.0, 1.0) } else { (16.0, 255.0 / 219.0, 255.0 / 224.0) };
                let luma = (f32::from(value) - offset) * luma_scale;
                let cb = (f32::from(blue[at]) - 128.0) * chroma_scale;
                let cr = (f32::from(red[at]) - 128.0) * chroma_scale;
                let rgb = [luma + 1.402 * cr, luma - 0.344_136 * cb - 0.714_136 * cr, luma + 1.772 * cb];
                // The cast saturates.
                out.extend(rgb.map(|value| value.round() as u8));
            }
        }
    }
}

/// 16 to 235 becomes 0 to 255.
fn stretched(value: u8) -> u8 {
    ((f32::from(value) - 16.0) * (255.0 / 219.0)).round() as u8
}

fn rate(value: &str) -> Option<f64> {
    let (frames, seconds) = value.split_once(':')?;
    let (frames, seconds) = (frames.parse::<u32>().ok()?, seconds.parse::<u32>().ok()?);
    (frames > 0 && seconds > 0).then(|| f64::from(frames) / f64::from(seconds))
}

fn sampling(value: &str, path: &Path) -> Result<Chroma> {
    match value {
        "mono" => Ok(Chroma::Mono),
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Chroma::C420),
        "422" => Ok(Chroma::C422),
        "444" => Ok(Chroma::C444),
        _ => {
            let reason = format!(
                "has samples of the kind C{value}; only 8-bit 420, 422, 444 and mono are read: convert with \
                 ffmpeg -i FILE -pix_fmt yuv420p NEW.y4m"
            );
            Err(fault(path, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(line: &str) -> Result<Header> {
        Header::parse(line.as_bytes(), Path::new("v.y4m"))
    }

    #[test]
    fn a_header_gives_size_rate_and_planes() {
        let found = header("YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG").unwrap();
        assert_eq!((found.width, found.height, found.chroma_len()), (5, 3, 2 * 3 * 2));
        assert!((found.fps.unwrap() - 29.97).abs() < 0.001);
        assert_eq!(header("YUV4MPEG2 W5 H3 F0:0").unwrap().fps, None);
        let planes = |kind: &str| header(&format!("YUV4MPEG2 W5 H3 C{kind}")).unwrap().chroma_len();
        assert_eq!((planes("mono"), planes("422"), planes("444")), (0, 18, 30));
        for bad in ["YUV4MPEG2 W5", "YUV4MPEG2 W0 H3", "YUV4MPEG2 W99999 H99999", "YUV4MPEG2 Wé H1", "RIFF"] {
            assert!(header(bad).is_err(), "{bad}");
        }
        assert!(header("YUV4MPEG2 W5 H3 C420p10").unwrap_err().to_string().contains("-pix_fmt yuv420p"));
    }

    #[test]
    fn broadcast_range_is_stretched_and_full_range_kept() {
        let grey = |line: &str| {
            let mut luma = [0, 16, 126, 235, 255];
            header(line).unwrap().grey(&mut luma);
            luma
        };
        assert_eq!(grey("YUV4MPEG2 W5 H1 C420"), [0, 0, 128, 255, 255]);
        assert_eq!(grey("YUV4MPEG2 W5 H1 C420 XCOLORRANGE=FULL"), [0, 16, 126, 235, 255]);
        assert_eq!(grey("YUV4MPEG2 W5 H1 Cmono"), [0, 16, 126, 235, 255]);
        assert_eq!(grey("YUV4MPEG2 W5 H1 Cmono XCOLORRANGE=LIMITED"), [0, 0, 128, 255, 255]);
    }

    #[test]
    fn colours_follow_bt601() {
        let mut rgb = Vec::new();
        // Full-range red is Y 76, Cb 85, Cr 255 (JFIF 1.02); broadcast red 81, 90, 240 (BT.601).
        let full = header("YUV4MPEG2 W1 H1 C444 XCOLORRANGE=FULL").unwrap();
        full.rgb(&[76], &[85, 255], &mut rgb);
        assert!(rgb[0] >= 253 && rgb[1] <= 2 && rgb[2] <= 2, "{rgb:?}");
        let limited = header("YUV4MPEG2 W3 H1 C420").unwrap();
        limited.rgb(&[81, 81, 235], &[90, 128, 240, 128], &mut rgb);
        assert!(rgb[0] >= 252 && rgb[1] <= 3 && rgb[2] <= 3, "{rgb:?}");
        assert_eq!((rgb.len(), &rgb[6..]), (9, &[255, 255, 255][..]));
    }
}
