//! The library's settings as flags and environment variables: one word list.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use elman::task::{KEYS, Settings};

/// What was given on the command line or in the environment: key and text.
#[derive(Debug, Default)]
pub(crate) struct SettingArgs(pub(crate) Vec<(&'static str, String)>);

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        let defaults = Settings::default();
        KEYS.iter().filter(|key| key.name != "file").fold(command, |command, key| {
            let default = match defaults.get(key.name) {
                text if text.is_empty() => "none".to_string(),
                text => text,
            };
            let is_switch = matches!(default.as_str(), "true" | "false");
            let arg = Arg::new(key.name)
                .long(key.name.replace('_', "-"))
                .env(format!("ELMAN_{}", key.name.to_uppercase()))
                .hide_env(true)
                .help_heading(key.group)
                .value_name(if is_switch { "BOOL" } else { "VALUE" })
                .allow_negative_numbers(true)
                .help(format!("{} [default: {default}]", key.help.trim()));
            command.arg(if is_switch {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = KEYS.iter().filter(|key| key.name != "file");
        let given = given.filter_map(|key| Some((key.name, matches.get_one::<String>(key.name)?.clone())));
        Ok(SettingArgs(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
