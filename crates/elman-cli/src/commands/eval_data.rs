//! The settings that name the data of an evaluation, as the command line gives them.

use elman::Result;
use elman::settings::Settings;
use elman::task::Task;

use crate::args::Columns;

/// The settings that say how a table is read.
const COLUMNS: [&str; 8] = [
    "text_column", "label_column", "sequence_column", "source_column", "target_column", "header", "encoding",
    "skip_bad",
];

/// The settings of columns that were given.
pub(super) fn columns(columns: &Columns) -> impl Iterator<Item = (&'static str, Option<String>)> + use<> {
    let Columns {
        text_column,
        label_column,
        sequence_column,
        source_column,
        target_column,
        header,
        encoding,
        skip_bad,
    } = columns.clone();
    let skip_bad = skip_bad.then(|| "true".to_string());
    let given = [text_column, label_column, sequence_column, source_column, target_column, header, encoding, skip_bad];
    COLUMNS.into_iter().zip(given)
}

/// The settings that name data to evaluate on; what the task does not read for it is refused.
///
/// # Errors
/// [`Error::Unread`]; [`Error::Setting`] for a word that means nothing.
pub(super) fn data(task: &Task, given: impl Iterator<Item = (&'static str, Option<String>)>) -> Result<Settings> {
    let mut settings = Settings::for_task(task.name)?;
    for (key, text) in given.filter_map(|(key, text)| Some((key, text?))) {
        let reads = |task: &Task| task.eval_data.contains(&key) || (COLUMNS.contains(&key) && task.is_read(key));
        task.check(key, &text, reads)?;
        settings.set(key, &text)?;
    }
    Ok(settings)
}
