//! Records as JSON objects, and as lines and rows for people.

use std::fmt::Write;

use clap::ValueEnum;
use sawlog::Record;
use sawlog::clock::{BadTime, Timestamp};
use sawlog::message::{MAGIC_V2, Trailer, Transaction, Verify, check, names};
use serde_json::{Map, Value, json};

use crate::output::{Kind, Out};

/// So much of a body is shown to people, in characters.
const SHOWN: usize = 60;

/// How bodies are printed in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BodyAs {
    /// Text where it is UTF-8, base64 where it is not; `body_as` says which
    Text,
    /// Two hexadecimal digits a byte
    Hex,
    /// Base64 with padding
    Base64,
}

/// A record as a JSON object.
pub(crate) fn json(record: &Record, body_as: BodyAs) -> Map<String, Value> {
    let message = &record.message;
    let properties: Map<String, Value> =
        message.properties.iter().map(|(name, value)| (name.into_owned(), value.into())).collect();
    let (body, body_as) = body(record.body(), body_as);
    let born = message.born.unwrap_or_default();
    let keys: Vec<_> = keys(record);
    let mut object = Map::new();
    for (name, value) in [
        ("offset", json!(record.position.offset.0)),
        ("len", json!(record.position.len)),
        ("topic", json!(record.topic().as_str())),
        ("queue", json!(record.queue_id())),
        ("queue_offset", if record.is_queued() { json!(record.queue_offset.0) } else { Value::Null }),
        ("message_id", json!(record.message_id().to_string())),
        ("stored", json!(record.stored.0)),
        ("stored_at", json!(record.stored.to_string())),
        ("store_host", json!(record.store_host.to_string())),
        ("born", json!(born.0)),
        ("born_at", json!(born.to_string())),
        ("born_host", json!(message.born_host.to_string())),
        ("tags", json!(message.tags())),
        ("keys", json!(keys)),
        ("unique_key", json!(message.unique_id())),
        ("transaction", json!(transaction(record))),
        ("reconsume_times", json!(message.reconsume_times)),
        ("properties", Value::Object(properties)),
        ("body", json!(body)),
        ("body_as", json!(body_as)),
        ("body_bytes", json!(record.body().len())),
    ] {
        object.insert(name.to_owned(), value);
    }
    object
}

/// The fields of a record as they are stored, besides those that every object has. `bytes` are all of the record.
pub(crate) fn raw(record: &Record, bytes: &[u8]) -> Value {
    let magic = bytes.get(4..8).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b));
    let head = check(record.position.offset, bytes, Verify::Structure).ok();
    let checksum = match head.map(|head| head.trailer()) {
        Some(Trailer::Right) => "right",
        Some(Trailer::Wrong) => "wrong",
        _ => "none",
    };
    json!({
        "version": if magic == MAGIC_V2 { 2 } else { 1 },
        "magic": format!("{magic:08X}"),
        "body_crc": format!("{:08X}", record.body_crc),
        "record_checksum": checksum,
        "flag": record.message.flag,
        "sys_flags": record.message.sys_flags.0,
        "queue_offset": record.queue_offset.0,
        "prepared_offset": record.message.prepared_offset,
        "properties": hex(record.message.properties.as_bytes()),
        "record": hex(bytes),
    })
}

fn transaction(record: &Record) -> &'static str {
    match record.message.sys_flags.transaction() {
        Transaction::None => "none",
        Transaction::Prepared => "prepared",
        Transaction::Commit => "commit",
        Transaction::Rollback => "rollback",
    }
}

fn keys(record: &Record) -> Vec<String> {
    let keys = record.message.properties.find(names::KEYS);
    let keys = keys.as_deref().unwrap_or_default();
    keys.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

fn body(bytes: &[u8], body_as: BodyAs) -> (String, &'static str) {
    match (body_as, std::str::from_utf8(bytes)) {
        (BodyAs::Text, Ok(text)) => (text.to_owned(), "text"),
        (BodyAs::Hex, _) => (hex(bytes), "hex"),
        (BodyAs::Text | BodyAs::Base64, _) => (base64(bytes), "base64"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Into a text it cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = usize::try_from(word >> (18 - 6 * place) & 63).ok().and_then(|d| DIGITS.get(d));
            let is_padding = place > three.len();
            text.push(digit.filter(|_| !is_padding).map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

/// The cells of a record in a table, named by [`HEADINGS`].
pub(crate) fn row(record: &Record) -> Vec<String> {
    vec![
        record.stored.to_string(),
        format!("{}/{}", record.topic().as_str(), record.queue_id()),
        if record.is_queued() { record.queue_offset.to_string() } else { transaction(record).to_owned() },
        record.position.offset.to_string(),
        record.position.len.to_string(),
        record.message.tags().unwrap_or_default().into_owned(),
        keys(record).join(" "),
        shown(record.body()),
    ]
}

/// See [`row`].
pub(crate) const HEADINGS: [&str; 8] =
    ["stored", "queue", "offset", "log offset", "bytes", "tags", "keys", "body"];

/// A record as one line.
pub(crate) fn line(record: &Record, out: &Out) -> String {
    let queue = format!("{}/{}", record.topic().as_str(), record.queue_id());
    let mut line = format!(
        "{}  {} {}  {}",
        out.paint(Kind::Aside, record.stored),
        out.paint(Kind::Name, queue),
        record.queue_offset,
        out.paint(Kind::Aside, format_args!("@{}", record.position.offset)),
    );
    for word in record.message.tags().map(std::borrow::Cow::into_owned).into_iter().chain(keys(record)) {
        line.push_str("  ");
        line.push_str(&out.paint(Kind::Good, word));
    }
    line.push_str("  ");
    line.push_str(&shown(record.body()));
    line
}

/// The front of a body, as text that moves no cursor.
fn shown(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return format!("({} bytes)", bytes.len()) };
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        match c {
            _ if count == SHOWN => {
                shown.push('…');
                break;
            }
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Below this a number is more likely a year, or seconds: as milliseconds it would be a day of early 1970.
const LEAST_MS: i64 = 10_000_000_000;

/// A moment, as RFC 3339 or in milliseconds.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let at: Timestamp = text.parse().map_err(|e: BadTime| e.to_string())?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && (1..LEAST_MS).contains(&at.0) {
        return Err(format!(
            "{text} milliseconds are {at}; write a date as 2024-05-01, or all digits of milliseconds"
        ));
    }
    Ok(at)
}

/// A moment, or a stretch of time: `WHEN`, `WHEN..`, `..WHEN` or `WHEN..WHEN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Times {
    pub(crate) const ALL: Times = Times { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };

    pub(crate) fn parse(text: &str) -> Result<Times, String> {
        let read = |text: &str, otherwise| if text.is_empty() { Ok(otherwise) } else { moment(text) };
        let (from, to) = text.split_once("..").unwrap_or((text, ""));
        let times = Times { from: read(from, Times::ALL.from)?, to: read(to, Times::ALL.to)? };
        if times.from > times.to {
            return Err(format!("it ends at {to}, before it begins at {from}"));
        }
        Ok(times)
    }

    pub(crate) fn hold(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
