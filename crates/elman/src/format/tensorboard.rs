//! TensorBoard's events: scalars and texts over steps.
//!
//! A file is a sequence of TFRecord records: length (u64), its checksum, the event, its checksum; all little endian,
//! the checksum a masked CRC-32C. An event is a protocol buffer; the few fields used are those of `event.proto`,
//! `summary.proto` and `tensor.proto` of TensorBoard 2 (field numbers beside the code). The first event names the
//! version; the second starts a session at step 0, so that a running TensorBoard discards what it read from an earlier
//! file of the same run.

/// The format version, in the first event of a file.
const VERSION: &str = "brain.Event:2";
/// Bytes of a record's length and its checksum.
const HEAD: usize = 12;
/// Castagnoli's polynomial, reflected.
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// CRC-32C of each byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ CASTAGNOLI } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

/// The masked checksum: a CRC over data that contain their CRC would be constant.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Appends the two initial events; `wall_time` in seconds since 1970.
pub fn begin(out: &mut Vec<u8>, wall_time: f64) {
    let mut version = Message::event(wall_time, 0);
    version.bytes(3, VERSION.as_bytes()); // Event.file_version
    version.record(out);
    let mut log = Message::default();
    log.varint(1, 1); // SessionLog.status = START
    let mut start = Message::event(wall_time, 0);
    start.message(7, log); // Event.session_log
    start.record(out);
}

/// Appends an event with a value per name.
pub fn scalars(out: &mut Vec<u8>, wall_time: f64, step: u64, values: &[(&str, f64)]) {
    let mut summary = Message::default();
    for (tag, value) in values {
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes()); // Summary.Value.tag
        entry.fixed32(2, *value as f32); // Summary.Value.simple_value
        summary.message(1, entry); // Summary.value
    }
    let mut event = Message::event(wall_time, step);
    event.message(5, summary); // Event.summary
    event.record(out);
}

/// Appends an event with a text, which TensorBoard shows as Markdown.
pub fn text(out: &mut Vec<u8>, wall_time: f64, step: u64, tag: &str, text: &str) {
    let mut plugin = Message::default();
    plugin.bytes(1, b"text"); // PluginData.plugin_name
    let mut metadata = Message::default();
    metadata.message(1, plugin); // SummaryMetadata.plugin_data
    metadata.varint(4, 2); // SummaryMetadata.data_class = TENSOR
    let mut tensor = Message::default();
    tensor.varint(1, 7); // TensorProto.dtype = STRING
    tensor.message(2, Message::default()); // TensorProto.tensor_shape: a scalar
    tensor.bytes(8, text.as_bytes()); // TensorProto.string_val
    let mut entry = Message::default();
    entry.bytes(1, tag.as_bytes());
    entry.message(8, tensor); // Summary.Value.tensor
    entry.message(9, metadata); // Summary.Value.metadata
    let mut summary = Message::default();
    summary.message(1, entry);
    let mut event = Message::event(wall_time, step);
    event.message(5, summary);
    event.record(out);
}

/// A protocol buffer being written. Wire types: 0 varint, 1 eight bytes, 2 bytes with their length, 5 four bytes.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn event(wall_time: f64, step: u64) -> Message {
        let mut event = Message::default();
        event.key(1, 1); // Event.wall_time
        event.0.extend(wall_time.to_le_bytes());
        event.varint(2, step); // Event.step
        event
    }

    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.number(field << 3 | wire);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.number(value);
    }

    fn fixed32(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, message: Message) {
        self.bytes(field, &message.0);
    }

    /// Adds this event as a record.
    fn record(&self, out: &mut Vec<u8>) {
        let len = (self.0.len() as u64).to_le_bytes();
        out.extend(len);
        out.extend(masked(&len).to_le_bytes());
        out.extend(&self.0);
        out.extend(masked(&self.0).to_le_bytes());
    }
}

/// An event read back.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The format version.
    Version(String),
    /// A session starts at this step.
    Start(u64),
    /// A scalar: step, name, value.
    Scalar(u64, String, f32),
    /// A text: step, name, text.
    Text(u64, String, String),
}

