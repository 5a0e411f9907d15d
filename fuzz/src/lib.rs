//! Every parser of what comes from elsewhere, as a function of bytes: for libFuzzer, and for a plain loop of mutations.
//!
//! A parser may refuse what it likes. It must not panic, hang, or take memory that the bytes do not account for.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use elman::data::frames::{Clip, FrameReader, LabelledClips, Options};
use elman::data::idx::Idx;
use elman::data::table::{Form, Table};
use elman::data::words::{Level, Words};
use elman::data::{Matrix, images, vectors};
use elman::file::Encoding;
use elman::format::model::Loaded;
use elman::format::tensorboard;
use elman::settings::ConfigFile;
use elman::step::model::{Document, checksum};
use elman::task::{self, TASKS};
use elman::train::run_folder::read_metrics;
use elman::{Error, Settings};

mod networks;

pub use networks::{amps, graph, hdf5, keras, map, onnx, pytorch, rnnoise, tensors};
use networks::{
    amp_files, graph_files, hdf5_files, keras_files, map_files, onnx_files, pytorch_files, rnnoise_files, tensor_files,
};

/// A parser, and inputs that it accepts.
pub struct Target {
    /// That of the libFuzzer target.
    pub name: &'static str,
    /// Parses; panics on a defect.
    pub run: fn(&[u8]),
    /// Good inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// Executions take far longer than others.
    pub is_heavy: bool,
}

macro_rules! targets {
    ($($name:ident($is_heavy:literal): $seeds:ident, [$($word:literal),*];)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            run: $name,
            seeds: $seeds,
            words: &[$($word),*],
            is_heavy: $is_heavy,
        }),*];
    };
}

targets! {
    document(false): models, ["\"F32\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "__metadata__", "elman.crc32"];
    model(true): models, [
        "layers", "hidden", "classes", "lookahead", "temperature", "deviation", "network", "reader", "labels",
        "language", "decoding", "padding", "1000000000000", "18446744073709551615", "-1", "1e308", "null", "[]", "{}"
    ];
    table(false): tables, [
        "\t", ",", "\"", "\"\"", "\n", "\r\n", "\r", "{\"", "\":", "[[", "[{", "null", "1e999", ";", "|", "sep=", "#", "\u{feff}", "@data",
        "@attribute", "relational", "@classLabel true", "NA", "1.234,5", "%", "O\n\n"
    ];
    matrix(false): matrices, ["'descr': '<f4'", "'fortran_order': False", "'shape': (", "18446744073709551615", "\"F16\""];
    idx(false): indices, [];
    y4m(false): videos, ["YUV4MPEG2 ", "FRAME\n", " W", " H", " F25:1", " C444", " Cmono", " XCOLORRANGE=FULL"];
    picture(true): pictures, ["IHDR", "IDAT", "iCCP", "PLTE", "GIF89a", "P5 ", "P6 ", "BM"];
    gif(true): animations, ["GIF89a", "NETSCAPE2.0"];
    archive(true): archives, ["ustar", "././@LongLink", "12 path=a\n", "size="];
    vectors(false): word_vectors, ["good", "nan", "inf", "1e999", " "];
    settings(false): configs, [
        "task = ", "hidden = ", "[[", "]]", "inf", "nan", "1_0", "\"\"\"", "''", "true", "translate", "caption"
    ];
    metrics(false): records, ["\"step\":", "\"val\":{", "null", "1e999", "\"grad_norm\":", "\"undefined\":["];
    events(false): event_files, [];
    onnx(true): onnx_files, ["LSTM", "GRU", "MatMul", "Reshape", "Expand", "Constant", "Gather", "If", "Loop", "direction"];
    pytorch(true): pytorch_files, ["torch\nFloatStorage\n", "ccollections\nOrderedDict\n", "PK\u{1}\u{2}", "R", "(", "t", "u."];
    keras(true): keras_files, ["PK\u{3}\u{4}", "class_name", "config", "units", "LSTM", "Lambda", "1000000000"];
    hdf5(true): hdf5_files, ["TREE", "HEAP", "SNOD", "OHDR", "FRHP", "model_config", "lstm"];
    amps(true): amp_files, ["hidden_size", "num_layers", "1e999", "[[", "null", "state_dict", "WaveNet", "1000000000"];
    rnnoise(true): rnnoise_files, ["rnnoise-nu model file version 1\n", " -1", " 127", " 0"];
    tensors(true): tensor_files, ["\"F32\"", "\"shape\"", "\"data_offsets\"", "weight_ih_l0", "_reverse", "18446744073709551615"];
    graph(true): graph_files, ["\"nodes\"", "\"op\"", "\"inputs\"", "1000000000000", "-1", "\"recurrent\"", "reshape", "expand"];
    map(true): map_files, ["kind = ", "conv1d", "stride = ", "[[layer]]", "layout = ", "1000000000", "-1", "concat", "gru"];
}

/// A file in the memory of the machine, where there is such a place.
fn in_a_file(name: &str, data: &[u8], read: impl FnOnce(&Path)) {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, data).expect("a temporary file");
    read(&path);
}

