//! The idx files of MNIST and similar data sets: unsigned bytes of any dimensions, plain or gzipped.
//!
//! Format: two zero bytes, a type (8: unsigned bytes), the number of dimensions; each dimension as a big-endian u32;
//! the bytes, the last dimension fastest (LeCun, Cortes & Burges, "The MNIST database", section "File formats").

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::file::{self, fault};

/// The type code of unsigned bytes, and those of the other types.
const UNSIGNED_BYTES: u8 = 0x08;
const TYPES: [(u8, &str); 5] = [
    (0x09, "signed bytes"),
    (0x0b, "16-bit integers"),
    (0x0c, "32-bit integers"),
    (0x0d, "32-bit floats"),
    (0x0e, "64-bit floats"),
];
/// More dimensions than any data set of this format has.
const MAX_DIMENSIONS: u8 = 4;

/// The content of an idx file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Its dimensions; the first counts the items; all are at least 1.
    pub dims: Vec<usize>,
    /// Row-major; as many bytes as the product of `dims`.
    pub data: Vec<u8>,
}

/// Images and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// `[N, height, width]`.
    pub images: Idx,
    /// `[N]`.
    pub labels: Idx,
    /// The file of the labels.
    pub label_file: PathBuf,
}

/// A data set in idx files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// From `train-images*` and `train-labels*`.
    pub train: Labelled,
    /// From `t10k-images*` and `t10k-labels*`.
    pub test: Option<Labelled>,
}

impl Idx {
    /// Reads a file of unsigned bytes, plain or gzipped.
    ///
    /// # Errors
    /// A file that cannot be read, is not an idx file, holds another type, or has a length other than its dimensions.
    pub fn read(path: &Path) -> Result<Idx> {
        let mut stream = file::open(path)?;
        let mut take = |limit: u64, what: &mut Vec<u8>| {
            stream.by_ref().take(limit).read_to_end(what).map_err(|error| file::read_failed(path, error))
        };
        let mut magic = Vec::new();
        take(4, &mut magic)?;
        let [0, 0, kind, count] = magic[..] else {
            return Err(fault(
                path,
                format!("is not an idx file: it begins with {magic:02x?}, not with two zero bytes"),
            ));
        };
        if kind != UNSIGNED_BYTES {
            let reason = match TYPES.iter().find(|(byte, _)| *byte == kind) {
                Some((_, name)) => format!("holds {name}; only unsigned bytes (type 8) are read"),
                None => format!("is not an idx file: its type byte is {kind}"),
            };
            return Err(fault(path, reason));
        }
        if !(1..=MAX_DIMENSIONS).contains(&count) {
            return Err(fault(path, format!("is not an idx file: it claims {count} dimensions")));
        }
        let mut sizes = Vec::new();
        take(4 * u64::from(count), &mut sizes)?;
        if sizes.len() < 4 * usize::from(count) {
            return Err(fault(path, "is cut short within its header; copy or download it again"));
        }
        let sizes = sizes.as_chunks::<4>().0.iter().map(|&bytes| u32::from_be_bytes(bytes));
        let dims: Vec<usize> = sizes.map(|size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
        if dims.contains(&0) {
            return Err(fault(path, format!("is empty: its dimensions are {dims:?}")));
        }
        // Memory grows with the bytes read, never with what the header claims.
        let total = dims.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
        let total = total.filter(|&total| total < u64::MAX && usize::try_from(total).is_ok());
        let total = total.ok_or_else(|| fault(path, format!("has invalid dimensions {dims:?}")))?;
        let mut data = Vec::new();
        take(total + 1, &mut data)?;
        match data.len() as u64 {
            got if got < total => {
                let reason = format!(
                    "is cut short: its dimensions {dims:?} need {total} bytes, {got} are there; copy or download it \
                     again"
                );
                Err(fault(path, reason))
            }
            got if got > total => {
                Err(fault(path, format!("has bytes after the {total} that its dimensions {dims:?} need")))
            }
            _ => Ok(Idx { dims, data }),
        }
    }

    /// `N`, the number of items.
    pub fn len(&self) -> usize {
        self.dims.first().copied().unwrap_or_default()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one item.
    pub fn item_len(&self) -> usize {
        self.dims.iter().skip(1).product()
    }

    /// One item, `[dims[1], dims[2], ..]`.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn item(&self, i: usize) -> &[u8] {
        let len = self.item_len();
        &self.data[i * len..(i + 1) * len]
    }
}

/// What an idx file holds, by its name: `train-images-idx3-ubyte`, `emnist-letters-test-labels-idx1-ubyte.gz`.
struct Name {
    /// What distinguishes data sets in one folder, such as `emnistletters`.
    set: String,
    is_test: bool,
    is_labels: bool,
    path: PathBuf,
}

impl Name {
    fn of(path: &Path) -> Option<Name> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let (is_images, is_labels) = (has(&["images", "idx3"]), has(&["labels", "idx1"]));
        if is_images == is_labels || !(has(&["idx", "ubyte"]) || has(&["train-", "t10k-", "test-"])) {
            return None;
        }
        let words = ["images", "labels", "idx3", "idx1", "ubyte", "train", "t10k", "test"];
        let set = words.iter().fold(name.to_string(), |name, word| name.replace(word, ""));
        let set = set.chars().filter(char::is_ascii_alphanumeric).collect();
        Some(Name { set, is_test: has(&["t10k", "test"]), is_labels, path: path.into() })
    }
}

