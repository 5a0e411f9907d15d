//! `elman report`: a page of one or several runs.

use crate::place::Place;

#[test]
fn a_page_of_two_runs_shows_curves_samples_and_what_differs() {
    let place = Place::new();
    place.train("one", "--val-every 5 --quiet");
    place.train("two", "--val-every 5 --lr 0.013 --quiet");
    place.ok("report one two --out both.html");
    let page = String::from_utf8(place.read("both.html")).unwrap();
    for part in ["<svg", "one training", "two validation", "Learning rate", "Gradient norm", "Speed", "<details"] {
        assert!(page.contains(part), "`{part}` is not in the page");
    }
    let differing: Vec<&str> = page.lines().filter(|line| line.contains("class=\"differs\"")).collect();
    assert!(differing.len() == 1 && differing[0].contains("<td>lr<td>"), "{differing:?}");
    // Nothing is fetched from elsewhere.
    assert!(!page.contains("http") && !page.contains("src="));
    assert!(String::from_utf8(place.read("one/report.html")).unwrap().contains("<svg"));
}

#[test]
fn what_is_no_run_is_refused_and_an_unfinished_line_is_borne() {
    let place = Place::new();
    place.run("report absent").fails(3, &["absent", "holds no run"]);
    place.run("report").fails(2, &["DIR"]);
    place.train("run", "--quiet");
    let mut metrics = place.read("run/metrics.jsonl");
    metrics.extend_from_slice(b"{\"step\":99");
    place.write("run/metrics.jsonl", metrics);
    place.ok("report run");
    assert!(!place.read("report.html").is_empty());
    place.write("run/metrics.jsonl", "");
    place.run("report run").fails(3, &["no metrics yet"]);
    place.train("other", "--quiet");
    let run = place.ok("report run other");
    assert!(run.stderr.contains("run: has no metrics yet"), "{run:?}");
    place.write("run/metrics.jsonl", "no json\n");
    place.run("report run").fails(3, &["metrics.jsonl", "line 1"]);
    place.run("report run --out absent/page.html").fails(3, &["metrics.jsonl"]);
}
