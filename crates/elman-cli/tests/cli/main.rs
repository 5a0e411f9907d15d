//! The command, from the outside: the built binary in empty folders. One binary of all, since linking each costs more
//! than running it.

mod place;

mod caption;
mod classify;
#[cfg(target_os = "linux")]
mod disk;
mod divergence;
mod examples;
mod forms;
mod going_on;
mod graphs;
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_files;
mod live;
mod look_before;
mod machines;
mod models;
#[cfg(unix)]
mod outputs;
mod page;
mod quantize;
mod report;
mod resume;
#[cfg(unix)]
mod signals;
mod strangers;
mod tensorboard;
#[cfg(target_os = "linux")]
mod terminal;
mod train;
mod translate;
mod tune;
mod unread;
mod wrong_data;
mod wrong_use;