/// The data set in a folder of idx files as MNIST and its kin name them: `train-images*`, `train-labels*`, `t10k-images*` or
/// `test-images*` with their labels, with what stands before, plain or gzipped. `None` if the folder holds none of them.
///
/// # Errors
/// Images without labels or the reverse, different counts, other dimensions in the test set; several data sets; a file that
/// cannot be read.
pub fn dataset(folder: &Path) -> Result<Option<Dataset>> {
    let entries = std::fs::read_dir(folder).map_err(|error| file::unreadable(folder, error))?;
    let names = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files =
        names.collect::<std::io::Result<Vec<PathBuf>>>().map_err(|error| file::unreadable(folder, error))?;
    // A plain file takes precedence over its compressed copy.
    files.sort();
    let names: Vec<Name> = files.iter().filter(|path| path.is_file()).filter_map(|path| Name::of(path)).collect();
    let mut sets: Vec<&str> = names.iter().map(|name| name.set.as_str()).collect();
    sets.sort_unstable();
    sets.dedup();
    if let [_, _, ..] = sets[..] {
        let reason = format!("holds several data sets ({}); put each into a folder of its own", sets.join(", "));
        return Err(fault(folder, reason));
    }
    let pair = |is_test: bool| {
        let find = |is_labels: bool| names.iter().find(|name| name.is_test == is_test && name.is_labels == is_labels);
        match (find(false), find(true)) {
            (Some(images), Some(labels)) => labelled(&images.path, &labels.path).map(Some),
            (None, None) => Ok(None),
            (Some(there), None) => {
                Err(fault(&there.path, "there is no file of its labels (..-labels-idx1-ubyte) beside it"))
            }
            (None, Some(there)) => {
                Err(fault(&there.path, "there is no file of its images (..-images-idx3-ubyte) beside it"))
            }
        }
    };
    let (train, test) = (pair(false)?, pair(true)?);
    let train = match (train, &test) {
        (Some(train), _) => train,
        (None, Some(_)) => return Err(fault(folder, "holds test images (t10k-images*), but no train-images*")),
        (None, None) => return Ok(None),
    };
    if let Some(test) = &test
        && test.images.dims[1..] != train.images.dims[1..]
    {
        let (want, got) = (&train.images.dims[1..], &test.images.dims[1..]);
        return Err(fault(folder, format!("train images have dimensions {want:?}, test images {got:?}")));
    }
    Ok(Some(Dataset { train, test }))
}

