//! What is searched: settings that are given, settings that are drawn, and how long.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::settings::{Key, Settings};
use crate::task::Task;

/// Settings that the search itself decides.
const OWN: [&str; 7] = ["max_steps", "epochs", "max_time", "val_every", "patience", "refit", "folds"];
/// Rounds of halving at most, where there are trials enough for more.
const RUNGS: u32 = 4;

/// A file that says what is searched:
///
/// ```
/// use elman::tune::Space;
///
/// let space = Space::parse(
///     r#"
///     [search]
///     trials = 27     # drawn at random from the space
///     steps = 900     # updates of a trial that reaches the end
///     halving = 3     # a third of the trials goes on, for three times as many updates; 1: all go to the end
///
///     [settings]      # the same for all trials, as in a config.toml
///     task = "classify-sequence"
///
///     [space]         # a list to choose from, or an interval
///     hidden = [16, 32, 64]
///     lr = { low = 1e-4, high = 1e-1, log = true }
///     dropout = { low = 0.0, high = 0.5 }
///     "#,
///     "space.toml".as_ref(),
/// )?;
/// let rungs: Vec<(usize, u64)> = (0..3).map(|rung| (space.trials(rung), space.steps(rung))).collect();
/// assert_eq!(rungs, [(27, 33), (9, 99), (3, 297)]);
/// assert_eq!((space.rungs(), space.trials(3), space.steps(3)), (4, 1, 891));
/// assert_ne!(space.settings(0)?.lr, space.settings(1)?.lr);
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Space {
    base: Settings,
    ranges: BTreeMap<&'static str, Range>,
    search: Search,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    #[serde(default = "Search::trials")]
    trials: usize,
    steps: u64,
    #[serde(default = "Search::halving")]
    halving: u64,
    #[serde(default = "Search::seed")]
    seed: u64,
}

impl Search {
    fn trials() -> usize {
        27
    }

    fn halving() -> u64 {
        3
    }

    fn seed() -> u64 {
        1
    }
}

/// What a setting is drawn from.
#[derive(Clone, Debug)]
enum Range {
    Among(Vec<String>),
    Between { low: f64, high: f64, is_whole: bool, is_log: bool },
}

impl Space {
    /// Reads such a file.
    ///
    /// # Errors
    /// [`Error::Data`] that names the key at fault.
    pub fn read(path: &Path) -> Result<Space> {
        Self::parse(crate::file::utf8_after(0, &crate::file::read(path)?, path)?, path)
    }

