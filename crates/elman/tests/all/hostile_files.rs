//! Files that are damaged by accident or made to do harm: each is refused with an error that names the part.

use elman::Error;
use elman::format::document::{DocumentWriter, Tensor, TensorData};
use elman::format::model;
use elman_step::model::{Document, ModelError};
use serde_json::json;

use crate::made_file::{file, refused, sealed};

/// A checkpoint of some 10 KB with a tensor of every type.
fn checkpoint() -> Vec<u8> {
    let weights: Vec<f32> = (0..1500).map(|i| (i as f32).sin()).collect();
    let moments: Vec<f64> = (0..300).map(|i| f64::from(i).cos()).collect();
    let tensor = |name: &str, dims: &[usize], data| Tensor { name: name.into(), dims: dims.into(), data };
    DocumentWriter {
        config: json!({"kind": "checkpoint", "vocabulary": ["a", "b", "\n", "é"], "lr": 0.002, "cell": "lstm"}),
        tensors: vec![
            tensor("rnn.weight_ih_l0", &[50, 30], TensorData::F32(&weights)),
            tensor("adam.v", &[300], TensorData::F64(&moments)),
            tensor("cursor", &[2], TensorData::U64(&[12, 500])),
            tensor("tokens", &[5], TensorData::Bytes(b"hello")),
        ],
    }
    .to_bytes()
    .expect("a good checkpoint")
}

fn data_start(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize
}

/// The tensor a byte of the file belongs to.
fn owner(document: &Document, file: &[u8], at: usize) -> String {
    let inside = |name: &&str| {
        let bytes = document.tensor(name).expect("named").bytes;
        let start = bytes.as_ptr().addr() - file.as_ptr().addr();
        (start..start + bytes.len()).contains(&at)
    };
    document.names().find(inside).expect("a tensor").into()
}

#[test]
fn every_changed_byte_is_noticed_and_its_tensor_named() {
    let good = checkpoint();
    let document = Document::parse(&good).expect("good");
    let data = data_start(&good);
    let mut bad = good.clone();
    for at in 0..good.len() {
        for change in [1, 255] {
            bad[at] ^= change;
            let error = Document::parse(&bad).map(|_| ()).expect_err("a changed byte was accepted");
            bad[at] ^= change;
            if at >= data {
                let expected = owner(&document, &good, at);
                let ModelError::Damaged { part, .. } = &error else { panic!("byte {at}: {error}") };
                assert_eq!(*part, expected, "byte {at}");
            } else {
                // The text says where: the header, its length, a checksum or the tensor whose line it is.
                let text = error.to_string();
                let parts = ["header", "checksum", "rnn.weight_ih_l0", "adam.v", "cursor", "tokens", "too long"];
                assert!(parts.iter().any(|part| text.contains(part)), "byte {at}: {text}");
            }
        }
    }
}

