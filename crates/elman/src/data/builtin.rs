//! Data the program contains, so that it can be tried without a download.

/// The project's own sources and documents, gathered when it was built; printable ASCII.
pub fn project_text() -> &'static str {
    include_str!(concat!(env!("OUT_DIR"), "/project_text.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_text_is_long_enough_to_learn_from_and_plain_ascii() {
        let text = project_text();
        assert!(text.len() > 100_000, "{} bytes", text.len());
        assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
        assert!(text.contains("fn loss_and_grad"));
    }
}
