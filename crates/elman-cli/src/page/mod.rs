//! The offline page, made by `page/build`, and what a model makes of it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

/// The page's colours, which other pages of the program share.
pub(crate) const COLOURS: &str = include_str!("colours.css");

const PACKED: &[u8] = include_bytes!("page.html.gz");
/// Where the page takes a model.
const PLACE: &str = "<!--given-->";

/// The page.
pub(crate) fn page() -> String {
    let mut text = String::new();
    // It was packed when the page was built; a test unpacks it.
    let unpacked = GzDecoder::new(PACKED).read_to_string(&mut text);
    debug_assert!(unpacked.is_ok(), "{unpacked:?}");
    text
}

/// The page with a model inside, and what is to be known of it: name, task, text, labels.
pub(crate) fn page_with(model: &[u8], about: &Value) -> std::io::Result<String> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(model)?;
    let model = seven_bits(&packed.finish()?);
    // What ends a script would end this one.
    let about = about.to_string().replace('<', "\\u003c");
    let given = format!(
        "<script type=\"application/json\" id=\"given\">{about}</script>\n<script type=\"text/plain\" id=\"given-model\">{model}</script>"
    );
    Ok(page().replacen(PLACE, &given, 1))
}

/// Bytes as text of seven bits a character, as `page/bundle.mjs` writes them and the page reads them: what HTML would change or
/// read (NUL, CR, `<`) stands as U+00C0 and after.
fn seven_bits(bytes: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::with_capacity(bytes.len() * 7 / 6), 0u32, 0);
    let mut put = |code: u32| {
        text.push(match code & 127 {
            0 => '\u{c0}',
            13 => '\u{c1}',
            60 => '\u{c2}',
            code => char::from(code as u8),
        });
    };
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        bits += 8;
        while bits >= 7 {
            bits -= 7;
            put(held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        put(held << (7 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_small_and_fetches_nothing() {
        let page = page();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        assert!(page.len() <= 1_500_000, "{} bytes", page.len());
        assert_eq!(page.matches(PLACE).count(), 1);
        assert!(page.contains("default-src 'none'"));
        for fetched in ["src=\"http", "href=\"http", "@import", "url(http"] {
            let at = page.find(fetched).map(|at| &page[at..at + 60]);
            assert!(at.is_none_or(|at| at.starts_with("href=\"https://karpathy")), "{at:?}");
        }
    }

    #[test]
    fn a_model_is_put_inside_and_ends_no_script() {
        let about = serde_json::json!({"name": "a", "text": "</script><b>"});
        let page = page_with(b"weights", &about).unwrap();
        assert!(page.contains("id=\"given-model\">\u{f}") && !page.contains("</script><b>") && !page.contains(PLACE));
    }

    #[test]
    fn seven_bits_come_back() {
        let bytes: Vec<u8> = (0..=255).chain([0, 0, 0, 13, 60, 60, 255]).collect();
        let text = seven_bits(&bytes);
        assert!(!text.contains(['<', '\0', '\r']) && text.chars().count() == (bytes.len() * 8).div_ceil(7));
        let code = |c: char| [0, 13, 60].get((c as usize).wrapping_sub(0xc0)).copied().unwrap_or(c as u32);
        let bits: Vec<bool> = text.chars().flat_map(|c| (0..7).rev().map(move |bit| code(c) >> bit & 1 == 1)).collect();
        let back = bits.chunks_exact(8).map(|bits| bits.iter().fold(0u8, |byte, &bit| byte << 1 | u8::from(bit)));
        assert!(back.eq(bytes));
    }
}
