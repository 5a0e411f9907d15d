//! What a model attended to as it wrote each word: a page that opens offline, and images.

use std::fmt::Write;
use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use elman::data::encoder::{Encoder, Window};
use elman::data::images;
use elman::file::atomic;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{GrayImage, ImageFormat, Luma, RgbImage};

use crate::chart::escaped;
use crate::exit_code::Failure;

/// Longest side of a drawn image, in pixels.
const SIDE: f64 = 320.0;
/// Light left where the model did not attend at all.
const DARK: f32 = 0.25;
/// Quality of the images inside the page, of 100.
const QUALITY: u8 = 85;

const STYLE: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222;\
background:#fff}h2{font-size:1.1em;margin:2em 0 .2em}p{margin:.2em 0 .8em}.words{display:flex;flex-wrap:wrap;gap:.8em}\
figure{margin:0}figure img{width:160px;display:block;border-radius:3px}figcaption{text-align:center;margin-top:.2em}\
small{color:#777;display:block}.grid{display:grid;width:160px;background:#111}.grid i{aspect-ratio:1;background:#fb3}\
.scroll{overflow-x:auto}table{border-collapse:collapse}td{width:2.6em;height:2em;text-align:center;font-size:.75em}\
th{font-weight:normal;padding:.1em .5em;text-align:right}thead th{writing-mode:vertical-rl;transform:rotate(180deg);\
text-align:left}thead th:first-child{writing-mode:horizontal-tb;transform:none;color:#777;font-size:.8em}";

/// A page in the making.
#[derive(Default)]
pub(crate) struct Page {
    body: String,
    /// Names and PNG bytes.
    images: Vec<(String, Vec<u8>)>,
    inputs: usize,
}

/// A word, and how much the model attended to each position as it wrote it.
type Words = [(String, Vec<f32>)];

impl Page {
    /// A caption's words, drawn over the image where there is one.
    pub(crate) fn caption(
        &mut self,
        name: &str,
        words: &Words,
        grid: Option<(usize, usize)>,
        image: Option<(&[u8], &Path, &Encoder)>,
    ) -> Result<(), Failure> {
        self.inputs += 1;
        let positions = words.first().map_or(1, |(_, weights)| weights.len());
        let side = positions.isqrt();
        let grid = grid.unwrap_or(if side * side == positions { (side, side) } else { (1, positions) });
        let image = image.map(|(bytes, path, encoder)| Photo::read(bytes, path, encoder)).transpose()?;
        let text = words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" ");
        let _ = write!(self.body, "<h2>{}</h2><p>{}</p><div class=words>", escaped(name), escaped(&text));
        if let Some(image) = &image {
            let _ = write!(self.body, "<figure>{}<figcaption>the image</figcaption></figure>", inline(&image.picture)?);
        }
        for (i, (word, weights)) in words.iter().enumerate() {
            let most = weights.iter().copied().fold(0.0, f32::max);
            let drawn = match &image {
                Some(image) => {
                    let drawn = image.lit(weights, grid);
                    let plain: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
                    let mut png = Cursor::new(Vec::new());
                    drawn.write_to(&mut png, ImageFormat::Png).map_err(failed)?;
                    self.images.push((format!("{:03}-{:02}-{plain}.png", self.inputs, i + 1), png.into_inner()));
                    inline(&drawn)?
                }
                None => cells(weights, grid.1, most),
            };
            let _ = write!(
                self.body,
                "<figure>{drawn}<figcaption>{}<small>{:.0} % at most</small></figcaption></figure>",
                escaped(word),
                100.0 * most
            );
        }
        let even = 100.0 / positions as f32;
        let _ =
            write!(self.body, "</div><p><small>{positions} positions; evenly spread, each has {even:.1} %</small></p>");
        Ok(())
    }

    /// A translation's words across from those of its source: `source` are the tokens, without the end.
    pub(crate) fn translation(&mut self, text: &str, source: &[String], words: &Words) {
        self.inputs += 1;
        // The first token of each source word, and the end.
        let mut heads: Vec<(String, usize)> = Vec::new();
        for (i, token) in source.iter().enumerate() {
            match heads.last_mut() {
                Some((head, _)) if !token.starts_with('▁') && token.starts_with(char::is_alphanumeric) => {
                    head.push_str(token);
                }
                _ => heads.push((token.trim_start_matches('▁').into(), i)),
            }
        }
        heads.push(("(end)".into(), source.len()));
        let _ = write!(
            self.body,
            "<h2>{}</h2><div class=scroll><table><thead><tr><th>written ↓ read →</th>",
            escaped(text)
        );
        for (head, _) in &heads {
            let _ = write!(self.body, "<th>{}</th>", escaped(head));
        }
        self.body.push_str("</tr></thead><tbody>");
        for (word, weights) in words {
            let _ = write!(self.body, "<tr><th>{}</th>", escaped(word));
            for (i, (_, from)) in heads.iter().enumerate() {
                let to = heads.get(i + 1).map_or(weights.len(), |(_, to)| *to);
                let share: f32 = weights.get(*from..to).unwrap_or_default().iter().sum();
                let ink = if share > 0.55 { "#fff" } else { "#222" };
                let shown = if share >= 0.05 { format!("{:.0}", 100.0 * share) } else { String::new() };
                let style = format!("background:rgba(20,80,160,{share:.3});color:{ink}");
                let _ = write!(self.body, "<td style=\"{style}\">{shown}</td>");
            }
            self.body.push_str("</tr>");
        }
        self.body.push_str("</tbody></table></div><p><small>in percent of each written word's attention</small></p>");
    }

    /// Writes the page, and into a folder also the images.
    pub(crate) fn write(&self, to: &Path) -> Result<(), Failure> {
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>What the model attended to</title><style>{STYLE}</style><h1>What the model attended to</h1>{}</html>",
            self.body
        );
        if to.extension().is_some_and(|e| e == "html" || e == "htm") {
            return Ok(atomic::write(to, page.as_bytes())?);
        }
        std::fs::create_dir_all(to).map_err(|error| Failure::write(to, error))?;
        for (name, bytes) in &self.images {
            atomic::write(&to.join(name), bytes)?;
        }
        Ok(atomic::write(&to.join("index.html"), page.as_bytes())?)
    }
}