#[test]
fn every_truncation_is_noticed_and_the_part_named() {
    let good = checkpoint();
    let document = Document::parse(&good).expect("good");
    let data = data_start(&good);
    for length in 0..good.len() {
        let error = Document::parse(&good[..length]).map(|_| ()).expect_err("a cut file was accepted");
        match &error {
            ModelError::NotSafetensors { .. } => assert!(length < 8, "{length}: {error}"),
            ModelError::CutShort { part, got, .. } => {
                assert_eq!(*got, length as u64);
                let expected = if length < data { "the header".into() } else { owner(&document, &good, length) };
                assert_eq!(*part, expected, "{length} bytes");
            }
            _ => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn a_byte_more_swapped_halves_and_other_files_are_refused() {
    let good = checkpoint();
    for extra in [0, b' ', b'}'] {
        let longer = [&good[..], &[extra]].concat();
        assert_eq!(Document::parse(&longer).map(|_| ()), Err(ModelError::TooLong { extra: 1 }));
    }
    let (first, second) = good.split_at(good.len() / 2);
    let swapped = [second, first].concat();
    assert!(matches!(Document::parse(&swapped), Err(ModelError::NotSafetensors { .. })));
    // Swapped halves of the data alone: everything but the checksums still fits.
    let data = data_start(&good);
    let middle = data + (good.len() - data) / 2;
    let swapped = [&good[..data], &good[middle..], &good[data..middle]].concat();
    assert!(matches!(Document::parse(&swapped), Err(ModelError::Damaged { .. })));
    for other in [&b""[..], b"PK\x03\x04 a zip file", b"First Citizen:\nBefore we proceed", &[0; 64], &[255; 64]] {
        assert!(matches!(Document::parse(other), Err(ModelError::NotSafetensors { .. })), "{other:?}");
    }
}

const CONFIG: &str = r#"{"format_version":1,"kind":"model"}"#;

#[test]
fn a_header_length_beyond_all_bounds_is_refused() {
    for length in [0, 1, 10_000_001, 1 << 32, 1 << 63, u64::MAX - 8, u64::MAX] {
        let file = [&length.to_le_bytes()[..], b"{}"].concat();
        let text = refused(&file);
        assert!(text.contains("the header's length") && text.contains(&length.to_string()), "{text}");
    }
}

#[test]
fn a_made_file_that_contradicts_itself_is_refused() {
    let good = sealed(CONFIG, r#","w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, &[0; 4]);
    Document::parse(&good).expect("the frame of the cases below is good");
    let entry = |entry: &str| refused(&sealed(CONFIG, &format!(",{entry}"), &[0; 8]));
    let cases = [
        // 2^62 * 2^2 elements of 4 bytes wrap to 0, 2^61 * 8 + 1 to 1 element.
        (r#""w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}"#, "damaged in w"),
        (r#""w":{"dtype":"F32","shape":[18446744073709551615,18446744073709551615],"data_offsets":[0,8]}"#, "in w"),
        (r#""w":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}"#, "header"),
        (r#""w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}"#, "header"),
        (r#""w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}"#, "header"),
        (r#""w":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}"#, "more than 8 dimensions"),
        (r#""w":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}"#, "header"),
        (r#""w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#, "damaged in w"),
        (r#""w":{"dtype":"F32","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615]}"#, "header"),
        (r#""w":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}"#, "damaged in w"),
        (r#""w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, "header"),
        (r#""w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, "4 bytes too long"),
        (r#""w":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}"#, "cut short in w"),
        (r#""w":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}"#, "in w"),
        (r#""w":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}"#, "F33"),
        (r#""w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}"#, "`x`"),
        (r#""w":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}"#, "shape"),
        (r#""w":{"dtype":"F32","shape":[2]}"#, "data_offsets"),
        (r#""w":7"#, "header"),
        (
            r#""w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#,
            "`w` is repeated",
        ),
        (
            r#""v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
            "header",
        ),
        (r#""__metadata__":{}"#, "`__metadata__` is repeated"),
    ];
    for (text, part) in cases {
        let message = entry(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn a_made_config_that_means_nothing_is_refused() {
    let config = |config: &str| refused(&sealed(config, "", &[]));
    let cases = [
        ("", "the config"),
        ("[1]", "format_version"),
        (r#"{"kind":"model"}"#, "format_version"),
        (r#"{"format_version":"1","kind":"model"}"#, "format_version"),
        (r#"{"format_version":3,"kind":"model"}"#, "format version 3, but this release reads versions 1 and 2"),
        (r#"{"format_version":1}"#, "kind"),
        (r#"{"format_version":1,"kind":"poem"}"#, "kind"),
        (r#"{"format_version":1,"kind":"model","kind":"model"}"#, "`kind` is repeated"),
        (r#"{"format_version":1,"kind":"model","a":{"b":[{"c":1,"c":2}]}}"#, "`c` is repeated"),
        (r#"{"format_version":1,"kind":"model"} {}"#, "the config"),
        (r#"{"format_version":1,"kind":"model","lr":1e999}"#, "the config"),
        (&"[".repeat(100_000), "the config"),
    ];
    for (text, part) in cases {
        let message = config(text);
        assert!(message.contains(part), "{message}");
    }
    let many = format!(r#"{{"format_version":1,"kind":"model","x":[{}0]}}"#, "0,".repeat(1_000_000));
    assert!(config(&many).contains("more than 1000000 values"));
}

#[test]
fn a_checksum_key_missing_repeated_or_malformed_is_named() {
    let sum = r#""elman.crc32":"00000000""#;
    let sums = r#""elman.tensors":"{}""#;
    let config = r#""elman":"{}""#;
    let metadata = |keys: &[&str]| refused(&file(&format!(r#"{{"__metadata__":{{{}}}}}"#, keys.join(",")), &[]));
    let cases: [(&[&str], &str); 9] = [
        (&[sums, config], "`elman.crc32` is missing"),
        (&[sum, config], "`elman.tensors` is missing"),
        (&[sum, sums], "`elman` is missing"),
        (&[sum, sums, config, config], "`elman` is repeated"),
        (&[sum, sums, config, r#""note":"a","note":"b""#], "`note` is repeated"),
        (&[sums, config, r#""elman.crc32":"0""#], "the checksum"),
        (&[sums, config, r#""elman.crc32":"0000000\u0030""#], "the checksum"),
        (&[sums, config, r#""elman.crc32":7"#], "header"),
        (&[sum, config, r#""elman.tensors":"{""#], "the tensors' checksums"),
    ];
    for (keys, part) in cases {
        let message = metadata(keys);
        assert!(message.contains(part), "{keys:?}: {message}");
    }
    // The same number in other letters is another byte, and so another file.
    let good = sealed(CONFIG, "", &[]);
    let upper: Vec<u8> =
        good.iter().enumerate().map(|(i, b)| if (40..48).contains(&i) { b.to_ascii_uppercase() } else { *b }).collect();
    assert!(good[40..48].iter().all(u8::is_ascii_hexdigit) && upper != good, "choose a config whose sum has a letter");
    assert!(refused(&upper).contains("damaged"));
}

#[test]
fn a_model_of_another_program_is_told_from_a_damaged_one() {
    let foreign = file(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]);
    assert_eq!(Document::parse(&foreign).map(|_| ()), Err(ModelError::Foreign));
    let labelled =
        file(r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]);
    assert_eq!(Document::parse(&labelled).map(|_| ()), Err(ModelError::Foreign));
    assert!(refused(&foreign).contains("not one of Elman's"));
}

#[test]
fn loading_a_bad_file_names_it_and_is_a_model_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("best.safetensors");
    let good = checkpoint();
    let mut flipped = good.clone();
    *flipped.last_mut().expect("bytes") ^= 1;
    for (bytes, part) in [
        (&b""[..], "it is empty"),
        (b"a poem, no model", "not a safetensors file"),
        (&good[..good.len() - 1], "cut short in tokens"),
        (&flipped, "damaged in tokens"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        match model::load(&path) {
            Err(error @ Error::Model { .. }) => {
                let text = error.to_string();
                assert!(text.starts_with(&path.display().to_string()) && text.contains(part), "{text}");
            }
            other => panic!("{part}: {other:?}"),
        }
    }
}