    /// The space in a text; `path` is what messages name.
    ///
    /// # Errors
    /// As [`Space::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Space> {
        let wrong = |reason: String| Error::Data { path: path.into(), reason };
        let mut file: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            wrong(format!("line {}: {}", text[..at].matches('\n').count() + 1, error.message()))
        })?;
        let mut table = |name: &str| match file.remove(name) {
            Some(toml::Value::Table(table)) => Ok(table),
            Some(_) => Err(wrong(format!("{name} must be a table: [{name}] and a line for each key"))),
            None => Err(wrong(format!("has no table [{name}]; it takes [search], [settings] and [space]"))),
        };
        let (search, settings, space) = (table("search")?, table("settings")?, table("space")?);
        if let Some(name) = file.keys().next() {
            return Err(wrong(format!("[{name}] is none of the tables [search], [settings] and [space]")));
        }
        let search: Search = search.try_into().map_err(|error: toml::de::Error| {
            wrong(format!("[search]: {}; it takes trials, steps, halving and seed", error.message()))
        })?;
        if search.trials == 0 || search.steps == 0 || search.halving == 0 {
            return Err(wrong("[search]: trials, steps and halving must be at least 1".into()));
        }
        let own = settings.keys().chain(space.keys()).find(|name| OWN.contains(&name.as_str()));
        if let Some(name) = own {
            return Err(wrong(format!("{name} is decided by the search: give `steps` in [search]")));
        }
        let mut base = Settings::from_toml(&toml::to_string(&settings).unwrap_or_default(), path)?;
        if !settings.contains_key("threads") {
            // More processes share the cores better than threads do.
            base.threads = 1;
        }
        let task = Task::find(&base.task)?;
        if task.is_read("refit") {
            base.set("refit", "no")?;
        }
        let mut ranges = BTreeMap::new();
        for (name, value) in space {
            let key = Key::named(&name).map_err(|error| wrong(format!("[space]: {error}")))?;
            if settings.contains_key(&name) {
                return Err(wrong(format!("{name} stands in [settings] and in [space]")));
            }
            task.check_read(key.name, &value.to_string()).map_err(|error| wrong(format!("[space]: {error}")))?;
            let range = Range::of(&value).map_err(|reason| wrong(format!("[space]: {name} {reason}")))?;
            ranges.insert(key.name, range);
        }
        if ranges.is_empty() {
            return Err(wrong("[space] has no key: there is nothing to search".into()));
        }
        let space = Space { base, ranges, search };
        // Both ends of every interval and every choice.
        for (name, range) in &space.ranges {
            for text in range.ends() {
                space.base.clone().set(name, &text).map_err(|error| wrong(format!("[space]: {error}")))?;
            }
        }
        Ok(space)
    }

    /// The number of rounds.
    pub fn rungs(&self) -> usize {
        let Search { trials, steps, halving, .. } = self.search;
        let (mut rungs, mut left, mut length) = (1, trials, steps);
        while halving > 1 && rungs < RUNGS && left as u64 >= halving && length >= halving {
            (rungs, left, length) = (rungs + 1, left / halving as usize, length / halving);
        }
        rungs as usize
    }

    /// The trials that a round trains.
    pub fn trials(&self, rung: usize) -> usize {
        (0..rung).fold(self.search.trials, |left, _| (left / self.search.halving as usize).max(1))
    }

    /// The updates that trials have at the end of a round: `halving` times those before, the last `steps` or a little less.
    pub fn steps(&self, rung: usize) -> u64 {
        let Search { steps, halving, .. } = self.search;
        let above = halving.pow(self.rungs() as u32 - 1);
        steps / above * halving.pow(rung as u32)
    }

    /// The task.
    pub fn task(&self) -> &str {
        &self.base.task
    }

    /// The settings of a trial: they depend on its number and the study's seed alone.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value outside its range.
    pub fn settings(&self, trial: usize) -> Result<Settings> {
        let mut settings = self.base.clone();
        for (name, text) in self.drawn(trial) {
            settings.set(name, &text)?;
        }
        (settings.max_steps, settings.epochs) = (self.steps(self.rungs() - 1), 0.0);
        settings.val_every = self.steps(0);
        settings.sample_every = 0;
        Ok(settings)
    }

    /// What a trial draws: settings and their values as text.
    pub fn drawn(&self, trial: usize) -> Vec<(&'static str, String)> {
        let mut rng = Rng::for_step(self.search.seed, "tune", trial as u64, 0);
        self.ranges.iter().map(|(name, range)| (*name, range.draw(&mut rng))).collect()
    }
}

impl Range {
    fn of(value: &toml::Value) -> std::result::Result<Range, String> {
        let word = |value: &toml::Value| match value {
            toml::Value::String(text) => Ok(text.clone()),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Ok(value.to_string()),
            _ => Err("must list texts, numbers or true and false".to_string()),
        };
        let table = match value {
            toml::Value::Array(values) if values.is_empty() => return Err("lists nothing".into()),
            toml::Value::Array(values) => {
                return Ok(Range::Among(values.iter().map(word).collect::<std::result::Result<_, _>>()?));
            }
            toml::Value::Table(table) => table,
            _ => return Err("must be a list, or an interval such as { low = 1e-4, high = 1e-1, log = true }".into()),
        };
        if let Some(name) = table.keys().find(|name| !["low", "high", "log"].contains(&name.as_str())) {
            return Err(format!("has a {name}; an interval has low, high and, if it likes, log"));
        }
        let number = |name: &str| match table.get(name) {
            Some(toml::Value::Integer(n)) => Ok((*n as f64, true)),
            Some(toml::Value::Float(x)) if x.is_finite() => Ok((*x, false)),
            _ => Err(format!("takes a number as {name}")),
        };
        let ((low, low_is_whole), (high, high_is_whole)) = (number("low")?, number("high")?);
        let is_log = match table.get("log") {
            None => false,
            Some(toml::Value::Boolean(is_log)) => *is_log,
            Some(_) => return Err("takes true or false as log".into()),
        };
        if low >= high || is_log && low <= 0.0 {
            let above = if is_log { ", above 0" } else { "" };
            return Err(format!("takes a low below its high{above}"));
        }
        Ok(Range::Between { low, high, is_whole: low_is_whole && high_is_whole, is_log })
    }