fn folder() -> tempfile::TempDir {
    let shm = PathBuf::from("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a temporary folder")
}

/// A refusal says why.
fn refused(error: &Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 100_000, "a message of {} bytes", text.len());
}

/// The file with the checksum that belongs to it, as one made by hand has.
fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    let mark = b"\"elman.crc32\":\"";
    let at = data.windows(mark.len()).take(1 << 16).position(|window| window == mark)? + mark.len();
    let mut file = data.to_vec();
    file.get_mut(at..at + 8)?.fill(b'0');
    let sum = checksum(&file);
    file.get_mut(at..at + 8)?.copy_from_slice(sum.as_bytes());
    Some(file)
}

/// A model document: header, offsets, checksums.
pub fn document(data: &[u8]) {
    for file in [Some(data.to_vec()), sealed(data)].into_iter().flatten() {
        match Document::parse(&file) {
            Ok(document) => {
                for name in document.names() {
                    let _ = document.tensor(name).map(|tensor| tensor.dims.len());
                    let _ = document.f32(name);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// What a model file says beside its tensors, for every task.
pub fn model(data: &[u8]) {
    let Some(document) = sealed(data).and_then(|file| Document::parse_owned(file).ok()) else { return };
    let loaded = Loaded { path: "model.safetensors".into(), document };
    match task::open_loaded(&loaded) {
        Ok(model) => drop(model.describe()),
        Err(error) => refused(&error),
    }
}

/// Tables of every form, in every encoding.
pub fn table(data: &[u8]) {
    const NAMES: [&str; 8] = ["t.csv", "t.tsv", "t.jsonl", "t", "t.arff", "t.ts", "t.conll", "t.npz"];
    let [kind, form, text @ ..] = data else { return };
    let header = [None, Some(true), Some(false)][usize::from(form % 3)];
    let encoding = ["auto", "cp949", "utf-16le", "cp1252"][usize::from(form / 3 % 4)];
    let encoding = Encoding::named(encoding).expect("an encoding");
    let form = Form { header, encoding, skip_bad: form / 12 % 2 == 1 };
    match Table::parse(text, Path::new(NAMES[usize::from(kind % 8)]), form) {
        Ok(table) => {
            assert!(table.rows.iter().all(|row| row.width() == table.width()));
            let _ = (table.text_and_label(None, None), table.label_column(""), table.list_columns(), table.text_column());
        }
        Err(error) => refused(&error),
    }
}

/// Matrices of features.
pub fn matrix(data: &[u8]) {
    for name in ["m.npy", "m.safetensors"] {
        in_a_file(name, data, |path| match Matrix::read(path) {
            Ok(matrix) => assert!(matrix.values.iter().all(|value| value.is_finite())),
            Err(error) => refused(&error),
        });
    }
}

/// MNIST's format.
pub fn idx(data: &[u8]) {
    in_a_file("t10k-images-idx3-ubyte", data, |path| match Idx::read(path) {
        Ok(idx) => assert!((0..idx.len().min(3)).all(|i| idx.item(i).len() == idx.item_len())),
        Err(error) => refused(&error),
    });
}

/// Raw video.
pub fn y4m(data: &[u8]) {
    for colour in [false, true] {
        match FrameReader::y4m(data, Path::new("v.y4m"), colour) {
            Ok(mut reader) => {
                let mut frame = Vec::new();
                while let Ok(true) = reader.next(&mut frame) {
                    assert_eq!(frame.len(), reader.width() * reader.height() * reader.channels());
                }
            }
            Err(error) => refused(&error),
        }
    }
}

/// Images of all formats.
pub fn picture(data: &[u8]) {
    match images::decode(data, Path::new("picture"), false) {
        Ok(image) => assert_eq!(image.pixels.len(), image.width * image.height * image.channels),
        Err(error) => refused(&error),
    }
}

/// Clips that are animations.
pub fn gif(data: &[u8]) {
    in_a_file("clip.gif", data, |path| {
        if let Err(error) = Clip::read(path, &Options::default()) {
            refused(&error);
        }
    });
}

/// Strips of frames in an archive, with labels.
pub fn archive(data: &[u8]) {
    let folder = folder();
    let (kind, data) = data.split_first().unwrap_or((&0, &[]));
    let name = if kind % 2 == 0 { "clips.tar" } else { "clips.tar.gz" };
    std::fs::write(folder.path().join(name), data).expect("a temporary file");
    std::fs::write(folder.path().join("labels.tsv"), "id\tlabels\na\tx:2 y:1\nb\ty:2\n").expect("a temporary file");
    if let Err(error) = LabelledClips::read(folder.path(), &Options::default()) {
        refused(&error);
    }
}

/// Pretrained word vectors.
pub fn vectors(data: &[u8]) {
    let words = Words::fit(["good bad"].into_iter(), Level::Word, 10, 1, 0).expect("two words");
    in_a_file("vectors.txt", data, |path| {
        let mut table = vec![0.0; 2 * words.len()];
        match vectors::read(path, &words, 2, &mut table) {
            Ok(_) => assert!(table.iter().all(|value| value.is_finite())),
            Err(error) => refused(&error),
        }
    });
}

/// Settings from TOML; what is accepted is written and read again.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |text: &str| ConfigFile::parse(text, Path::new("config.toml"));
    let config = match read(text) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    let task = config.task().unwrap_or(TASKS[0].name).to_string();
    let applied = Settings::for_task(&task).and_then(|settings| config.apply(settings));
    match applied {
        Ok(settings) => {
            // What the task does not read is not written, and refused later.
            let Ok(written) = settings.to_toml() else { return };
            let again = read(&written).and_then(|config| config.apply(Settings::for_task(&task)?)?.to_toml());
            assert_eq!(again.map_err(|error| error.to_string()).as_ref(), Ok(&written));
        }
        Err(error) => refused(&error),
    }
}

/// The metrics of a run.
pub fn metrics(data: &[u8]) {
    in_a_file("metrics.jsonl", data, |path| {
        if let Err(error) = read_metrics(path) {
            refused(&error);
        }
    });
}

/// TensorBoard's file.
pub fn events(data: &[u8]) {
    let _ = tensorboard::read(data);
}

/// The small files of `corpus/`.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}

fn models() -> Vec<Vec<u8>> {
    kept("model")
}

fn tables() -> Vec<Vec<u8>> {
    let texts = [
        "\0\0text,label\n\"so \"\"good\"\"\",pos\nbad,neg\n",
        "\x01\0a\t1\nb\t2\n",
        "\x02\0{\"text\": \"q\\tz\", \"label\": 1.50, \"m\": [1, {\"a\": null}]}\n{\"m\": true, \"text\": \"\"}\n",
        "\x02\0[{\"a\": 1},\n {\"a\": 2, \"b\": \"x\"}]",
        "\x02\0{\"a\": [1, 2], \"b\": {\"0\": 3, \"1\": 4}}",
        "\x03\0one\n\nthree\n",
        "\0\x0dx;y;\n1,5;2;\n1.234,5;-;\n",
        "\0\x0csep=|\n# c\na| \"b\"\n1|$2,000.5\n3\n",
        "\x04\0@relation x\n@attribute 'a b' real\n@attribute c {u,'v w'}\n@data\n1,u\n{0 2, 1 'v w'}\n",
        "\x04\0@relation x\n@attribute r relational\n@attribute a real\n@end r\n@attribute c {u,v}\n@data\n\"1,2\\n3,4\",u\n",
        "\x05\0@problemName x\n@classLabel true a b\n@data\n1,2:3,4:a\n5,?:6,7:b\n",
        "\x06\0EU NNP B-ORG\nsays VBZ O\n\nIt PRP O\n",
    ];
    let mut all: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    all.push([&[7, 0][..], &matrices()[0]].concat());
    all
}

fn matrices() -> Vec<Vec<u8>> {
    let mut header = String::from("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }");
    header.push_str(&" ".repeat(127 - 10 - header.len()));
    header.push('\n');
    let npy = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat();
    let header = r#"{"features":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#;
    vec![npy, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 8]].concat()]
}

fn indices() -> Vec<Vec<u8>> {
    vec![[&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 8]].concat(), zipped(&[0, 0, 8, 1, 0, 0, 0, 1, 9])]
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn videos() -> Vec<Vec<u8>> {
    let grey = [&b"YUV4MPEG2 W4 H2 F25:1 Cmono\nFRAME\n"[..], &[9; 8], b"FRAME\n", &[8; 8]].concat();
    vec![grey, [&b"YUV4MPEG2 W4 H2 F25:1 C420jpeg\nFRAME\n"[..], &[9; 12]].concat()]
}

fn image_of(format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = image::RgbImage::from_fn(5, 6, |x, y| image::Rgb([40 * x as u8, 30 * y as u8, 7]));
    image::DynamicImage::ImageRgb8(image).write_to(&mut bytes, format).expect("memory");
    bytes.into_inner()
}

fn pictures() -> Vec<Vec<u8>> {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm};
    [Png, Jpeg, Gif, Bmp, Pnm].map(image_of).into()
}

fn animations() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for grey in [0, 100, 200] {
        let frame = image::Frame::new(image::RgbaImage::from_pixel(4, 3, image::Rgba([grey, grey, grey, 255])));
        encoder.encode_frame(frame).expect("memory");
    }
    drop(encoder);
    vec![bytes]
}

