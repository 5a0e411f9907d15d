//! `elman eval` and `elman predict` for models that write: translations and captions.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use elman::Error;
use elman::data::encoder::Encoder;
use elman::data::{Matrix, file, pairs};
use elman::decode::{BeamConfig, Hypothesis};
use elman::format::model::Loaded;
use elman::task::translate::Written;
use elman::task::{caption, translate};
use serde_json::json;

use super::Outcome;
use super::attention::Page;
use crate::args::{Eval, Predict, Search};
use crate::exit_code::{Failure, stdout};
use crate::progress::Encoding;

/// Lines of a file that are written for together.
const AT_ONCE: usize = 1024;

/// The model's way to search, with what was asked for instead.
fn search(args: &Search, model: &BeamConfig) -> Result<BeamConfig, Failure> {
    let config = BeamConfig {
        beam: args.beam.unwrap_or(model.beam),
        length_penalty: args.length_penalty.unwrap_or(model.length_penalty),
        coverage_penalty: args.coverage_penalty.unwrap_or(model.coverage_penalty),
        no_repeat_ngram: args.no_repeat_ngram.unwrap_or(model.no_repeat_ngram),
        min_length: args.min_length.unwrap_or(model.min_length),
        ..model.clone()
    };
    config.validate()?;
    Ok(config)
}

/// The models that write together with the first.
fn others<T>(args: &Search, read: impl Fn(&Loaded) -> elman::Result<T>) -> Result<Vec<T>, Failure> {
    args.ensemble.iter().map(|path| Ok(read(&super::load(path)?)?)).collect()
}

/// Refuses what is said of a search to a model that does not search.
fn refuse(args: &Search) -> Result<(), Failure> {
    let given = [
        ("ensemble", !args.ensemble.is_empty()),
        ("beam", args.beam.is_some()),
        ("length-penalty", args.length_penalty.is_some()),
        ("coverage-penalty", args.coverage_penalty.is_some()),
        ("no-repeat-ngram", args.no_repeat_ngram.is_some()),
        ("min-length", args.min_length.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            let message = format!("--{flag} is for models that write (translate, caption); this one does not");
            Err(Error::Usage(message).into())
        }
        None => Ok(()),
    }
}

/// Why two models cannot write together.
fn not_together(first: &Path, other: &Path, error: Error) -> Failure {
    Error::Usage(format!("--ensemble {}: with {}: {error}", other.display(), first.display())).into()
}

/// The loss with teacher forcing, as people compare it.
fn perplexity(language: &translate::Language, loss_nats: f64) -> String {
    let (perplexity, unit) = (loss_nats.exp(), language.subwords.unit());
    format!("perplexity {perplexity:.3} per {unit} ({loss_nats:.4} nats), with teacher forcing")
}

/// Measures a model that writes; nothing where the model is of another task.
pub(crate) fn eval(args: &Eval, loaded: &Loaded) -> Result<Option<u8>, Failure> {
    let task = &loaded.document.config()["task"];
    if task == translate::NAME {
        return eval_translate(args, loaded).map(Some);
    }
    if task == caption::NAME {
        return eval_caption(args, loaded).map(Some);
    }
    refuse(&args.search)?;
    Ok(None)
}

/// The model and those that write together with it.
fn together<'m>(
    model: &'m translate::Model,
    others: &'m [translate::Model],
    path: &Path,
    args: &Search,
) -> Result<translate::Writer<'m>, Failure> {
    let mut writer = model.writer();
    for (other, of) in others.iter().zip(&args.ensemble) {
        writer.join(other).map_err(|error| not_together(path, of, error))?;
    }
    Ok(writer)
}

