//! `elman predict`: what a model of any task predicts, for arguments, files and standard input.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use elman::Error;
use elman::data::pairs;
use elman::data::table::Table;
use elman::task::{self, Input, Model, Output, Prediction, Reads, Source, Task};

use super::answers::Answers;
use super::attention::Page;
use super::live;
use super::models::open;
use crate::args::{Decoding, Predict};
use crate::exit_code::{Failure, Outcome, said};

/// Lines of a file that are predicted for together.
const AT_ONCE: usize = 1024;
pub(crate) fn run(args: &Predict) -> Outcome {
    let (model, task) = open(&args.model, &args.decoding.ensemble)?;
    let options = options(args, task)?;
    let out = Answers::new(args, model.labels());
    let mut run = Run { args, model: &*model, options, out, page: Page::default() };
    match model.reads() {
        Reads::Texts => run.texts()?,
        Reads::Rows => {
            for table in run.tables()? {
                run.predict(Input::Table(&table), |_| table.path.display().to_string())?;
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
    for (key, text) in [("text_column", &args.columns.text_column), ("header", &args.columns.header)] {
        text.as_ref().map_or(Ok(()), |text| task.check_read(key, text))?;
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
            if let Output::Texts { warning: Some(warning), .. } = &found.output {
                eprintln!("{}: {}", place(i), said(warning));
            }
            self.out.show(found)?;
            self.draw(found)?;
        }
        Ok(())
    }

    /// Draws what a decoder attended to.
    fn draw(&mut self, found: &Prediction) -> Result<(), Failure> {
        let Output::Texts { written, source, .. } = &found.output else { return Ok(()) };
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
            let lines = pairs::read_lines(path)?;
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            return self.chunks(&lines, |i| format!("{}: line {}", path.display(), i + 1));
        }
        if let Some(column) = &args.columns.text_column {
            for table in self.tables()? {
                let column = table.column(column)?;
                let texts: Vec<&str> = table.rows.iter().map(|row| row.cells[column].as_str()).collect();
                self.chunks(&texts, |i| format!("{}: line {}", table.path.display(), table.rows[i].line))?;
            }
            return Ok(());
        }
        if let Some(header) = &args.columns.header {
            return Err(Error::setting("header", header, "is for tables; name the `text_column` to read").into());
        }
        if !self.is_stdin() {
            for (i, text) in args.inputs.iter().enumerate() {
                if text.trim().is_empty() {
                    return Err(Error::Usage(format!("text {}: the text is empty", i + 1)).into());
                }
                self.predict(Input::Texts(&[text]), |_| format!("text {}", i + 1))?;
            }
            return Ok(());
        }
        if io::stdin().is_terminal() {
            eprintln!("type a text and press Enter; Ctrl-D ends");
        }
        let (mut lines, mut bytes) = (live::Lines::of(io::stdin().lock()), Vec::new());
        while lines.next(&mut bytes)? {
            let place = format!("line {}", lines.number);
            let wrong = |what: &str| Error::Data { path: live::STDIN.into(), reason: format!("{place}: {what}") };
            let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8 text"))?.trim_end_matches('\r');
            if text.trim().is_empty() {
                return Err(wrong("the text is empty").into());
            }
            self.predict(Input::Texts(&[text]), |_| place.clone())?;
        }
        Ok(())
    }

    fn chunks(&mut self, texts: &[&str], place: impl Fn(usize) -> String) -> Result<(), Failure> {
        let chunks = texts.chunks(AT_ONCE).enumerate();
        chunks.into_iter().try_for_each(|(n, chunk)| self.predict(Input::Texts(chunk), |i| place(n * AT_ONCE + i)))
    }

    /// The tables named, or that of standard input.
    fn tables(&self) -> Result<Vec<Table>, Failure> {
        let header = self.header();
        if self.is_stdin() {
            let mut bytes = Vec::new();
            let limit = elman::file::max_input();
            let stdin = io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes);
            stdin.map_err(|error| Failure::Stream("read from", error))?;
            if bytes.len() as u64 > limit {
                let reason = format!("holds more than {limit} bytes; `max_input` allows for more");
                return Err(Error::Data { path: live::STDIN.into(), reason }.into());
            }
            return Ok(vec![Table::parse(&bytes, Path::new(live::STDIN), header)?]);
        }
        self.args.inputs.iter().map(|path| Ok(Table::read_with(Path::new(path), header)?)).collect()
    }

    /// Whether tables begin with a header, if that was said.
    fn header(&self) -> Option<bool> {
        self.args.columns.header.as_ref().and_then(|word| match word.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
    }

    fn files(&mut self) -> Result<(), Failure> {
        if self.args.raw {
            return Err(Error::Usage("--raw is for frames on standard input, not for files".into()).into());
        }
        for input in &self.args.inputs {
            let path = Path::new(input);
            let place = |_| input.clone();
            match self.header() {
                None => self.predict(Input::File(path), place)?,
                header => self.predict(Input::Table(&Table::read_with(path, header)?), place)?,
            }
        }
        Ok(())
    }
}
