//! Class names and their indices.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::cells::is_missing;
use crate::error::{Error, Result};

/// A label's position in its file, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In this line, from 1.
    Line(usize),
    /// Item number, from 1, in a file without lines.
    Item(usize),
    /// The file is one example.
    File,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Line(line) => write!(f, "line {line}: "),
            At::Item(item) => write!(f, "item {item}: "),
            At::File => Ok(()),
        }
    }
}

/// Maximum names shown in a message.
const SHOWN: usize = 8;

/// The classes of a task, in their order.
///
/// ```
/// use std::path::Path;
///
/// use elman::data::Labels;
///
/// let labels = Labels::of(["neg", "pos", "neg"].into_iter(), Path::new("reviews.tsv"))?;
/// assert_eq!(labels.names(), ["neg", "pos"]);
/// assert_eq!(labels.find("pos"), Some(1));
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Labels {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl From<Vec<String>> for Labels {
    fn from(names: Vec<String>) -> Self {
        let index = names.iter().enumerate().map(|(i, name)| (name.clone(), i as u32)).collect();
        Labels { names, index }
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.names
    }
}

/// Names in numeric order if all are numbers, else alphabetical.
fn in_order(distinct: BTreeSet<&str>) -> Vec<String> {
    let names: Vec<String> = distinct.into_iter().map(String::from).collect();
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    let Some(numbers) = numbers else { return names };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    order.into_iter().map(|i| names[i].clone()).collect()
}

impl Labels {
    /// The distinct names, in numeric order if all are numbers, else alphabetical.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than two; the message names `path`.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>, path: &Path) -> Result<Labels> {
        let names = in_order(names.collect());
        if names.len() < 2 {
            let reason = match names.first() {
                Some(name) => format!(
                    "every label is {name:?}: a classifier needs two classes or more, and this is one class only"
                ),
                None => "there are no labels".into(),
            };
            return Err(Error::Data { path: path.into(), reason });
        }
        Ok(Labels::from(names))
    }

    /// These, and behind them the other names, in numeric order if all are numbers, else alphabetical.
    pub fn extended<'a>(&self, names: impl Iterator<Item = &'a str>) -> Labels {
        let new: BTreeSet<&str> = names.filter(|name| self.find(name).is_none()).collect();
        Labels::from(self.names.iter().cloned().chain(in_order(new)).collect::<Vec<_>>())
    }

    /// Refuses labels that are measurements, to be said before they are called too few of each class: numbers with fractions of
    /// which most are distinct. `path` is named in the message.
    ///
    /// # Errors
    /// [`Error::Data`] that names the task for numbers.
    pub(crate) fn check_are_classes<'a>(names: impl Iterator<Item = &'a str>, path: &Path, task: &str) -> Result<()> {
        const ROWS: usize = 20;
        let names: Vec<&str> = names.collect();
        let numbers: Option<Vec<f64>> = names.iter().map(|name| name.trim().parse().ok()).collect();
        let distinct = names.iter().collect::<BTreeSet<_>>().len();
        let has_fractions = numbers.as_ref().is_some_and(|numbers| numbers.iter().any(|x| x.fract() != 0.0));
        // Whole numbers may be classes, but hardly a class for each row.
        let are_measured = has_fractions || (numbers.is_some() && distinct * 10 > names.len() * 9);
        if names.len() < ROWS || !are_measured || distinct * 2 <= names.len() {
            return Ok(());
        }
        let reason = format!(
            "the labels are {distinct} different numbers in {} rows, as measurements are; `task = {task}` predicts numbers",
            names.len()
        );
        Err(Error::Data { path: path.into(), reason })
    }

    /// A sentence on names that look like slips: some that differ in case or blanks alone, and marks of missing values.
    pub(crate) fn alike(names: &[String]) -> Option<String> {
        let plain = |name: &str| name.split_whitespace().collect::<String>().to_lowercase();
        let mut seen: HashMap<String, &String> = HashMap::new();
        let twice = names.iter().find_map(|name| Some((seen.insert(plain(name), name)?, name)));
        if let Some((a, b)) = twice {
            return Some(format!("the labels {a:?} and {b:?} are two classes; if they are one, write them alike"));
        }
        let missing = names.iter().find(|name| is_missing(name) && !name.eq_ignore_ascii_case("none"))?;
        Some(format!(
            "the label {missing:?} is a class; if it marks missing labels, empty those cells, and `skip_bad` leaves them out"
        ))
    }

    /// `V`.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The index of a class name.
    ///
    /// # Errors
    /// [`Error::Data`] with the position, if the name is not a class.
    pub fn index(&self, name: &str, path: &Path, at: At) -> Result<u32> {
        self.find(name).or_else(|| self.of_number(name)).ok_or_else(|| {
            let more = if self.names.len() > SHOWN { ", .." } else { "" };
            let known: Vec<&str> = self.names.iter().take(SHOWN).map(String::as_str).collect();
            let reason = format!(
                "{at}label {name:?} does not occur in the training data, whose labels are {}{more}",
                known.join(", ")
            );
            Error::Data { path: path.into(), reason }
        })
    }

    /// The index of the only class that is the same number written otherwise: `1.0` of `1`.
    fn of_number(&self, name: &str) -> Option<u32> {
        let wanted: f64 = name.trim().parse().ok()?;
        let mut same = (0..).zip(&self.names).filter(|(_, name)| name.parse::<f64>().is_ok_and(|x| x == wanted));
        same.next().map(|(i, _)| i).filter(|_| same.next().is_none())
    }

    /// The number of a name, if it is one.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }

    /// Weights that balance the classes in training, with mean 1 over `targets`.
    pub fn balanced(&self, targets: impl Iterator<Item = u32>) -> Vec<f64> {
        let mut counts = vec![0usize; self.len()];
        let mut total = 0;
        for target in targets {
            if let Some(count) = counts.get_mut(target as usize) {
                (*count, total) = (*count + 1, total + 1);
            }
        }
        let present = counts.iter().filter(|&&count| count > 0).count();
        let share = total as f64 / present.max(1) as f64;
        counts.into_iter().map(|count| if count > 0 { share / count as f64 } else { 1.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order_and_unknown_ones_are_named_with_their_line() {
        let path = Path::new("a.tsv");
        let labels = Labels::of(["10", "9", "9", "1"].into_iter(), path).unwrap();
        assert_eq!(labels.names(), ["1", "9", "10"]);
        assert_eq!(labels.index("9", path, At::Line(1)).unwrap(), 1);
        let message = labels.index("7", path, At::Line(12)).unwrap_err().to_string();
        assert!(message.contains("a.tsv: line 12: label \"7\"") && message.contains("1, 9, 10"), "{message}");
        assert!(Labels::of(["a", "a"].into_iter(), path).unwrap_err().to_string().contains("one class only"));
        // Another program may have written the same numbers.
        assert_eq!(labels.index("1.0000000e+00", path, At::Line(1)).unwrap(), 0);
        let both = Labels::from(["1".to_string(), "1.0".into()].to_vec());
        assert!(both.index("1e0", path, At::Line(1)).is_err() && both.index("1.0", path, At::Line(1)).is_ok());
        let text = serde_json::to_string(&labels).unwrap();
        assert_eq!(serde_json::from_str::<Labels>(&text).unwrap(), labels);
    }

    #[test]
    fn names_that_look_like_slips_are_said() {
        let said = |names: &[&str]| Labels::alike(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(said(&["no", "Yes", "yes "]).unwrap().contains("\"Yes\" and \"yes \""));
        assert!(said(&["a", "NaN"]).unwrap().contains("\"NaN\""));
        assert_eq!(said(&["a", "none", "b"]), None);
    }

    #[test]
    fn balanced_weights_give_each_class_the_same_sum() {
        let labels = Labels::from(vec!["a".to_string(), "b".to_string(), "c".to_string()]);
        assert_eq!(labels.balanced([0, 0, 0, 1].into_iter()), [4.0 / 6.0, 2.0, 1.0]);
    }
}
