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

#[test]
fn a_page_says_which_point_was_kept_and_that_a_few_examples_were_learned_from_again() {
    let place = Place::new();
    let row = |i: usize| format!("{},{},{}\n", i % 7, i * 5 % 11, if i * 3 % 5 > 2 { "up" } else { "down" });
    place.write("few.csv", format!("a,b,class\n{}", (0..60).map(row).collect::<String>()));
    let page = |more: &str| {
        place.ok(&format!(
            "train few.csv --task classify --max-steps 60 --val-every 5 --out run{} --quiet {more}",
            more.len()
        ));
        String::from_utf8(place.read(&format!("run{}/report.html", more.len()))).unwrap()
    };
    let (few, best) = (page(""), page("--keep best --refit no"));
    assert!(few.contains("then trained once more, on these examples too") && !best.contains("trained once more"));
    assert!(best.contains(">best ") && !best.contains(">kept "));
}

#[test]
fn the_page_of_a_classifier_opens_with_its_accuracy_and_shows_what_it_confuses() {
    let place = Place::new();
    place.ok("train --task classify --max-steps 60 --val-every 10 --out run --quiet");
    let page = String::from_utf8(place.read("run/report.html")).unwrap();
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("`{part}` is not in the page"));
    // The measure first, then its chart, then the rest.
    let order =
        ["Accuracy <strong>", "class=\"verdict\"", "<h2>Accuracy, %", "<h2>Loss", "truth \\ predicted", "Examples"];
    assert!(order.map(at).is_sorted(), "{:?}", order.map(at));
    for part in ["always &quot;", "linear", "data:image/png;base64,", "class=\"best\"", ">updates<", "conv 32"] {
        at(part);
    }
    assert!(page.matches("<figure class=\"").count() == 16 && page.contains("<title>validation at update "));
    // One range of updates for all charts, and a table that stacks on a phone.
    assert!(page.contains("td data-name=\"network\"") && page.contains("max-width:640px"));
    assert_eq!(page.matches("class=\"verdict\"").count(), 1);
    let review: serde_json::Value = serde_json::from_slice(&place.read("run/review.json")).unwrap();
    let all: u64 = review["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(all, review["examples"].as_u64().unwrap());
    assert!(place.read("run/review.json").len() < 200_000);
}

#[test]
fn pages_of_every_task_show_their_examples() {
    let place = Place::new();
    for (task, more, parts) in [
        ("classify-text", "--hidden 8 --embedding 8", ["<blockquote>", "naive Bayes", "classes are confused"]),
        ("classify-sequence", "--hidden 8", ["class=\"series\"", "linear", "classes are confused"]),
        ("classify-frames", "--hidden 8 --convs 4 --dense 8", ["class=\"band\"", "linear", "classes are confused"]),
        ("regress", "--convs 4 --dense 8", ["data:image/png", "the mean", "Error (rmse) <strong>"]),
        (
            "translate",
            "--hidden 16 --encoder-hidden 8 --embedding 8 --val-limit 20",
            ["<blockquote>", "the source as it is", "BLEU <strong>"],
        ),
        ("caption", "--hidden 16 --embedding 8 --val-limit 20", ["data:image/png;base64,", "truth: ", "<strong>"]),
    ] {
        let said = place.ok(&format!("train --task {task} {more} --max-steps 6 --val-every 3 --out {task}"));
        let page = String::from_utf8(place.read(&format!("{task}/report.html"))).unwrap();
        parts.iter().for_each(|part| assert!(page.contains(part), "{task}: `{part}`"));
        // It samples while it trains, and the tour goes on without data.
        assert!(said.stderr.contains("----\n"), "{task}: {said:?}");
        let eval = place.ok(&format!("eval {task}"));
        assert!(eval.stderr.contains("has not seen") && !eval.stdout.is_empty(), "{task}: {eval:?}");
        if task != "caption" {
            assert!(said.stderr.contains("simple rules on the same data: "), "{said:?}");
            assert!(eval.stdout.contains("simple rules"), "{eval:?}");
        }
    }
    assert!(place.ok("predict caption").stdout.contains("  ->  "));
    let run = place.ok("train --task regress --convs 4 --dense 8 --max-steps 6 --out numbers");
    assert!(run.stderr.contains("validation off by ") && run.stderr.contains("(rmse), r2 "), "{run:?}");
    // What was trained on a file needs one.
    place.train("text", "");
    place.run("eval text").fails(2, &["name the data"]);
}
