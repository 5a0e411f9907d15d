//! Imports point down: within the library by rows, between crates by their order, and among files without a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rows of `elman`, from the top. A module may import those of lower rows and itself; two on a row stay apart.
const ROWS: [&[&str]; 10] = [
    &["tune"],
    &["task"],
    &["settings"],
    &["train", "inspect", "rnn", "convert"],
    &["shape"],
    &["layer", "decode"],
    &["cell", "optim", "data", "metric", "format"],
    &["param", "file"],
    &["error", "rng"],
    &["step"],
];
/// The crates, from the top.
const CRATES: [&str; 6] = ["elman-cli", "elman-mpi", "elman", "elman-graph", "elman-step", "elman-kernels"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(sources(&entry));
        } else if entry.extension().is_some_and(|e| e == "rs") {
            files.push(entry);
        }
    }
    files
}

/// A file without its comments and without its tests, which stand at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let mut code = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_test = line.starts_with("#[cfg(") && line.contains("test");
        if is_test && lines.peek().is_some_and(|next| next.contains("mod ")) {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push(line);
        }
    }
    code.join("\n")
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[test]
fn imports_of_the_library_point_down() {
    let src = crates().join("elman/src");
    let mut seen = 0;
    for file in sources(&src) {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_string();
        let own = path.split(['/', '\\', '.']).next().unwrap();
        if own == "lib" {
            continue;
        }
        let own_row = row(own).unwrap_or_else(|| panic!("{path}: its module stands in no row"));
        for import in code(&file).split("crate::").skip(1) {
            let name: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name == own || name == "Error" || name == "Result" {
                continue;
            }
            let row = row(&name).unwrap_or_else(|| panic!("{path}: `crate::{name}` stands in no row"));
            assert!(row > own_row, "{path} imports `{name}`, which does not stand below `{own}`");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} imports were looked at");
}

/// The modules of a crate: each path, such as `task::row`, with its code.
fn modules(src: &Path) -> BTreeMap<Vec<String>, String> {
    let mut modules = BTreeMap::new();
    for file in sources(src) {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        let mut path: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        match path.last().map(String::as_str) {
            Some("mod" | "lib" | "main") => _ = path.pop(),
            Some("tests") => continue,
            _ => {}
        }
        modules.insert(path, code(&file));
    }
    modules
}

/// The paths of a use tree such as `a::{b, c::{self, d}}`.
fn expanded(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, list) = match tree.find('{') {
        Some(at) => (&tree[..at], Some(tree[at + 1..].trim_end().trim_end_matches('}'))),
        None => (tree, None),
    };
    let mut path = before.to_vec();
    let names = head.split("::").map(|name| name.split(" as ").next().unwrap_or_default().trim());
    path.extend(names.filter(|name| !name.is_empty() && *name != "self").map(String::from));
    let Some(list) = list else { return paths.push(path) };
    let (mut depth, mut start) = (0, 0);
    for (i, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !list[start..i].trim().is_empty() {
                    expanded(&list[start..i], &path, paths);
                }
                start = i + 1;
            }
            _ => {}
        }
    }
}

/// The paths that a module names: of its imports, and of its re-exports.
type Named = (Vec<Vec<String>>, Vec<Vec<String>>);

fn named(code: &str) -> Named {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let line =
            statement.lines().map(str::trim).filter(|line| !line.starts_with("#[")).collect::<Vec<_>>().join(" ");
        let line = line.trim().trim_end_matches(';');
        let is_export = line.starts_with("pub");
        let tree = line
            .split_once("use ")
            .filter(|(before, _)| before.is_empty() || (before.starts_with("pub") && !before.contains(['{', '='])));
        match tree {
            Some((_, tree)) => expanded(tree, &[], if is_export { &mut exports } else { &mut imports }),
            None => rest.push_str(statement),
        }
    }
    let children = code.lines().filter_map(|line| line.trim().split("mod ").nth(1)?.strip_suffix(';'));
    let children: Vec<String> = children.map(|child| format!("{child}::")).collect();
    for root in ["crate::", "super::"].into_iter().chain(children.iter().map(String::as_str)) {
        for (at, _) in rest.match_indices(root).filter(|(at, _)| {
            !rest[..*at].ends_with("in ") && !rest[..*at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c))
        }) {
            let path: String = rest[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            imports.push(path.split("::").filter(|name| !name.is_empty()).map(String::from).collect());
        }
    }
    (imports, exports)
}

