//! Data sets of clips with a label per frame.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::clip::{Clip, MAX_CLIP_BYTES, Options};
use super::labels::{self, ClipLabels};
use crate::data::{Split, images, natural};
use crate::error::{Error, Result};
use crate::file::{self, fault};

/// Longest name in an archive.
const MAX_NAME_BYTES: u64 = 1 << 16;
/// The label file beside the clips.
const LABELS: &str = "labels.tsv";
/// The classes, one per line; optional.
const VOCAB: &str = "vocab.txt";
/// Archives of clips, each a strip of frames.
const ARCHIVES: [&str; 2] = ["clips.tar", "clips.tar.gz"];
/// Extensions of files that are not clips.
const NO_CLIPS: [&str; 7] = ["txt", "md", "tsv", "csv", "json", "jsonl", "pdf"];

/// A clip and the label of each frame.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledClip {
    /// The frames.
    pub clip: Clip,
    /// Its split, if the labels say.
    pub split: Option<Split>,
    /// `[T]`, indices into [`LabelledClips::classes`].
    pub labels: Vec<usize>,
    /// The line in the label file.
    pub line: usize,
}

/// Clips of one frame size with a label per frame.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledClips {
    /// In the order of the label file; at least one.
    pub clips: Vec<LabelledClip>,
    /// The classes' names: the lines of `vocab.txt`, else those that occur, sorted.
    pub classes: Vec<String>,
    /// The label file.
    pub label_file: PathBuf,
}

impl LabelledClips {
    /// Whether a folder holds such a data set: `labels.tsv` is there.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(LABELS).is_file()
    }

    /// Reads a folder with `labels.tsv` (columns id, split if there is one, labels as runs `name:count ..` or one name
    /// per frame) and optionally `vocab.txt` (the classes, one per line). The clips are in `clips.tar`, one image of
    /// vertically stacked frames each, or are the other files and folders there: whatever [`Clip::read`] reads, named
    /// by id.
    ///
    /// # Errors
    /// With file and line: a clip without labels, labels without a clip or of another length, an unknown class or
    /// split; frame sizes that differ between clips; a file that is damaged.
    pub fn read(folder: &Path, options: &Options) -> Result<LabelledClips> {
        let label_file = folder.join(LABELS);
        let labels = labels::read(&label_file)?;
        let classes = classes(folder, &labels)?;
        let index: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let archive = ARCHIVES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let clips = match archive {
            Some(archive) => from_archive(&archive, &label_file, &labels, options)?,
            None => from_folder(folder, &label_file, &labels, options)?,
        };
        let first = labels.first().zip(clips.first());
        for (of, clip) in labels.iter().zip(&clips) {
            if clip.frames != of.frames {
                let reason = format!(
                    "line {}: the clip {:?} has {} frames, but labels for {}",
                    of.line, of.id, clip.frames, of.frames
                );
                return Err(fault(&label_file, reason));
            }
            if let Some((first, size)) = first
                && (clip.width, clip.height) != (size.width, size.height)
            {
                let reason = format!(
                    "line {}: the frames of {:?} are {} x {}, those of {:?} {} x {}; make all clips one size",
                    of.line, of.id, clip.width, clip.height, first.id, size.width, size.height
                );
                return Err(fault(&label_file, reason));
            }
        }
        let labelled = |(of, clip): (&ClipLabels, Clip)| {
            let frames = of.runs.iter().flat_map(|(name, count)| std::iter::repeat_n(index[name.as_str()], *count));
            LabelledClip { clip, split: of.split, labels: frames.collect(), line: of.line }
        };
        let clips = labels.iter().zip(clips).map(labelled).collect();
        Ok(LabelledClips { clips, classes, label_file })
    }
}

