//! `elman predict`: what a model of any task predicts, for arguments, files and standard input.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use elman::Error;
use elman::data::pairs;
use elman::data::table::{Form, Table};
use elman::file::Encoding;
use elman::metric::Review;
use elman::settings::Settings;
use elman::task::{self, Input, Model, Output, Prediction, Reads, Source, Task};

use super::answers::Answers;
use super::attention::Page;
use super::live;
use super::models::{ANEW, is_builtin, open};
use crate::args::{Columns, Decoding, Predict};
use crate::exit_code::{Failure, Outcome, said};
use crate::progress::shown;

/// Lines of a file that are predicted for together.
const AT_ONCE: usize = 1024;
/// The ends of tables' names.
const TABLES: [&str; 8] = [".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".arff", ".ts"];

pub(crate) fn run(args: &Predict) -> Outcome {
    let (model, task) = open(&args.model, &args.decoding.ensemble)?;
    let options = options(args, task)?;
    let is_asked = !args.inputs.is_empty() || args.source.is_some();
    if !is_asked && io::stdin().is_terminal() | (model.reads() == Reads::Files) && is_builtin(&args.model)? {
        return show(&*model, task);
    }
    let out = Answers::new(args, model.labels());
    let mut run = Run { args, model: &*model, options, out, page: Page::default() };
    match model.reads() {
        Reads::Texts => run.texts()?,
        Reads::Rows => {
            for table in run.tables()? {
                run.rows(&table)?;
            }
        }
        Reads::Files | Reads::Sequences if !run.is_stdin() => run.files()?,
        Reads::Files => return Err(Error::Usage("name the files to predict for, behind the model".into()).into()),
        Reads::Sequences => live::run(model.stream()?, args.raw, &mut run.out)?,
    }
    if let Some(path) = &args.attention {
        run.page.write(path)?;
    }
    Ok(0)
}

/// Shows what a model that was trained on data of the program predicts for some that it has not seen.
fn show(model: &dyn Model, task: &Task) -> Outcome {
    const LINES: usize = 10;
    let settings = Settings { seed: ANEW, ..Settings::for_builtin_data(task.name)? };
    let found = model.evaluate(&settings, &task::Evaluate::default(), &mut |_, _| true)?;
    eprintln!("for data of the program that the model has not seen; name inputs behind the model for your own");
    let review = Review { shown: found.shown, ..Review::default() };
    println!("{}", shown_lines(&review.in_words(LINES)));
    Ok(0)
}

/// Lines that move no cursor.
fn shown_lines(text: &str) -> String {
    text.lines().map(|line| shown(line, usize::MAX)).collect::<Vec<_>>().join("\n")
}

/// The library's options; what the task does not read is refused.
fn options(args: &Predict, task: &Task) -> Result<task::Predict, Error> {
    let Decoding { beam, length_penalty, coverage_penalty, no_repeat_ngram, min_length, .. } = args.decoding;
    let options = task::Predict {
        label_column: args.columns.label_column.clone(),
        sequence_column: args.columns.sequence_column.clone(),
        explain: args.explain.then_some(true),
        nbest: args.nbest,
        attention: args.attention.as_ref().map(|_| true),
        encoder: args.encoder.clone(),
        beam,
        length_penalty,
        coverage_penalty,
        no_repeat_ngram,
        min_length,
    };
    let switch = |name, is_on: bool| is_on.then(|| (name, "true".to_string()));
    let source = args.source.as_ref().map(|path| ("source", path.display().to_string()));
    let more = [switch("scores", args.scores), switch("frames", args.frames), switch("raw", args.raw), source];
    task.check_predict(&options, &more.into_iter().flatten().collect::<Vec<_>>())?;
    let columns = &args.columns;
    let skip_bad = columns.skip_bad.then(|| "true".to_string());
    let forms = [("text_column", &columns.text_column), ("header", &columns.header), ("encoding", &columns.encoding)];
    for (key, text) in forms.into_iter().chain([("skip_bad", &skip_bad)]) {
        text.as_ref().map_or(Ok(()), |text| task.check_read(key, text))?;
    }
    for (key, text) in [("source_column", &columns.source_column), ("target_column", &columns.target_column)] {
        if let Some(text) = text {
            return Err(Error::setting(
                key,
                text,
                "is for training and evaluation; `text_column` names a column of texts here",
            ));
        }
    }
    Ok(options)
}

/// Predictions as they are made and printed.
struct Run<'a> {
    args: &'a Predict,
    model: &'a dyn Model,
    options: task::Predict,
    out: Answers<'a>,
    page: Page,
}