/// Reads a file and verifies its checksums. The second value is the length of the complete records: anything after
/// them is a record that a killed process left incomplete.
///
/// # Errors
/// The position of the first damaged or unknown record.
pub fn read(file: &[u8]) -> Result<(Vec<Entry>, usize), String> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some((head, rest)) = file[at..].split_at_checked(HEAD) {
        let (len, crc) = head.split_at(8);
        if masked(len).to_le_bytes() != crc {
            return Err(format!("byte {at}: the length's checksum is wrong"));
        }
        let mut le = [0; 8];
        le.copy_from_slice(len);
        let whole = usize::try_from(u64::from_le_bytes(le)).ok().filter(|len| rest.len().saturating_sub(4) >= *len);
        let Some(len) = whole.filter(|_| rest.len() >= 4) else { break };
        let (event, rest) = rest.split_at(len);
        if masked(event).to_le_bytes() != rest[..4] {
            return Err(format!("byte {at}: the event's checksum is wrong"));
        }
        read_event(event, &mut entries).ok_or_else(|| format!("byte {at}: not an event of this program"))?;
        at += HEAD + len + 4;
    }
    Ok((entries, at))
}

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// The fields of a message by number.
fn fields(mut from: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !from.is_empty() {
        let key = varint(&mut from)?;
        let len = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Number(varint(&mut from)?)));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut from)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (bytes, rest) = from.split_at_checked(len)?;
        fields.push((key >> 3, Field::Bytes(bytes)));
        from = rest;
    }
    Some(fields)
}

fn number(fields: &[(u64, Field)], field: u64) -> Option<u64> {
    fields.iter().find_map(|(n, value)| match value {
        Field::Number(value) if *n == field => Some(*value),
        _ => None,
    })
}

fn bytes<'a>(fields: &[(u64, Field<'a>)], field: u64) -> Option<&'a [u8]> {
    fields.iter().find_map(|(n, value)| match value {
        Field::Bytes(value) if *n == field => Some(*value),
        _ => None,
    })
}

fn words(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.into()).ok()
}

fn read_event(event: &[u8], entries: &mut Vec<Entry>) -> Option<()> {
    let event = fields(event)?;
    let step = number(&event, 2)?;
    if let Some(version) = bytes(&event, 3) {
        entries.push(Entry::Version(words(version)?));
    } else if bytes(&event, 7).is_some() {
        entries.push(Entry::Start(step));
    } else {
        for (_, value) in fields(bytes(&event, 5)?)? {
            let Field::Bytes(value) = value else { return None };
            let value = fields(value)?;
            let tag = words(bytes(&value, 1)?)?;
            entries.push(match bytes(&value, 2) {
                Some(scalar) => Entry::Scalar(step, tag, f32::from_le_bytes(scalar.try_into().ok()?)),
                None => Entry::Text(step, tag, words(bytes(&fields(bytes(&value, 8)?)?, 8)?)?),
            });
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut file = Vec::new();
        begin(&mut file, 1.7e9);
        scalars(&mut file, 1.7e9 + 1.0, 300, &[("loss", 1.5), ("lr", 2e-3)]);
        text(&mut file, 1.7e9 + 1.0, 300, "sample", "To be,\nor not: ä");
        file
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let file = file();
        let (entries, whole) = read(&file).unwrap();
        let expected = [
            Entry::Version(VERSION.into()),
            Entry::Start(0),
            Entry::Scalar(300, "loss".into(), 1.5),
            Entry::Scalar(300, "lr".into(), 2e-3),
            Entry::Text(300, "sample".into(), "To be,\nor not: ä".into()),
        ];
        assert_eq!(entries, expected);
        assert_eq!(whole, file.len());
    }

    #[test]
    fn flipped_bytes_are_detected_and_differ_from_a_torn_tail() {
        let file = file();
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 0x10;
            assert!(read(&flipped).is_err(), "byte {at}");
        }
        let (all, _) = read(&file).unwrap();
        for len in 0..file.len() {
            let (entries, whole) = read(&file[..len]).unwrap();
            assert!(whole <= len && all.starts_with(&entries) && entries.len() < all.len(), "cut at {len}");
        }
    }
}
