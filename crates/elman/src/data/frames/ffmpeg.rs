//! Videos of any format, through a child process: `ffmpeg` decodes and gives Y4M, which says size and rate.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};

use super::clip::{Clip, Options};
use super::stream::FrameReader;
use crate::error::Result;
use crate::file::fault;

/// The command, searched for in `PATH`.
pub(super) const PROGRAM: &str = "ffmpeg";
/// Maximum bytes kept of the program's messages.
const MAX_MESSAGES: u64 = 64 << 10;

/// Reads a video through a program that takes `ffmpeg`'s arguments.
///
/// # Errors
/// If it is not installed, does not know the format, or finds the file damaged.
pub(super) fn read(program: &Path, path: &Path, options: &Options) -> Result<Clip> {
    // A file name may look like an option or an address.
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    // The usual video format: the conversion to RGB is ours, as for Y4M files and live streams.
    let pixels = if options.colour { "yuv420p" } else { "gray" };
    let mut command = Command::new(program);
    // A playlist may name what else to read: files, not addresses.
    command.args(["-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i"]).arg(input);
    command.args(["-map", "0:v:0", "-f", "yuv4mpegpipe", "-pix_fmt", pixels, "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => fault(
            path,
            "is not a Y4M, GIF, image or folder of images; other videos are read through ffmpeg, which is not \
             installed: apt install ffmpeg (or brew, winget, dnf), or convert it: ffmpeg -i FILE NEW.y4m",
        ),
        _ => fault(path, format!("cannot run {}: {error}", program.display())),
    })?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(fault(path, format!("cannot read from {}", program.display())));
    };
    // A full pipe of messages would block the frames.
    let messages = std::thread::spawn(move || messages(stderr));
    let mut stream = FrameReader::y4m(stdout, path, options.colour);
    let clip = match &mut stream {
        Ok(stream) => Clip::gather_all(stream, options),
        Err(_) => Err(fault(path, "ffmpeg found no video in it")),
    };
    if clip.is_err() {
        // Before its pipe closes, so that it adds no message of its own. It may have ended already.
        let _ = child.kill();
    }
    drop(stream);
    let status = child.wait().map_err(|error| fault(path, format!("cannot wait for ffmpeg: {error}")))?;
    let messages = messages.join().unwrap_or_default();
    match clip {
        Ok(clip) if status.success() => Ok(clip),
        Ok(_) => Err(fault(path, format!("ffmpeg cannot read it: {}", or_status(&messages, status)))),
        Err(error) if messages.is_empty() => Err(error),
        Err(error) => {
            let error = error.to_string();
            let error = error.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&error);
            Err(fault(path, format!("{error}; ffmpeg says: {messages}")))
        }
    }
}

fn or_status(messages: &str, status: std::process::ExitStatus) -> String {
    if messages.is_empty() { status.to_string() } else { messages.to_string() }
}

/// The last lines of the messages, on one line.
fn messages(mut stderr: ChildStderr) -> String {
    let mut bytes = Vec::new();
    // A failed read of the messages must not lose the frames.
    let _ = stderr.by_ref().take(MAX_MESSAGES).read_to_end(&mut bytes);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// A script still open for writing in another test's child cannot be run: one test at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn without_ffmpeg_the_message_says_what_to_install() {
        let _alone = alone();
        let error = read(Path::new("no-such-ffmpeg"), Path::new("a.mp4"), &Options::default()).unwrap_err().to_string();
        assert!(error.starts_with("a.mp4: ") && error.contains("apt install ffmpeg"), "{error}");
    }

    /// A fake ffmpeg: records its arguments, then runs `does`.
    #[cfg(unix)]
    fn stand_in(folder: &Path, does: &str) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let arguments = folder.join("arguments");
        let script = format!("#!/bin/sh\necho \"$@\" > '{}'\n{does}\n", arguments.display());
        let path = crate::file::write(folder, "ffmpeg", script);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[cfg(unix)]
    #[test]
    fn many_messages_do_not_block_the_frames() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        let noise = "i=0; while [ $i -lt 3000 ]; do echo 'a warning that is repeated very often' >&2; i=$((i+1)); done";
        let video = "printf 'YUV4MPEG2 W2 H1 F25:1 Cmono\\nFRAME\\nabFRAME\\ncd'";
        let program = stand_in(folder.path(), &format!("{noise}\n{video}"));
        let clip = read(&program, Path::new("-walk.mp4"), &Options::default()).unwrap();
        assert_eq!((clip.frames, clip.frame(1), clip.fps), (2, &b"cd"[..], Some(25.0)));
        let arguments = std::fs::read_to_string(folder.path().join("arguments")).unwrap();
        assert!(arguments.contains("-i file:-walk.mp4") && arguments.contains("-pix_fmt gray"), "{arguments}");
        // What a playlist names is no address.
        assert!(arguments.contains("-protocol_whitelist file,pipe -i"), "{arguments}");
    }

    #[cfg(unix)]
    #[test]
    fn ffmpegs_message_about_a_damaged_file_is_reported() {
        let _alone = alone();
        let folder = tempfile::tempdir().unwrap();
        for does in [
            "echo moov atom not found >&2; exit 1",
            "printf 'YUV4MPEG2 W2 H1 Cmono\\nFRAME\\na'; echo moov atom not found >&2",
        ] {
            let program = stand_in(folder.path(), does);
            let error = read(&program, Path::new("a.mp4"), &Options::default()).unwrap_err().to_string();
            assert!(error.starts_with("a.mp4: ") && error.contains("moov atom not found"), "{error}");
        }
        let program = stand_in(folder.path(), "printf 'YUV4MPEG2 W2 H1 Cmono\\nFRAME\\nab'; exit 3");
        let error = read(&program, Path::new("a.mp4"), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
