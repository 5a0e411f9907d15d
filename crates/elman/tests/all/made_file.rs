//! Model files made by hand, to be refused.

use elman_step::model::{Document, checksum};

/// A file of this header, as it is.
pub(crate) fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A file with this config and these header entries, and with the right checksums: made, not damaged.
pub(crate) fn sealed(config: &str, entries: &str, data: &[u8]) -> Vec<u8> {
    let config = serde_json::Value::from(config);
    let opening = r#"{"__metadata__":{"elman.crc32":""#;
    let header = format!(r#"{opening}00000000","elman":{config},"elman.tensors":"{{}}"}}{entries}}}"#);
    let mut file = file(&header, data);
    let sum = checksum(&file);
    file[8 + opening.len()..][..8].copy_from_slice(sum.as_bytes());
    file
}

/// The message of the error `bytes` must give.
#[track_caller]
pub(crate) fn refused(bytes: &[u8]) -> String {
    match Document::parse(bytes) {
        Ok(_) => panic!("accepted: {}", String::from_utf8_lossy(bytes)),
        Err(error) => error.to_string(),
    }
}