/// From the path of a module and a path it names to the module that defines what is meant.
fn defined(
    from: &[String],
    path: &[String],
    modules: &BTreeMap<Vec<String>, Named>,
    depth: usize,
) -> Option<Vec<String>> {
    let mut at = from.to_vec();
    let mut names = path.iter().peekable();
    match names.peek().map(|name| name.as_str()) {
        Some("crate") => {
            names.next();
            at.clear();
        }
        Some("super" | "self") => {}
        Some(first) if modules.contains_key(&[from, &[first.to_string()]].concat()) => {}
        _ => return None,
    }
    for name in names {
        match name.as_str() {
            "super" => _ = at.pop(),
            "self" => {}
            name => {
                let child = [&at[..], &[name.to_string()]].concat();
                if modules.contains_key(&child) {
                    at = child;
                    continue;
                }
                let exported = modules[&at].1.iter().find(|export| export.last().is_some_and(|last| last == name));
                return match exported.filter(|_| depth < 8) {
                    Some(export) => defined(&at, export, modules, depth + 1).or(Some(at)),
                    None => Some(at),
                };
            }
        }
    }
    Some(at)
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let (mut seen, mut circles) = (0, Vec::new());
    for name in CRATES {
        let modules = modules(&crates().join(name).join("src"));
        let modules: BTreeMap<_, _> = modules.into_iter().map(|(path, code)| (path, named(&code))).collect();
        let mut arrows: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for (path, (imports, _)) in &modules {
            let targets = imports.iter().filter_map(|import| defined(path, import, &modules, 0));
            let targets: BTreeSet<_> = targets.filter(|target| target != path).collect();
            seen += targets.len();
            arrows.insert(path, targets);
        }
        // What every file reaches, without the ways that end: what is left are circles.
        let mut left: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = arrows;
        loop {
            let ends: Vec<&Vec<String>> = left
                .iter()
                .filter(|(_, to)| to.iter().all(|to| !left.contains_key(to)))
                .map(|(path, _)| *path)
                .collect();
            if ends.is_empty() {
                break;
            }
            ends.into_iter().for_each(|path| _ = left.remove(path));
        }
        circles.extend(left.iter().map(|(path, to)| {
            let to: Vec<String> = to.iter().filter(|to| left.contains_key(to)).map(|to| to.join("::")).collect();
            format!("{name}: {} -> {}", path.join("::"), to.join(", "))
        }));
    }
    assert!(circles.is_empty(), "files that import each other in a circle, or lead to one:\n{}", circles.join("\n"));
    assert!(seen > 400, "only {seen} imports were looked at");
}

#[test]
fn crates_depend_on_those_below_only() {
    for (i, name) in CRATES.iter().enumerate() {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        for above in &CRATES[..i] {
            let depends = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(above));
            assert!(!depends, "{name} depends on {above}");
        }
    }
}

#[test]
fn only_the_kernels_are_unsafe_and_only_front_ends_print_exit_or_read_the_environment() {
    for name in CRATES {
        for file in sources(&crates().join(name).join("src")) {
            let code = code(&file);
            let has = |word: &str| code.contains(word);
            assert!(name == "elman-kernels" || !has("unsafe "), "{} has unsafe code", file.display());
            let front_end = ["println!", "eprintln!", "print!(", "dbg!", "process::exit", "env::var"];
            // A job of several processes is ended by whoever sees that one is gone.
            for word in front_end.iter().filter(|_| !["elman-cli", "elman-mpi"].contains(&name)) {
                assert!(!has(word), "{}: {word} belongs into a front end", file.display());
            }
        }
    }
}