fn failed(error: image::ImageError) -> Failure {
    Failure::Other(format!("an image cannot be drawn: {error}"))
}

/// An image inside the page.
fn inline(picture: &RgbImage) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY)).map_err(failed)?;
    Ok(format!("<img alt=\"\" src=\"data:image/jpeg;base64,{}\">", BASE64_STANDARD.encode(bytes)))
}

/// The positions without a image.
fn cells(weights: &[f32], columns: usize, most: f32) -> String {
    let mut cells = format!("<div class=grid style=\"grid-template-columns:repeat({columns},1fr)\">");
    for x in weights {
        let _ = write!(cells, "<i style=opacity:{:.2}></i>", x / most.max(f32::MIN_POSITIVE));
    }
    cells + "</div>"
}

/// A image at the size it is drawn.
struct Photo {
    picture: RgbImage,
    /// What the encoder sees of it.
    window: Window,
}

impl Photo {
    fn read(bytes: &[u8], path: &Path, encoder: &Encoder) -> Result<Photo, Failure> {
        let whole = images::decode(bytes, path, false)?;
        let scale = (SIDE / whole.width.max(whole.height) as f64).min(1.0);
        let size = |pixels: usize| ((pixels as f64 * scale).round() as usize).max(1);
        let small = whole.resize(size(whole.width), size(whole.height))?;
        let window = encoder.window(small.width, small.height);
        let picture = RgbImage::from_raw(small.width as u32, small.height as u32, small.pixels);
        let picture = picture.ok_or_else(|| Failure::Other(format!("{}: cannot be drawn", path.display())))?;
        Ok(Photo { picture, window })
    }

    /// The image, light where the model attended: the position it attended to most is as it was.
    fn lit(&self, weights: &[f32], (rows, columns): (usize, usize)) -> RgbImage {
        let most = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        // The root, so that a position with a quarter of the most is still seen, at half of its light.
        let light = |x: u32, y: u32| Luma([(255.0 * (weights[y as usize * columns + x as usize] / most).sqrt()) as u8]);
        let light = GrayImage::from_fn(columns as u32, rows as u32, light);
        let Window { x, y, width, height } = self.window;
        let light = imageops::resize(&light, width as u32, height as u32, FilterType::CatmullRom);
        let mut drawn = self.picture.clone();
        for (column, row, pixel) in drawn.enumerate_pixels_mut() {
            let inside = (column.wrapping_sub(x as u32), row.wrapping_sub(y as u32));
            let light = light.get_pixel_checked(inside.0, inside.1).map_or(0.0, |light| f32::from(light.0[0]) / 255.0);
            pixel.0 = pixel.0.map(|value| (f32::from(value) * (DARK + (1.0 - DARK) * light)) as u8);
        }
        drawn
    }
}