fn eval_translate(args: &Eval, loaded: &Loaded) -> Outcome {
    if args.images.is_some() {
        return Err(Error::Usage("--images is for models that describe; this one translates".into()).into());
    }
    let model = translate::Model::from_file(loaded)?;
    let config = search(&args.search, &model.decoding)?;
    let table = args.file.as_deref().map_or_else(String::new, |path| path.to_string_lossy().into_owned());
    let pairs = translate::read(&args.source, &args.target, &table)?;
    let symbols = translate::PairSymbols::new(&pairs, &model.language)?;
    let others = others(&args.search, translate::Model::from_file)?;
    let writer = together(&model, &others, &args.model, &args.search)?;
    let found = super::eval::pool(args.threads)?.install(|| writer.evaluate(&pairs, &symbols, &config))?;
    if args.json {
        let line = json!({
            "bleu": found.bleu, "chrf": found.chrf, "exact": found.exact, "loss_nats": found.loss_nats,
            "pairs": pairs.len(), "beam": config.beam, "length_penalty": config.length_penalty,
            "models": 1 + others.len(), "signature": found.signature,
        });
        println!("{line}");
        return Ok(0);
    }
    println!("bleu       {:.2}   {}", found.bleu, found.signature);
    println!("chrf       {:.2}", found.chrf);
    println!("exact      {:.2} %", 100.0 * found.exact);
    println!("{}", perplexity(&model.language, found.loss_nats));
    println!("pairs      {}, beam {}, length penalty {}", pairs.len(), config.beam, config.length_penalty);
    Ok(0)
}

/// Checks that each of these models can write together with the first.
fn fit_together(model: &caption::Model, others: &[caption::Model], path: &Path, args: &Search) -> Result<(), Failure> {
    for (other, of) in others.iter().zip(&args.ensemble) {
        model.weighted(std::slice::from_ref(other)).map_err(|error| not_together(path, of, error))?;
    }
    Ok(())
}

fn eval_caption(args: &Eval, loaded: &Loaded) -> Outcome {
    let model = caption::Model::from_file(loaded)?;
    let config = search(&args.search, &model.decoding)?;
    if args.captions.is_empty() || (args.features.is_empty() && args.images.is_none()) {
        let message = "give --captions, a table, and --features, a matrix, or --images, a folder, with --encoder";
        return Err(Error::Usage(message.into()).into());
    }
    let (split, captions) = (if args.split.is_empty() { "test" } else { &args.split }, Path::new(&args.captions));
    let pool = super::eval::pool(args.threads)?;
    let (features, described) = match (&args.images, &args.encoder) {
        (Some(images), Some(encoder)) => {
            let encoder = model.open_encoder(encoder)?;
            let mut encoding = Encoding::new(args.json);
            let mut watch = |done, all| {
                encoding.see(done, all);
                true
            };
            let (encoded, described) =
                pool.install(|| caption::read_images(&encoder, images, captions, split, &mut watch))?;
            eprintln!("{}", encoded.note);
            (encoded.features, described)
        }
        _ => {
            let path = Path::new(&args.features);
            let features = Matrix::read(path)?;
            model.fits(&features, path)?;
            let described = caption::read(&features, captions, split)?;
            (features, described)
        }
    };
    let others = others(&args.search, caption::Model::from_file)?;
    fit_together(&model, &others, &args.model, &args.search)?;
    let networks = model.weighted(&others)?;
    let found = pool.install(|| caption::evaluate(&networks, &model.language, &features, &described, &config))?;
    let [one, two, three, four] = found.bleu;
    if args.json {
        let line = json!({
            "bleu1": one, "bleu2": two, "bleu3": three, "bleu4": four, "loss_nats": found.loss_nats,
            "rows": described.len(), "length": found.length, "beam": config.beam,
            "length_penalty": config.length_penalty, "models": 1 + others.len(),
        });
        println!("{line}");
        return Ok(0);
    }
    println!("bleu1..4   {one:.2} {two:.2} {three:.2} {four:.2}, tokenised as in the caption papers");
    println!("{}", perplexity(&model.language, found.loss_nats));
    println!("rows       {}, {:.1} symbols written for each", described.len(), found.length);
    println!("search     beam {}, length penalty {}", config.beam, config.length_penalty);
    Ok(0)
}

/// Writes with a model that writes; nothing where the model is of another task.
pub(crate) fn predict(args: &Predict, loaded: &Loaded) -> Result<Option<u8>, Failure> {
    let task = &loaded.document.config()["task"];
    if task == translate::NAME {
        return predict_translate(args, loaded).map(Some);
    }
    if task == caption::NAME {
        return predict_caption(args, loaded).map(Some);
    }
    refuse(&args.search)?;
    if args.source.is_some() || args.scores || args.nbest != 1 {
        let message =
            "--source, --scores and --nbest are for models that write (translate, caption); this one does not";
        return Err(Error::Usage(message.into()).into());
    }
    Ok(None)
}

fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    stdout(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// The hypotheses for one input in the form that was asked for.
fn show(args: &Predict, input: &str, found: &[Written]) -> Result<(), Failure> {
    if args.json {
        let all = found
            .iter()
            .map(|w| json!({"text": w.text, "log_prob": w.hypothesis.log_prob, "score": w.hypothesis.score}));
        let best = found.first().map(|w| w.text.as_str());
        return line(&json!({"input": input, "text": best, "nbest": all.collect::<Vec<_>>()}).to_string());
    }
    for written in found {
        let text = &written.text;
        match args.scores {
            true => line(&format!("{:.4}\t{:.4}\t{text}", written.hypothesis.score, written.hypothesis.log_prob))?,
            false => line(text)?,
        }
    }
    Ok(())
}

fn predict_translate(args: &Predict, loaded: &Loaded) -> Outcome {
    let model = translate::Model::from_file(loaded)?;
    let mut config = search(&args.search, &model.decoding)?;
    config.nbest = args.nbest;
    config.keep_attention = args.attention.is_some();
    config.validate()?;
    if args.encoder.is_some() {
        return Err(
            Error::Usage("--encoder is for models that describe photographs; this one translates".into()).into()
        );
    }
    let others = others(&args.search, translate::Model::from_file)?;
    let writer = together(&model, &others, &args.model, &args.search)?;
    let warn = |text: &str, place: &str| -> Result<(), Failure> {
        if let Some(symbols) = model.language.excess(text)? {
            eprintln!("{place} has {symbols} symbols; the first {} are read", translate::MAX_SOURCE);
        }
        Ok(())
    };
    let mut page = Page::default();
    let mut answered = |text: &str, found: &[Written]| -> Result<(), Failure> {
        show(args, text, found)?;
        if let Some(best) = found.first().filter(|_| args.attention.is_some()) {
            let mut source: Vec<String> =
                model.language.source(text)?.iter().map(|&symbol| model.language.subwords.name(symbol)).collect();
            // The last symbol is the end.
            source.pop();
            page.translation(text, &source, &words(&model.language, &best.hypothesis));
        }
        Ok(())
    };
    if let Some(path) = &args.source {
        let texts = pairs::read_lines(path)?;
        for (i, part) in texts.chunks(AT_ONCE).enumerate() {
            for (j, text) in part.iter().enumerate() {
                warn(text, &format!("{}: line {}", path.display(), i * AT_ONCE + j + 1))?;
            }
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            for (text, found) in part.iter().zip(writer.write(&part, &config)?) {
                answered(text, &found)?;
            }
        }
        args.attention.as_deref().map_or(Ok(()), |to| page.write(to))?;
        return Ok(0);
    }
    let mut answer = |text: &str, place: &str| -> Result<(), Failure> {
        warn(text, place)?;
        answered(text, &writer.write(&[text], &config)?[0])
    };
    if !args.inputs.is_empty() && args.inputs != ["-"] {
        for (i, text) in args.inputs.iter().enumerate() {
            let place = format!("text {}", i + 1);
            if text.trim().is_empty() {
                return Err(Error::Usage(format!("{place}: the text is empty")).into());
            }
            answer(text, &place)?;
        }
        args.attention.as_deref().map_or(Ok(()), |to| page.write(to))?;
        return Ok(0);
    }
    if io::stdin().is_terminal() {
        eprintln!("type a text and press Enter; Ctrl-D ends");
    }
    for (i, bytes) in io::stdin().lock().split(b'\n').enumerate() {
        let bytes = bytes.map_err(|e| Failure::Stream("read from", e))?;
        let place = format!("line {}", i + 1);
        let wrong = |what: &str| Error::Data { path: "standard input".into(), reason: format!("{place}: {what}") };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8 text"))?.trim_end_matches('\r');
        if text.trim().is_empty() {
            return Err(wrong("the text is empty").into());
        }
        answer(text, &place)?;
    }
    args.attention.as_deref().map_or(Ok(()), |to| page.write(to))?;
    Ok(0)
}

fn predict_caption(args: &Predict, loaded: &Loaded) -> Outcome {
    if args.source.is_some() {
        return Err(
            Error::Usage("--source is for models that translate; name the features behind the model".into()).into()
        );
    }
    let model = caption::Model::from_file(loaded)?;
    let mut config = search(&args.search, &model.decoding)?;
    config.nbest = args.nbest;
    config.keep_attention = args.attention.is_some();
    config.validate()?;
    if args.inputs.is_empty() {
        let message =
            "name photographs, with --encoder, or a matrix of features (.npy, .safetensors) with a row for each";
        return Err(Error::Usage(message.into()).into());
    }
    let places = model.network.config().places;
    if args.attention.is_some() && places == 1 {
        let message = "--attention: the model sees a picture as one vector and looks at no place; train it on a map, with \
                       --encoder-output";
        return Err(Error::Usage(message.into()).into());
    }
    let is_matrix = |input: &String| Path::new(input).extension().is_some_and(|e| e == "npy" || e == "safetensors");
    let photograph = args.inputs.iter().find(|input| !is_matrix(input));
    let encoder = match (photograph, &args.encoder) {
        (Some(_), Some(path)) => Some(model.open_encoder(path)?),
        (Some(input), None) => {
            let which = model.encoder.as_ref().map_or("an .onnx file".into(), |id| format!("{id}, as in training"));
            return Err(Error::Usage(format!("{input}: a photograph needs --encoder: {which}")).into());
        }
        (None, Some(_)) => {
            return Err(Error::Usage("--encoder is for photographs; these inputs are ready features".into()).into());
        }
        (None, None) => None,
    };
    let others = others(&args.search, caption::Model::from_file)?;
    fit_together(&model, &others, &args.model, &args.search)?;
    let mut page = Page::default();
    let mut answer = |name: &str, found: &[Written], photograph: Option<(&[u8], &Path, &Encoder)>| {
        show(args, name, found)?;
        let Some(best) = found.first().filter(|_| args.attention.is_some()) else { return Ok(()) };
        let words = words(&model.language, &best.hypothesis);
        page.caption(name, &words, encoder.as_ref().and_then(Encoder::grid), photograph)
    };
    for input in &args.inputs {
        let path = Path::new(input);
        match encoder.as_ref().filter(|_| !is_matrix(input)) {
            Some(encoder) => {
                let bytes = file::read(path)?;
                let features = encoder.features(&bytes, path)?;
                answer(input, &model.write_with(&others, &[&features], &config)?[0], Some((&bytes, path, encoder)))?;
            }
            None => {
                let features = Matrix::read(path)?;
                model.fits(&features, path)?;
                let rows: Vec<&[f32]> = (0..features.rows()).map(|row| features.row(row)).collect();
                for (row, found) in model.write_with(&others, &rows, &config)?.iter().enumerate() {
                    answer(&format!("{input}:{row}"), found, None)?;
                }
            }
        }
    }
    args.attention.as_deref().map_or(Ok(()), |to| page.write(to))?;
    Ok(0)
}

/// The words of a hypothesis with where the model looked as it wrote them: the mean over a word's symbols.
fn words(language: &translate::Language, hypothesis: &Hypothesis) -> Vec<(String, Vec<f32>)> {
    let names = hypothesis.tokens.iter().map(|&token| language.subwords.name(token));
    let mut words: Vec<(String, Vec<f32>, f32)> = Vec::new();
    for (name, attention) in names.zip(&hypothesis.attention) {
        match words.last_mut() {
            // A symbol without a blank goes on with the word, unless it is a mark.
            Some((word, sum, n)) if !name.starts_with('▁') && name.starts_with(char::is_alphanumeric) => {
                word.push_str(&name);
                sum.iter_mut().zip(attention).for_each(|(sum, x)| *sum += x);
                *n += 1.0;
            }
            _ => words.push((name.trim_start_matches('▁').to_string(), attention.clone(), 1.0)),
        }
    }
    words.retain(|(word, ..)| !word.is_empty());
    words.into_iter().map(|(word, sum, n)| (word, sum.iter().map(|x| x / n).collect())).collect()
}
