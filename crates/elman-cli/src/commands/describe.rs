//! What the program says of itself: a config file, completions, manual pages.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use elman::settings::Settings;
use elman::task::Task;

use crate::args::{Args, Init};
use crate::exit_code::{Failure, Outcome, stdout};
use crate::settings_args::preset;

/// `elman init`
pub(crate) fn init(args: &Init) -> Outcome {
    let task = Task::find(&args.task)?;
    let settings = match &args.preset {
        Some(name) => preset(task, name)?,
        None => Settings::for_task(task.name)?,
    };
    stdout(io::stdout().write_all(settings.to_toml()?.as_bytes()))?;
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
            if io::stdout().is_terminal() {
                eprintln!("a page for `man`: elman man | man -l -, or with --out FOLDER one for each command");
            }
            let mut page = Vec::new();
            stdout(clap_mangen::Man::new(command).render(&mut page))?;
            stdout(io::stdout().write_all(&page))?;
        }
    }
    Ok(0)
}
