//! Where in a line its key stands.

use std::str::FromStr;

use serde_json::Value;

/// See the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyFrom {
    /// The word with this number, counted from 0.
    Word(usize),
    /// What stands behind so many separators.
    Field(usize, String),
    /// A place in a JSON document (RFC 6901).
    Pointer(String),
}

impl FromStr for KeyFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<KeyFrom, String> {
        let (kind, rule) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "json" if rule.starts_with('/') => Ok(KeyFrom::Pointer(rule.to_owned())),
            "json" => Err("a JSON pointer begins with a slash, such as json:/order/id".into()),
            "field" => {
                let (number, separator) = rule.split_once(':').unwrap_or((rule, ""));
                let number = number.parse().ok().and_then(|number: usize| number.checked_sub(1));
                let number = number.ok_or("fields are counted from 1, such as field:2 or field:2:;")?;
                Ok(if separator.is_empty() {
                    KeyFrom::Word(number)
                } else {
                    KeyFrom::Field(number, separator.to_owned())
                })
            }
            _ => Err("a rule is field:N, field:N:SEPARATOR or json:/POINTER".into()),
        }
    }
}

impl KeyFrom {
    /// The key of a line; several have spaces between. `None` if it has none, or is no text, or no JSON.
    pub(super) fn key(&self, line: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(line).ok()?;
        match self {
            KeyFrom::Word(number) => text.split_whitespace().nth(*number).map(str::to_owned),
            KeyFrom::Field(number, separator) => {
                text.split(separator.as_str()).nth(*number).map(|field| field.trim().to_owned())
            }
            KeyFrom::Pointer(pointer) => {
                let document: Value = serde_json::from_str(text).ok()?;
                match document.pointer(pointer)? {
                    Value::String(key) => Some(key.clone()),
                    number @ Value::Number(_) => Some(number.to_string()),
                    _ => None,
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