    /// Every choice, or both ends.
    fn ends(&self) -> Vec<String> {
        match self {
            Range::Among(words) => words.clone(),
            Range::Between { low, high, is_whole, .. } => [low, high].map(|x| written(*x, *is_whole)).to_vec(),
        }
    }

    fn draw(&self, rng: &mut Rng) -> String {
        match self {
            Range::Among(words) => words[rng.below(words.len())].clone(),
            Range::Between { low, high, is_whole, is_log } => {
                // A whole number stands for all that round to it.
                let half = if *is_whole { 0.5 } else { 0.0 };
                let (from, to) = (low - half, high + half);
                let x = match is_log {
                    true => rng.range(from.max(f64::MIN_POSITIVE).ln(), to.ln()).exp(),
                    false => rng.range(from, to),
                };
                written(
                    if *is_whole { x.round().clamp(*low, *high) } else { three_digits(x).clamp(*low, *high) },
                    *is_whole,
                )
            }
        }
    }
}

fn written(x: f64, is_whole: bool) -> String {
    if is_whole { format!("{x:.0}") } else { Value::from(x).to_string() }
}

/// As precise as anybody would write it.
fn three_digits(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(search: &str, settings: &str, space: &str) -> Result<Space> {
        let text = format!("[search]\n{search}\n[settings]\n{settings}\n[space]\n{space}\n");
        Space::parse(&text, "space.toml".as_ref())
    }

    #[test]
    fn draws_stay_in_their_ranges_and_depend_on_the_number_alone() {
        let ranges = "hidden = { low = 8, high = 64, log = true }\nlr = { low = 0.001, high = 0.1, log = true }\n\
                      layers = { low = 1, high = 3 }\ncell = [\"gru\", \"lstm\"]\ndropout = { low = 0.0, high = 0.5 }";
        let space = space("steps = 100", "task = \"classify-sequence\"", ranges).unwrap();
        let all: Vec<Settings> = (0..300).map(|trial| space.settings(trial).unwrap()).collect();
        assert!(all.iter().all(|s| (8..=64).contains(&s.hidden) && (0.001..=0.1).contains(&s.lr)));
        assert!((1..=3).all(|layers| all.iter().filter(|s| s.layers == layers).count() > 60));
        let below = all.iter().filter(|s| s.lr < 0.01).count();
        assert!((120..180).contains(&below), "half of the decades: {below}");
        assert!(all.iter().any(|s| s.hidden == 8) && all.iter().any(|s| s.hidden > 56));
        assert_eq!(space.settings(7).unwrap(), all[7]);
        assert_eq!((all[0].max_steps, all[0].val_every, all[0].threads), (81, 3, 1));
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_its_name() {
        let (task, lr) = ("task = \"classify-sequence\"", "lr = [0.1, 0.01]");
        let cases = [
            (space("trials = 3", task, lr), "missing field `steps`"),
            (space("steps = 0", task, lr), "must be at least 1"),
            (space("steps = 10", task, ""), "nothing to search"),
            (space("steps = 10", task, "lrr = [1]"), "did you mean `lr`"),
            (space("steps = 10", task, "epochs = [1]"), "decided by the search"),
            (space("steps = 10", task, "units = [\"word\"]"), "units"),
            (space("steps = 10", task, "lr = { low = 1, high = 0.1 }"), "a low below its high"),
            (space("steps = 10", task, "lr = { low = 0, high = 1, log = true }"), "above 0"),
            (space("steps = 10", task, "lr = { low = 0.1, hi = 1 }"), "has a hi"),
            (space("steps = 10", task, "lr = []"), "lists nothing"),
            (space("steps = 10", task, "lr = 0.1"), "must be a list"),
            (space("steps = 10", task, "hidden = [\"many\"]"), "hidden"),
            (space("steps = 10", "task = \"classify-sequence\"\nlr = 0.1", lr), "in [settings] and in [space]"),
            (space("steps = 10", "task = \"none\"", lr), "must be one of"),
            (Space::parse("[search]\nsteps = 1", "x.toml".as_ref()), "has no table [settings]"),
            (Space::parse("[search\n", "x.toml".as_ref()), "line 1"),
        ];
        for (case, want) in cases {
            let said = case.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(want), "{want}: {said}");
        }
    }
}