/// The lines of `vocab.txt`, else the names that occur, sorted.
fn classes(folder: &Path, labels: &[ClipLabels]) -> Result<Vec<String>> {
    let path = folder.join(VOCAB);
    if !path.is_file() {
        let names: BTreeSet<&String> = labels.iter().flat_map(|of| of.runs.iter().map(|(name, _)| name)).collect();
        return Ok(names.into_iter().cloned().collect());
    }
    let bytes = file::read(&path)?;
    let text = file::Encoding::default().decode(&bytes, &path)?;
    let classes: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
    let mut seen = HashMap::new();
    for (i, class) in classes.iter().enumerate() {
        if class.is_empty() {
            return Err(fault(&path, format!("line {} is empty; each line names a class", i + 1)));
        }
        if let Some(first) = seen.insert(class.as_str(), i + 1) {
            return Err(fault(&path, format!("line {}: {class:?} is already in line {first}", i + 1)));
        }
    }
    for of in labels {
        if let Some((name, _)) = of.runs.iter().find(|(name, _)| !seen.contains_key(name.as_str())) {
            let reason = format!("line {}: the class {name:?} is not in {}", of.line, path.display());
            return Err(fault(&folder.join(LABELS), reason));
        }
    }
    Ok(classes)
}

fn no_clip(label_file: &Path, of: &ClipLabels, parent: &Path) -> Error {
    fault(label_file, format!("line {}: there is no clip {:?} in {}", of.line, of.id, parent.display()))
}

fn no_labels(path: &Path, id: &str, label_file: &Path) -> Error {
    let reason = format!("the clip {id:?} has no labels in {}; add a line or remove the clip", label_file.display());
    fault(path, reason)
}

