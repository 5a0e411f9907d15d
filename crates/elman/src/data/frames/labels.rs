//! `labels.tsv`: the label of each frame of each clip.

use std::collections::HashMap;
use std::path::Path;

use crate::data::Split;
use crate::data::table::Table;
use crate::error::Result;
use crate::file::fault;

/// Accepted column names, in lower case.
const ID: [&str; 5] = ["id", "clip", "file", "filename", "name"];
const SPLIT: [&str; 3] = ["split", "part", "set"];
const LABELS: [&str; 3] = ["runs", "labels", "label"];
const FRAMES: [&str; 3] = ["frames", "t", "n_frames"];

/// The labels of one clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClipLabels {
    /// The line of the file.
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) split: Option<Split>,
    /// Labels with their numbers of frames, each at least 1.
    pub(super) runs: Vec<(String, usize)>,
    /// `T`: the sum of the runs.
    pub(super) frames: usize,
}

/// Reads the columns id, split (optional) and labels: runs (`sil:23 bin:6`) or one name per frame (`sil sil bin`),
/// separated by spaces. With a header the columns may be in any order, among others.
///
/// # Errors
/// A missing column, an unknown split, an invalid run, a repeated id.
pub(super) fn read(path: &Path) -> Result<Vec<ClipLabels>> {
    let table = Table::read(path)?;
    let (id, split, labels, frames) = columns(&table)?;
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut all = Vec::with_capacity(table.rows.len());
    for row in table.rows.iter() {
        let line = row.line();
        let at = |reason: String| fault(path, format!("line {line}: {reason}"));
        let name = row.cell(id).trim();
        if name.is_empty() {
            return Err(at("the clip has no name".into()));
        }
        if let Some(first) = seen.insert(name, line) {
            return Err(at(format!("the clip {name:?} already has labels in line {first}")));
        }
        let split = match split.map(|column| row.cell(column)) {
            Some(word) => {
                let unknown = || at(format!("{word:?} is not a split; write {}", Split::WORDS));
                Some(Split::of(word).ok_or_else(unknown)?)
            }
            None => None,
        };
        let runs = runs(row.cell(labels)).map_err(at)?;
        let sum = runs.iter().try_fold(0usize, |sum, (_, count)| sum.checked_add(*count));
        let sum = sum.ok_or_else(|| at("the runs are too long".into()))?;
        if let Some(said) = frames.map(|column| row.cell(column).trim())
            && said.parse() != Ok(sum)
        {
            return Err(at(format!(
                "the clip {name:?} has {said} frames according to its column, but labels for {sum}"
            )));
        }
        all.push(ClipLabels { line, id: name.into(), split, runs, frames: sum });
    }
    Ok(all)
}

type Columns = (usize, Option<usize>, usize, Option<usize>);

fn columns(table: &Table) -> Result<Columns> {
    let Some(header) = &table.header else {
        return match table.width() {
            2 => Ok((0, None, 1, None)),
            3 => Ok((0, Some(1), 2, None)),
            width => {
                let reason = format!("has {width} columns and no header; begin with the line \"id split labels\"");
                Err(fault(&table.path, reason))
            }
        };
    };
    let find = |names: &[&str]| {
        names.iter().find_map(|name| header.iter().position(|cell| cell.trim().to_lowercase() == *name))
    };
    let need = |names: &[&str]| {
        let missing = || {
            let reason = format!("has no column {:?}. Its columns: {}", names[0], header.join(", "));
            fault(&table.path, reason)
        };
        find(names).ok_or_else(missing)
    };
    Ok((need(&ID)?, find(&SPLIT), need(&LABELS)?, find(&FRAMES)))
}

fn runs(cell: &str) -> std::result::Result<Vec<(String, usize)>, String> {
    let run = |word: &str| {
        let (name, count) = word.rsplit_once(':')?;
        count.parse().ok().filter(|_| !name.is_empty()).map(|count: usize| (name.to_string(), count))
    };
    let words: Vec<&str> = cell.split_whitespace().collect();
    if words.is_empty() {
        return Err("the clip has no labels".into());
    }
    let in_runs = words.iter().filter(|word| run(word).is_some()).count();
    let mut all: Vec<(String, usize)> = Vec::new();
    for word in &words {
        let (name, count) = match run(word) {
            Some((_, 0)) => return Err(format!("the run {word:?} has no frames")),
            Some(run) => run,
            None if in_runs == 0 => (word.to_string(), 1),
            None => return Err(format!("{word:?} is not a run such as \"word:12\", as the others are")),
        };
        match all.last_mut().filter(|last| in_runs == 0 && last.0 == name) {
            Some(last) => last.1 += count,
            None => all.push((name, count)),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write;

    fn read_text(text: &str) -> Result<Vec<ClipLabels>> {
        let folder = tempfile::tempdir().unwrap();
        read(&write(folder.path(), "labels.tsv", text))
    }

    #[test]
    fn runs_and_labels_per_frame_are_equivalent() {
        let want = vec![("a".to_string(), 2), ("b:c".to_string(), 1), ("a".to_string(), 1)];
        let by_runs = read_text("id\tsplit\tlabels\nx\ttrain\ta:2 b:c:1 a:1\ny\tVAL\ta:1\n").unwrap();
        assert_eq!((&by_runs[0].runs, by_runs[0].frames, by_runs[0].line), (&want, 4, 2));
        assert_eq!((by_runs[0].split, by_runs[1].split), (Some(Split::Train), Some(Split::Dev)));
        let by_frame = read_text("x\ta a b:c a\ny\tb").unwrap();
        assert_eq!((&by_frame[0].runs, by_frame[0].split, by_frame[0].line), (&want, None, 1));
        let moved = read_text("frames\tother\tlabels\tclip\n1\tz\ta:1\tx\n").unwrap();
        assert_eq!((moved[0].id.as_str(), moved[0].frames), ("x", 1));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, want) in [
            ("id\tsplit\tlabels\nx\ttrain\ta:2\ny\ttrian\ta:2\n", "line 3: \"trian\" is not a split; write train"),
            ("id\tlabels\nx\ta:2\nx\tb:1\n", "line 3: the clip \"x\" already has labels in line 2"),
            ("id\tlabels\nx\ta:2 b\n", "line 2: \"b\" is not a run"),
            ("id\tlabels\nx\ta:0\n", "line 2: the run \"a:0\" has no frames"),
            ("id\tlabels\nx\t \n", "line 2: the clip has no labels"),
            ("id\tlabels\nx\ta:18446744073709551615 b:1\n", "line 2: the runs are too long"),
            (
                "id\tframes\tlabels\nx\t3\ta:2\n",
                "line 2: the clip \"x\" has 3 frames according to its column, but labels for 2",
            ),
            ("id\tsplit\nx\ttrain\n", "has no column \"runs\". Its columns: id, split"),
            ("x\ttrain\tq\ta:2\n", "has 4 columns and no header"),
        ] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains("labels.tsv: ") && error.contains(want), "{text:?}: {error}");
        }
    }
}
