//! What the program says of itself: a config file, completions, manual pages.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use elman::task::Settings;

use super::Outcome;
use crate::args::{Args, Init};
use crate::exit_code::{Failure, stdout};

/// `elman init`
pub(crate) fn init(args: &Init) -> Outcome {
    let settings = match args.preset.as_str() {
        "default" => Settings::for_task(&args.task)?,
        preset => Settings::preset(preset)?,
    };
    stdout(io::stdout().write_all(settings.to_toml().as_bytes()))?;
    Ok(0)
}

/// `elman completions`
pub(crate) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "elman", &mut script);
    stdout(io::stdout().write_all(&script))?;
    Ok(0)
}

/// `elman man`
pub(crate) fn man(out: Option<&Path>) -> Outcome {
    let command = Args::command();
    match out {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| Failure::write(folder, e))?;
            clap_mangen::generate_to(command, folder).map_err(|e| Failure::write(folder, e))?;
        }
        None => {
            let mut page = Vec::new();
            stdout(clap_mangen::Man::new(command).render(&mut page))?;
            stdout(io::stdout().write_all(&page))?;
        }
    }
    Ok(0)
}