/// Strips of frames in an archive, in the order of the labels. The number of labels
/// gives the height of a frame.
fn from_archive(archive: &Path, label_file: &Path, labels: &[ClipLabels], options: &Options) -> Result<Vec<Clip>> {
    let index: HashMap<&str, usize> = labels.iter().enumerate().map(|(i, of)| (of.id.as_str(), i)).collect();
    let mut clips: Vec<Option<Clip>> = vec![None; labels.len()];
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => fault(archive, "the archive is cut short; copy or download it again"),
        _ => fault(archive, format!("the archive cannot be read: {error}")),
    };
    let mut tar = tar::Archive::new(file::open(archive)?);
    let mut long_name: Option<PathBuf> = None;
    // Raw: the names that long ones are stored as are entries of their own, whose lengths are what the archive claims.
    for entry in tar.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_sparse() {
            return Err(fault(archive, "holds an entry that is sparse or too large"));
        }
        if kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
        {
            if entry.size() > MAX_NAME_BYTES {
                return Err(fault(archive, format!("claims a name of {} bytes", entry.size())));
            }
            if kind.is_gnu_longname() {
                let mut name = Vec::new();
                entry.read_to_end(&mut name).map_err(failed)?;
                let name = String::from_utf8_lossy(&name);
                long_name = Some(PathBuf::from(name.trim_end_matches('\0')));
            } else if kind.is_pax_local_extensions() {
                for extension in entry.pax_extensions().map_err(failed)?.into_iter().flatten() {
                    let extension = extension.map_err(failed)?;
                    match extension.key_bytes() {
                        b"path" => {
                            long_name = Some(PathBuf::from(String::from_utf8_lossy(extension.value_bytes()).as_ref()))
                        }
                        // Files of more than 8 GiB, and holes: not clips.
                        b"size" | b"GNU.sparse.name" => {
                            return Err(fault(archive, "holds an entry that is sparse or too large"));
                        }
                        _ => {}
                    }
                }
            }
            continue;
        }
        let name =
            long_name.take().map_or_else(|| entry.path().map(std::borrow::Cow::into_owned), Ok).map_err(failed)?;
        if !kind.is_file() {
            continue;
        }
        let hidden = natural::name(&name).starts_with('.');
        if hidden || !images::is_image(&name) {
            continue;
        }
        let within = archive.join(&name);
        let id = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some(&i) = index.get(id.as_str()) else { return Err(no_labels(&within, &id, label_file)) };
        if clips[i].is_some() {
            return Err(fault(&within, format!("the clip {id:?} occurs twice in the archive")));
        }
        let size = entry.size();
        if size > MAX_CLIP_BYTES as u64 {
            return Err(fault(&within, format!("claims {size} bytes, more than a clip may have")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if (bytes.len() as u64) < size {
            return Err(fault(archive, format!("the archive is cut short within {}", name.display())));
        }
        let strip = images::decode(&bytes, &within, !options.colour)?;
        let frames = labels[i].frames;
        if !strip.height.is_multiple_of(frames) {
            let reason = format!(
                "line {}: {frames} labels do not divide the clip {id:?}, a strip of {} x {}, into frames",
                labels[i].line, strip.width, strip.height
            );
            return Err(fault(label_file, reason));
        }
        clips[i] = Some(Clip::from_strip(&strip, strip.width, strip.height / frames, &within, options)?);
    }
    let found = clips.into_iter().zip(labels);
    found.map(|(clip, of)| clip.ok_or_else(|| no_clip(label_file, of, archive))).collect()
}

/// The files and folders beside the labels, in the order of the labels.
fn from_folder(folder: &Path, label_file: &Path, labels: &[ClipLabels], options: &Options) -> Result<Vec<Clip>> {
    let is_clip = |path: &PathBuf| {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        path.is_dir() || !NO_CLIPS.contains(&end.as_str()) && !natural::name(path).to_uppercase().starts_with("README")
    };
    let entries: Vec<PathBuf> = natural::entries(folder)?.into_iter().filter(is_clip).collect();
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, path) in entries.iter().enumerate() {
        let name = natural::name(path);
        let stem = if path.is_dir() { None } else { path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) };
        if let Some(stem) = stem.filter(|stem| *stem != name) {
            by_name.entry(stem).or_default().push(i);
        }
        // A full name takes precedence over names without extension.
        by_name.entry(name).or_default().insert(0, i);
    }
    let mut used = vec![false; entries.len()];
    let mut paths = Vec::with_capacity(labels.len());
    for of in labels {
        let found = by_name.get(&of.id).map_or(&[][..], |found| found);
        let i = match found {
            [] => return Err(no_clip(label_file, of, folder)),
            [one] => *one,
            [whole, ..] if natural::name(&entries[*whole]) == of.id => *whole,
            [a, b, ..] => {
                let (a, b) = (natural::name(&entries[*a]), natural::name(&entries[*b]));
                let reason = format!("line {}: {:?} may be {a} or {b}; write the full name", of.line, of.id);
                return Err(fault(label_file, reason));
            }
        };
        if used[i] {
            let reason = format!("line {}: the clip {:?} already has labels under another name", of.line, of.id);
            return Err(fault(label_file, reason));
        }
        used[i] = true;
        paths.push(&entries[i]);
    }
    if let Some(i) = used.iter().position(|used| !used) {
        return Err(no_labels(&entries[i], &natural::name(&entries[i]), label_file));
    }
    // Decoding takes longest: all cheaper checks come before it.
    let read = |(path, of): (&PathBuf, &ClipLabels)| {
        let clip = Clip::read(path, options)?;
        Ok(Clip { id: of.id.clone(), ..clip })
    };
    paths.into_iter().zip(labels).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::images::made::{gif, png};
    use super::*;
    use crate::file::{real_data, write};

    fn read(folder: &Path) -> Result<LabelledClips> {
        LabelledClips::read(folder, &Options::default())
    }

    fn refusal(folder: &Path) -> String {
        read(folder).unwrap_err().to_string()
    }

    fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, &bytes[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn the_grid_clips_match_their_published_statistics() {
        let Some(folder) = real_data("grid_lip") else { return };
        let grid = read(&folder).unwrap();
        let count = |split| grid.clips.iter().filter(|clip| clip.split == Some(split)).count();
        assert_eq!((count(Split::Train), count(Split::Dev), count(Split::Test)), (800, 100, 100));
        assert_eq!((grid.classes.len(), grid.classes[0].as_str()), (52, "sil"));
        assert_eq!(grid.clips.iter().filter(|clip| clip.clip.frames == 74).count(), 5);
        let frames: usize = grid.clips.iter().map(|clip| clip.labels.len()).sum();
        let silent = grid.clips.iter().flat_map(|clip| &clip.labels).filter(|&&label| label == 0).count();
        assert_eq!((frames, silent * 1000 / frames), (74_995, 508));
        assert!(grid.clips.iter().all(|clip| (clip.clip.width, clip.clip.height, clip.clip.channels) == (48, 32, 1)));
        // The numbers in the last column match the runs.
        let table = crate::data::table::Table::read(&folder.join(LABELS)).unwrap();
        for (clip, row) in grid.clips.iter().zip(table.rows.iter()) {
            let numbers: Vec<usize> = row.cell(5).split(' ').map(|number| number.parse().unwrap()).collect();
            assert_eq!((&clip.clip.id, &clip.labels), (&row.cell(0).to_string(), &numbers));
        }
    }

    #[test]
    fn strips_in_an_archive_are_split_by_the_number_of_labels() {
        let folder = tempfile::tempdir().unwrap();
        let strips = [("b.png", png(4, 6, 20)), ("a.png", png(4, 9, 10)), (".x.png", vec![]), ("notes.txt", vec![1])];
        write(folder.path(), "clips.tar", tar(&strips));
        write(folder.path(), LABELS, "id\tsplit\tlabels\na\ttrain\tx:2 y:1\nb\ttest\ty:2\n");
        let found = read(folder.path()).unwrap();
        assert_eq!(found.classes, ["x", "y"]);
        let [a, b] = &found.clips[..] else { panic!("{found:?}") };
        assert_eq!((a.clip.id.as_str(), a.clip.frames, a.clip.height, &a.labels[..]), ("a", 3, 3, &[0, 0, 1][..]));
        assert_eq!((b.clip.frames, b.clip.frame(1)[0], b.split), (2, 20, Some(Split::Test)));

        write(folder.path(), VOCAB, "y\nz\nx\n");
        assert_eq!(read(folder.path()).unwrap().clips[0].labels, [2, 2, 0]);
        write(folder.path(), VOCAB, "y\nz\n");
        assert!(refusal(folder.path()).contains("labels.tsv: line 2: the class \"x\" is not in"));
        write(folder.path(), VOCAB, "y\nx\ny\n");
        assert!(refusal(folder.path()).contains("vocab.txt: line 3: \"y\" is already in line 1"));
    }

    #[test]
    fn long_names_in_an_archive_are_read_and_those_without_end_refused() {
        let folder = tempfile::tempdir().unwrap();
        let id = "n".repeat(120);
        let path = format!("{}/{id}.png", "folder".repeat(20));
        let mut builder = tar::Builder::new(Vec::new());
        let strip = png(4, 6, 20);
        let mut header = tar::Header::new_gnu();
        header.set_size(strip.len() as u64);
        builder.append_data(&mut header, &path, &strip[..]).unwrap();
        let mut pax = tar::Header::new_ustar();
        pax.set_size(strip.len() as u64);
        let long = format!("folder/p{id}.png");
        builder.append_pax_extensions([("path", long.as_bytes())]).unwrap();
        pax.set_path("short.png").unwrap();
        pax.set_cksum();
        builder.append(&pax, &strip[..]).unwrap();
        write(folder.path(), "clips.tar", builder.into_inner().unwrap());
        write(folder.path(), LABELS, format!("id\tlabels\n{id}\tx:2 y:1\np{id}\ty:3\n"));
        assert_eq!(read(folder.path()).unwrap().clips.len(), 2);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_path("././@LongLink").unwrap();
        header.set_size(7 << 30);
        header.set_cksum();
        write(folder.path(), "clips.tar", header.as_bytes());
        assert!(refusal(folder.path()).contains("claims a name of 7516192768 bytes"));
    }

    #[test]
    fn labels_and_archives_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let archive = tar(&[("a.png", png(4, 6, 10)), ("b.png", png(4, 6, 20))]);
        write(folder.path(), "clips.tar", &archive);
        let with = |labels: &str| {
            write(folder.path(), LABELS, format!("id\tlabels\n{labels}"));
            refusal(folder.path())
        };
        assert!(with("a\tx:2\n").contains("b.png: the clip \"b\" has no labels"));
        assert!(with("a\tx:2\nb\tx:2\nc\tx:2\n").contains("labels.tsv: line 4: there is no clip \"c\""));
        assert!(with("a\tx:2\nb\tx:4\n").contains("line 3: 4 labels do not divide the clip \"b\", a strip of 4 x 6"));
        let error = with("a\tx:2\nb\tx:3\n");
        assert!(error.contains("line 3: the frames of \"b\" are 4 x 2, those of \"a\" 4 x 3"), "{error}");
        let good = "a\tx:2\nb\tx:2\n";
        let damaged = |bytes: &[u8]| {
            write(folder.path(), "clips.tar", bytes);
            with(good)
        };
        for cut in [520, 580] {
            let error = damaged(&archive[..cut]);
            assert!(error.contains("clips.tar: the archive is cut short within a.png"), "at {cut}: {error}");
        }
        assert!(damaged(&archive[..1100]).contains("clips.tar: the archive"), "{}", damaged(&archive[..1100]));
        assert!(damaged(&tar(&[("a.png", png(4, 6, 1)[..60].to_vec()), ("b.png", png(4, 6, 1))])).contains("a.png: "));
        assert!(damaged(&tar(&[("a.png", png(4, 6, 1)), ("q/a.png", png(4, 6, 1))])).contains("twice"));
        for at in 0..archive.len() {
            let mut flipped = archive.clone();
            flipped[at] ^= 0x80;
            write(folder.path(), "clips.tar", flipped);
            // Some bytes are padding; no other outcome than clips or a message is allowed.
            let _ = read(folder.path());
        }
        assert!(damaged(b"no archive at all").contains("clips.tar: "));
    }

    #[test]
    fn a_folder_of_clips_of_any_kind_is_read_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, "wave.gif", gif(&[(0, 40), (255, 40)]));
        write(path, "walk.1/1.png", png(3, 2, 7));
        write(path, "walk.1/2.png", png(3, 2, 8));
        write(path, "run.y4m", b"YUV4MPEG2 W3 H2 Cmono\nFRAME\n123456");
        write(path, "README", "x");
        write(path, "notes.txt", "x");
        let labels = "id\tsplit\tlabels\nrun.y4m\tdev\tb\nwalk.1\ttrain\ta b\nwave\ttrain\tb:2\n";
        write(path, LABELS, labels);
        let found = read(path).unwrap();
        let ids: Vec<&str> = found.clips.iter().map(|clip| clip.clip.id.as_str()).collect();
        assert_eq!(ids, ["run.y4m", "walk.1", "wave"]);
        assert_eq!((&found.clips[1].labels[..], found.clips[1].clip.frame(1)[0]), (&[0, 1][..], 8));

        write(path, LABELS, labels.replace("b:2", "b:3"));
        assert!(refusal(path).contains("line 4: the clip \"wave\" has 2 frames, but labels for 3"));
        write(path, LABELS, labels.replace("run.y4m\tdev\tb\n", ""));
        assert!(refusal(path).contains("run.y4m: the clip \"run.y4m\" has no labels in"));
        write(path, LABELS, format!("{labels}jump\ttrain\tb\n"));
        assert!(refusal(path).contains("line 5: there is no clip \"jump\" in"));
        write(path, LABELS, format!("{labels}wave.gif\ttrain\tb:2\n"));
        assert!(refusal(path).contains("line 5: the clip \"wave.gif\" already has labels under another name"));
        write(path, LABELS, labels);
        write(path, "wave.y4m", b"YUV4MPEG2 W3 H2 Cmono\nFRAME\n123456");
        assert!(refusal(path).contains("line 4: \"wave\" may be wave.gif or wave.y4m"), "{}", refusal(path));
        std::fs::remove_file(path.join("wave.y4m")).unwrap();
        write(path, "run.y4m", b"YUV4MPEG2 W2 H2 Cmono\nFRAME\n1234");
        assert!(refusal(path).contains("line 3: the frames of \"walk.1\" are 3 x 2, those of \"run.y4m\" 2 x 2"));
        let resized = LabelledClips::read(path, &Options { size: Some((2, 2)), ..Options::default() }).unwrap();
        assert_eq!(resized.clips[1].clip.frame_len(), 4);
    }
}
