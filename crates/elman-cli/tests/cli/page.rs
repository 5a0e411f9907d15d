//! `elman page` and `elman show`.

use crate::place::Place;

const MADE: &str = "--max-steps 3 --quiet --seed 1";

#[test]
fn the_page_is_written_whole_and_replaces_what_was_there() {
    let place = Place::new();
    place.write("page.html", "old");
    let said = place.ok("page").stderr;
    let page = String::from_utf8(place.read("page.html")).unwrap();
    assert!(said.contains("page.html") && page.starts_with("<!doctype html>") && page.len() < 1_500_000, "{said}");
    place.run("page --out missing/page.html").fails(6, &["missing"]);
}

#[test]
fn a_language_model_and_a_text_are_inside() {
    let place = Place::new();
    place.train("runs/mine", "--quiet");
    place.write("poem.txt", "roses <are> red\u{feff}\n장미");
    place.ok("show runs/mine poem.txt");
    let page = String::from_utf8(place.read("mine.html")).unwrap();
    for part in ["\"name\":\"mine\"", "\"task\":\"language-model\"", "\\u003care>", "장미", "id=\"given-model\""] {
        assert!(page.contains(part), "{part}");
    }
    place.ok("show runs/mine/best.safetensors --out other.html");
    place.run("show runs/mine nothing.txt").fails(3, &["nothing.txt"]);
    place.run("show poem.txt").fails(4, &["poem.txt"]);
}

#[test]
fn models_that_read_files_or_subwords_are_refused_and_others_shown() {
    let place = Place::new();
    place.ok(&format!("train --task classify --out images {MADE}"));
    place.run("show images").fails(2, &["reads files", "page"]);
    place.ok(&format!("train --task translate --units subword --out subwords --hidden 8 --encoder-hidden 8 {MADE}"));
    place.run("show subwords").fails(2, &["subwords", "--units word"]);
    place.ok(&format!("train --task classify-text --out texts --hidden 8 {MADE}"));
    place.write("texts.txt", "a warm and funny film\n");
    place.ok("show texts texts.txt");
    let page = String::from_utf8(place.read("texts.html")).unwrap();
    assert!(page.contains("\"labels\":[\"bad\",\"good\"]") || page.contains("\"labels\":[\"good\",\"bad\"]"));
}