impl Run<'_> {
    fn is_stdin(&self) -> bool {
        self.args.inputs.is_empty() || self.args.inputs == ["-"]
    }

    /// Predicts and prints; `place` says where an input of these stands.
    fn predict(&mut self, input: Input, place: impl Fn(usize) -> String) -> Result<(), Failure> {
        for (i, found) in self.model.predict(input, &self.options)?.iter().enumerate() {
            if let Some(warning) = &found.warning {
                eprintln!("{}: {}", place(i), said(warning));
            }
            self.out.show(found)?;
            self.draw(found)?;
        }
        Ok(())
    }

    /// Predicts for the rows of a table; what is said of one names it.
    fn rows(&mut self, table: &Table) -> Result<(), Failure> {
        for found in &self.model.predict(Input::Table(table), &self.options)? {
            if let Some(warning) = &found.warning {
                eprintln!("{}: {}: {}", table.path.display(), found.input, said(warning));
            }
            self.out.show(found)?;
        }
        Ok(())
    }

    /// Draws what a decoder attended to.
    fn draw(&mut self, found: &Prediction) -> Result<(), Failure> {
        let Output::Texts { written, source } = &found.output else { return Ok(()) };
        let Some(best) = written.first().filter(|_| self.args.attention.is_some()) else { return Ok(()) };
        match source {
            Source::Tokens(tokens) => self.page.translation(&found.input, tokens, &best.words),
            Source::Features { grid, encoder } => {
                let path = Path::new(&found.input);
                let bytes = encoder.as_ref().map(|_| elman::file::read(path)).transpose()?;
                let image = bytes.as_deref().zip(encoder.as_deref()).map(|(bytes, encoder)| (bytes, path, encoder));
                self.page.caption(&found.input, &best.words, *grid, image)?;
            }
        }
        Ok(())
    }

    fn texts(&mut self) -> Result<(), Failure> {
        // What contradicts itself, or the model, is said before any input is read.
        self.model.predict(Input::Texts(&[]), &self.options)?;
        let args = self.args;
        if let Some(path) = &args.source {
            let lines = pairs::read_lines(path, self.form()?.encoding)?;
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            return self.chunks(&lines, |i| format!("{}: line {}", path.display(), i + 1));
        }
        if args.columns.text_column.is_some() {
            return self.tables()?.into_iter().try_for_each(|table| self.column(&table));
        }
        if let Some(header) = &args.columns.header {
            return Err(Error::setting("header", header, "is for tables; name the `text_column` to read").into());
        }
        if !self.is_stdin() {
            for (i, text) in args.inputs.iter().enumerate() {
                let path = Path::new(text);
                if path.is_file() {
                    self.file_of_texts(path)?;
                } else if path.is_dir() {
                    self.folder_of_texts(path)?;
                } else if is_name_of_file(text) {
                    let reason =
                        "there is no such file; a text of its own stands in quotes, with a blank or without an ending";
                    return Err(Error::Data { path: path.into(), reason: reason.into() }.into());
                } else if text.trim().is_empty() {
                    return Err(Error::Usage(format!("text {}: the text is empty", i + 1)).into());
                } else {
                    self.predict(Input::Texts(&[text]), |_| format!("text {}", i + 1))?;
                }
            }
            return Ok(());
        }
        if io::stdin().is_terminal() {
            eprintln!("type a text and press Enter; Ctrl-D ends");
        }
        let (mut lines, mut bytes) = (live::Lines::of(io::stdin().lock()), Vec::new());
        while lines.next(&mut bytes)? {
            let place = format!("line {}", lines.number);
            let text = std::str::from_utf8(&bytes).map(|text| text.trim_end_matches('\r'));
            if lines.number == 1
                && let Some(label) = text.ok().and_then(|text| self.label_beside(text))
            {
                eprintln!(
                    "{}: line 1 holds the label {label:?} in a cell of its own: if it is a table, name its --text-column",
                    live::STDIN
                );
            }
            let why = match text {
                Ok(text) if !text.trim().is_empty() => {
                    self.predict(Input::Texts(&[text]), |_| place.clone())?;
                    continue;
                }
                Ok(_) => "the text is empty",
                Err(_) => "it is not UTF-8 text",
            };
            // One bad line is no reason to leave the others without an answer.
            eprintln!("{}: {place}: {why}", live::STDIN);
            self.out.none(text.unwrap_or_default(), why)?;
        }
        Ok(())
    }

    /// A label that stands beside a text, as in a row of a table.
    fn label_beside<'t>(&self, text: &'t str) -> Option<&'t str> {
        let cells = |sign: char| text.split_once(sign).into_iter().chain(text.rsplit_once(sign));
        let ends = ['\t', ',', ';'].into_iter().flat_map(cells).flat_map(|(a, b)| [a, b]);
        ends.map(str::trim).find(|cell| self.model.labels().iter().any(|label| label == cell))
    }

    /// A file of texts: the text column of a table, or a text on each line.
    fn file_of_texts(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.to_string_lossy().to_lowercase();
        let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        if TABLES.iter().any(|end| name.ends_with(end)) {
            let table = Table::read_with(path, self.form()?)?;
            return self.column(&table);
        }
        let bytes = elman::file::read(path)?;
        let text = self.form()?.encoding.decode(&bytes, path)?;
        if text.starts_with("__label__") {
            return self.column(&Table::parse(&bytes, path, self.form()?)?);
        }
        let lines: Vec<&str> = text.lines().collect();
        self.chunks(&lines, |i| format!("{}: line {}", path.display(), i + 1))
    }

    /// The files of a folder and of those in it, each a text.
    fn folder_of_texts(&mut self, folder: &Path) -> Result<(), Failure> {
        for file in files(folder, &[])? {
            let bytes = elman::file::read(&file)?;
            let text = self.form()?.encoding.decode(&bytes, &file)?;
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            self.chunks(&[line.as_str()], |_| file.display().to_string())?;
        }
        Ok(())
    }

    /// The texts of a table.
    fn column(&mut self, table: &Table) -> Result<(), Failure> {
        let column = match &self.args.columns.text_column {
            Some(name) => table.column(name)?,
            None => table.text_column()?,
        };
        let texts: Vec<&str> = table.rows.iter().map(|row| row.cell(column)).collect();
        self.chunks(&texts, |i| format!("{}: line {}", table.path.display(), table.rows.row(i).line()))
    }

    /// Predicts for many texts, an answer for each: that there is none for a blank one.
    fn chunks(&mut self, texts: &[&str], place: impl Fn(usize) -> String) -> Result<(), Failure> {
        let mut at = 0;
        while at < texts.len() {
            let is_text = |text: &&&str| !text.trim().is_empty();
            let run = texts[at..].iter().take(AT_ONCE).take_while(is_text).count();
            if run > 0 {
                self.predict(Input::Texts(&texts[at..at + run]), |i| place(at + i))?;
                at += run;
            } else {
                eprintln!("{}: the text is empty", place(at));
                self.out.none(texts[at], "the text is empty")?;
                at += 1;
            }
        }
        Ok(())
    }

    /// The tables named, or that of standard input.
    fn tables(&self) -> Result<Vec<Table>, Failure> {
        let form = self.form()?;
        if self.is_stdin() {
            let mut bytes = Vec::new();
            let limit = elman::file::max_input();
            let stdin = io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes);
            stdin.map_err(|error| Failure::Stream("read from", error))?;
            if bytes.len() as u64 > limit {
                let reason = format!("holds more than {limit} bytes; `max_input` allows for more");
                return Err(Error::Data { path: live::STDIN.into(), reason }.into());
            }
            return Ok(vec![Table::parse(&bytes, Path::new(live::STDIN), form)?]);
        }
        self.args.inputs.iter().map(|path| Ok(Table::read_with(Path::new(path), form)?)).collect()
    }

    /// What was said of the form of tables and texts.
    fn form(&self) -> Result<Form, Error> {
        let Columns { header, encoding, skip_bad, .. } = &self.args.columns;
        let header = header.as_ref().and_then(|word| match word.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        });
        let encoding = Encoding::named(encoding.as_deref().unwrap_or_default())?;
        Ok(Form { header, encoding, skip_bad: *skip_bad })
    }

    fn files(&mut self) -> Result<(), Failure> {
        if self.args.raw {
            return Err(Error::Usage("--raw is for frames on standard input, not for files".into()).into());
        }
        for input in &self.args.inputs {
            let path = Path::new(input);
            if path.is_dir() && self.model.reads() == Reads::Files {
                for file in images(path)? {
                    self.predict(Input::File(&file), |_| file.display().to_string())?;
                }
                continue;
            }
            let place = |_| input.clone();
            match self.form()? {
                form if form == Form::default() => self.predict(Input::File(path), place)?,
                form => self.predict(Input::Table(&Table::read_with(path, form)?), place)?,
            }
        }
        Ok(())
    }
}

/// Whether a word is the name of a file rather than a text.
fn is_name_of_file(text: &str) -> bool {
    let ends = TABLES.iter().chain(&[".txt", ".gz", ".zst"]);
    !text.contains(char::is_whitespace) && ends.into_iter().any(|end| text.to_lowercase().ends_with(end))
}

/// The images of a folder and of those in it, in the order of their names.
fn images(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    const ENDS: [&str; 9] = ["png", "jpg", "jpeg", "gif", "bmp", "webp", "pgm", "ppm", "pnm"];
    files(folder, &ENDS)
}

/// The files of a folder and of those in it with these endings, or any, in the order of their names; hidden ones apart.
fn files(folder: &Path, ends: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Io { path: folder.into(), action: "read", source };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        let end = path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
        if path.is_dir() {
            found.extend(files(&path, ends)?);
        } else if ends.is_empty() || ends.contains(&end.as_str()) {
            found.push(path);
        }
    }
    Ok(found)
}
