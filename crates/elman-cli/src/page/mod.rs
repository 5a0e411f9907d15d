//! The offline page, made by `page/build`, and what a model makes of it.

use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
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
    let model = BASE64_STANDARD.encode(packed.finish()?);
    // What ends a script would end this one.
    let about = about.to_string().replace('<', "\\u003c");
    let given = format!(
        "<script type=\"application/json\" id=\"given\">{about}</script>\n<script type=\"text/plain\" id=\"given-model\">{model}</script>"
    );
    Ok(page().replacen(PLACE, &given, 1))
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
        assert!(page.contains("id=\"given-model\">H4s") && !page.contains("</script><b>") && !page.contains(PLACE));
    }
}