fn archives() -> Vec<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["a.png", "b.png"] {
        let strip = image_of(image::ImageFormat::Png);
        let mut header = tar::Header::new_gnu();
        header.set_size(strip.len() as u64);
        let path = format!("{}{name}", "folder/".repeat(if name == "a.png" { 20 } else { 0 }));
        builder.append_data(&mut header, path, &strip[..]).expect("memory");
    }
    let tar = builder.into_inner().expect("memory");
    vec![[&[0][..], &tar].concat(), [&[1][..], &zipped(&tar)].concat()]
}

fn word_vectors() -> Vec<Vec<u8>> {
    vec![b"2 2\ngood 1 2\nother 5 6\n".to_vec(), zipped(b"bad -1.5 2e3\n")]
}

fn configs() -> Vec<Vec<u8>> {
    TASKS.iter().filter_map(|task| Settings::for_task(task.name).ok()?.to_toml().ok()).map(String::into_bytes).collect()
}

fn records() -> Vec<Vec<u8>> {
    let line = r#"{"step":10,"epoch":0.5,"targets":100,"train_nats":1.5,"lr":0.002,"grad_norm":0.5,"#;
    let more = r#""val":{"val_nats":1.25,"val_r2":null},"best":true,"targets_per_s":5.0,"elapsed_s":1.0,"unix_time":1}"#;
    vec![format!("{line}{more}\n").repeat(2).into_bytes()]
}

fn event_files() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    tensorboard::begin(&mut out, 1.0);
    tensorboard::scalars(&mut out, 2.0, 3, &[("val/nats", 1.5)]);
    tensorboard::text(&mut out, 2.0, 3, "sample", "text");
    vec![out]
}