fn labelled(image_file: &Path, label_file: &Path) -> Result<Labelled> {
    let (images, labels) = (Idx::read(image_file)?, Idx::read(label_file)?);
    if images.dims.len() != 3 {
        return Err(fault(image_file, format!("images have 3 dimensions [N, height, width], not {:?}", images.dims)));
    }
    if labels.dims.len() != 1 {
        return Err(fault(label_file, format!("labels have 1 dimension [N], not {:?}", labels.dims)));
    }
    if images.len() != labels.len() {
        let reason =
            format!("holds {} labels, but {} holds {} images", labels.len(), image_file.display(), images.len());
        return Err(fault(label_file, reason));
    }
    Ok(Labelled { images, labels, label_file: label_file.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{gzip, real_data, write};

    fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn mnist_has_its_images_and_the_label_counts_of_its_page() {
        let Some(folder) = real_data("mnist") else { return };
        let mnist = dataset(&folder).unwrap().unwrap();
        let test = mnist.test.unwrap();
        assert_eq!(mnist.train.images.dims, [60_000, 28, 28]);
        assert_eq!(test.images.dims, [10_000, 28, 28]);
        let mut counts = [0; 10];
        test.labels.data.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert_eq!(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
        // The first training image is the well-known five; its mean shows that rows are in order.
        assert_eq!(mnist.train.labels.item(0), [5]);
        let sum: u64 = mnist.train.images.data.iter().map(|&pixel| u64::from(pixel)).sum();
        let mean = sum as f64 / mnist.train.images.data.len() as f64 / 255.0;
        assert!((mean - 0.1307).abs() < 1e-4, "{mean}");
    }

    #[test]
    fn a_data_set_is_found_under_its_usual_names() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(dataset(folder.path()).unwrap(), None);
        write(folder.path(), "train-images.idx3-ubyte", idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]));
        let error = dataset(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no file of its labels"), "{error}");
        write(folder.path(), "train-labels-idx1-ubyte.gz", gzip(&idx(&[2], &[7, 8])));
        let found = dataset(folder.path()).unwrap().unwrap();
        assert_eq!((found.train.images.item(1), found.train.labels.item(1)), (&[4, 5, 6][..], &[8][..]));
        assert_eq!(found.test, None);
        write(folder.path(), "t10k-images-idx3-ubyte", idx(&[1, 3, 1], &[1, 2, 3]));
        write(folder.path(), "t10k-labels-idx1-ubyte", idx(&[1], &[1]));
        let error = dataset(folder.path()).unwrap_err().to_string();
        assert!(error.contains("dimensions [1, 3], test images [3, 1]"), "{error}");
        write(folder.path(), "t10k-labels-idx1-ubyte", idx(&[2], &[1, 2]));
        let error = dataset(folder.path()).unwrap_err().to_string();
        assert!(error.contains("t10k-labels-idx1-ubyte: holds 2 labels") && error.contains("1 images"), "{error}");
    }

    #[test]
    fn a_data_set_of_another_name_is_found_and_several_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "test"] {
            let name = |what: &str| format!("emnist-letters-{part}-{what}-ubyte.gz");
            write(folder.path(), &name("images-idx3"), gzip(&idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6])));
            write(folder.path(), &name("labels-idx1"), gzip(&idx(&[2], &[7, 8])));
        }
        let found = dataset(folder.path()).unwrap().unwrap();
        assert_eq!((found.train.labels.item(1), found.test.unwrap().images.len()), (&[8][..], 2));
        write(folder.path(), "emnist-digits-train-images-idx3-ubyte", idx(&[1, 1, 3], &[1, 2, 3]));
        assert!(dataset(folder.path()).unwrap_err().to_string().contains("emnistdigits, emnistletters"));
    }

    #[test]
    fn damaged_files_are_refused_before_memory_is_allocated() {
        let folder = tempfile::tempdir().unwrap();
        let whole = idx(&[2, 2], &[1, 2, 3, 4]);
        let refusal = |bytes: &[u8]| Idx::read(&write(folder.path(), "i", bytes)).unwrap_err().to_string();
        for cut in 0..whole.len() {
            assert!(refusal(&whole[..cut]).contains(if cut < 4 { "not an idx file" } else { "cut short" }), "at {cut}");
        }
        assert!(refusal(&[&whole[..], &[0]].concat()).contains("bytes after the 4"));
        assert!(refusal(&idx(&[u32::MAX, u32::MAX], &[1])).contains("cut short"));
        assert!(refusal(&idx(&[u32::MAX; 3], &[1])).contains("invalid dimensions"));
        assert!(refusal(&idx(&[0, 5], &[])).contains("is empty"));
        assert!(refusal(&[0, 0, 8, 0]).contains("0 dimensions"));
        assert!(refusal(&[0, 0, 0x0d, 1, 0, 0, 0, 0]).contains("32-bit floats"));
        assert!(refusal(b"PNG?").contains("not an idx file"));
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            let read = Idx::read(&write(folder.path(), "i", flipped));
            assert_eq!(read.is_ok(), at >= 12, "byte {at}, bit {bit}: every bit of the header matters");
        }
        let zipped = gzip(&idx(&[1000], &(0..1000).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()));
        assert!(refusal(&zipped[..zipped.len() - 4]).contains("compressed file is cut short"));
    }
}
