//! `elman sample`: writes text, streamed to standard output token by token.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use elman::Error;
use elman::decode::{BeamConfig, SamplerConfig};
use elman::file;
use elman::settings::ConfigFile;
use elman::step::Network;
use elman::task::language_model::{self, generate::Writer};
use elman::train::run_folder::{self, BEST, CONFIG};

use super::models::load;
use crate::args::Sample;
use crate::exit_code::{Failure, Outcome, stdout};

pub(crate) fn run(args: Sample) -> Outcome {
    let sampler =
        SamplerConfig { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p, min_p: args.min_p };
    sampler.validate()?;
    let path = match &args.model {
        Some(path) => path.clone(),
        None => latest(Path::new("runs"))?,
    };
    let loaded = load(&path)?;
    let vocab = language_model::vocab(&loaded)?;
    let network = Network::read(&loaded.document, loaded.document.precision()).map_err(|error| loaded.error(error))?;
    let seed = args
        .seed
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64));
    let mut writer = Writer::new(network, vocab, sampler, seed)?;
    if args.interactive {
        return interact(&mut writer, &args);
    }
    let prompt = match &args.prompt_file {
        Some(file) => file::read(file)?,
        None => args.prompt.clone().into_bytes(),
    };
    let skipped = writer.read(&prompt, args.skip_unseen)?;
    if skipped > 0 {
        eprintln!("left out {skipped} tokens of the prompt that the model does not know");
    }
    let mut out = io::stdout().lock();
    stdout(out.write_all(&prompt))?;
    if let Some(beam) = args.beam {
        let config = BeamConfig { beam, no_repeat_ngram: args.no_repeat_ngram, ..BeamConfig::default() };
        stdout(out.write_all(writer.search(args.length, &args.stop, &config)?.as_bytes()))?;
    } else {
        stream(&mut writer, &args, &mut out)?;
    }
    stdout(out.write_all(b"\n").and_then(|()| out.flush()))?;
    Ok(0)
}

fn stream(writer: &mut Writer, args: &Sample, out: &mut impl Write) -> Result<(), Failure> {
    let mut wrote = Ok(());
    writer.write(args.length, &args.stop, |piece| {
        wrote = out.write_all(piece.as_bytes()).and_then(|()| out.flush());
        wrote.is_ok()
    })?;
    stdout(wrote)
}

/// Each line typed is read, line end included; then the model goes on. The state is kept between lines.
fn interact(writer: &mut Writer, args: &Sample) -> Outcome {
    let mut out = io::stdout().lock();
    writer.read(args.prompt.as_bytes(), args.skip_unseen)?;
    eprintln!("type a line and the model goes on from it; an empty line lets it go on, Ctrl-D ends");
    let mut line = Vec::new();
    let mut input = io::stdin().lock();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::Stream("read from", error))? == 0 {
            return Ok(0);
        }
        let text = if line == b"\n" { &[][..] } else { &line[..] };
        if let Err(error) = writer.read(text, args.skip_unseen) {
            eprintln!("{error}");
            continue;
        }
        stream(writer, args, &mut out)?;
        stdout(out.write_all(b"\n").and_then(|()| out.flush()))?;
    }
}

/// The newest best model of a language model below `runs`.
fn latest(runs: &Path) -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(runs).ok().into_iter().flatten().filter_map(Result::ok);
    let newest = entries
        .filter_map(|entry| {
            let path = entry.path().join(BEST);
            Some((std::fs::metadata(&path).ok()?.modified().ok()?, path))
                .filter(|_| is_of_a_text(&entry.path()).unwrap_or(false))
        })
        .max();
    newest.map(|(_, path)| path).ok_or_else(|| {
        let message = "there is no run here of a language model; train one with `elman train`, or name a model file";
        Error::Usage(message.into()).into()
    })
}

/// Whether a folder is the run of a language model.
fn is_of_a_text(folder: &Path) -> elman::Result<bool> {
    let config = ConfigFile::parse(&run_folder::config(folder)?, &folder.join(CONFIG))?;
    Ok(config.task().is_none_or(|task| task == language_model::TASK.name))
}
