//! How a log record becomes a line: as text for people, as JSON for programs.
//!
//! A record's fields (`log`'s key-value pairs) follow the message as `key=value`, or are members of
//! the JSON object.

use std::fmt::{self, Write};
use std::time::SystemTime;

use clap::ValueEnum;
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

/// The format that the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A time, a level, a module, a message and its fields as key=value.
    Text,
    /// One JSON object a line.
    Json,
}

/// How lines are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) format: LogFormat,
    /// Whether the reader is journald, which knows the time and takes the priority from a prefix.
    pub(super) reader: Reader,
}

/// The reader of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A terminal that shows colours.
    Colours,
    /// A file, a pipe, or a terminal without colours.
    Plain,
    /// journald.
    Journal,
}

impl Layout {
    /// Appends the record's line to `line`, with its line feed.
    pub(super) fn write(self, line: &mut String, record: &Record<'_>, now: SystemTime) {
        if self.reader == Reader::Journal {
            let _ = write!(line, "<{}>", priority(record.level()));
        }
        match self.format {
            LogFormat::Text => self.write_text(line, record, now),
            LogFormat::Json => self.write_json(line, record, now),
        }
        line.push('\n');
    }

    fn write_text(self, line: &mut String, record: &Record<'_>, now: SystemTime) {
        let (target, message) = (record.target(), record.args());
        // Writing to a string cannot fail, here and below.
        let _ = match self.reader {
            Reader::Journal => write!(line, "[{target}] {message}"),
            Reader::Plain => write!(
                line,
                "{} {:<5} [{target}] {message}",
                humantime::format_rfc3339_millis(now),
                record.level(),
            ),
            Reader::Colours => write!(
                line,
                "{} \x1b[{}m{:<5}\x1b[0m [{target}] {message}",
                humantime::format_rfc3339_millis(now),
                colour(record.level()),
                record.level(),
            ),
        };
        let _ = record.key_values().visit(&mut TextFields(line));
    }

    fn write_json(self, line: &mut String, record: &Record<'_>, now: SystemTime) {
        line.push('{');
        if self.reader != Reader::Journal {
            let time = humantime::format_rfc3339_millis(now);
            let _ = write!(line, "\"time\":\"{time}\",");
        }
        let level = record.level().as_str().to_ascii_lowercase();
        let _ = write!(line, "\"level\":\"{level}\",\"target\":");
        push_json_string(line, &record.target());
        line.push_str(",\"message\":");
        push_json_string(line, record.args());
        let _ = record.key_values().visit(&mut JsonFields(line));
        line.push('}');
    }
}

/// Returns the level's syslog priority.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Returns the level's colour as an SGR parameter.
const fn colour(level: Level) -> u8 {
    match level {
        Level::Error => 31,
        Level::Warn => 33,
        Level::Info => 36,
        Level::Debug => 35,
        Level::Trace => 39,
    }
}

struct TextFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for TextFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let _ = write!(self.0, " {key}=");
        let start = self.0.len();
        let _ = write!(self.0, "{value}");
        if needs_quotes(&self.0[start..]) {
            let quoted = format!("{:?}", &self.0[start..]);
            self.0.truncate(start);
            self.0.push_str(&quoted);
        }
        Ok(())
    }
}

fn needs_quotes(value: &str) -> bool {
    value.is_empty()
        || value
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='))
}

struct JsonFields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for JsonFields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push(',');
        push_json_string(self.0, &key.as_str());
        self.0.push(':');
        value.visit(JsonValue(self.0))
    }
}

struct JsonValue<'a>(&'a mut String);

impl JsonValue<'_> {
    fn push(&mut self, value: impl fmt::Display) -> Result<(), Error> {
        let _ = write!(self.0, "{value}");
        Ok(())
    }
}

impl<'v> VisitValue<'v> for JsonValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        push_json_string(self.0, &value);
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.push(value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        if value.is_finite() {
            self.push(value)
        } else {
            self.push("null")
        }
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.push(value)
    }
}

/// Appends a value's text as a JSON string.
fn push_json_string(line: &mut String, value: &dyn fmt::Display) {
    struct Escaping<'a>(&'a mut String);

    impl Write for Escaping<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for char in text.chars() {
                match char {
                    '"' => self.0.push_str("\\\""),
                    '\\' => self.0.push_str("\\\\"),
                    '\n' => self.0.push_str("\\n"),
                    char if char < ' ' => write!(self.0, "\\u{:04x}", u32::from(char))?,
                    char => self.0.push(char),
                }
            }
            Ok(())
        }
    }

    line.push('"');
    let _ = write!(Escaping(line), "{value}");
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, reader: Reader, fields: &[(&str, Value<'_>)]) -> String {
        let mut line = String::new();
        let layout = Layout { format, reader };
        layout.write(
            &mut line,
            &Record::builder()
                .level(Level::Warn)
                .target("greet_server")
                .args(format_args!("a \"b\"\\\u{7}"))
                .key_values(&fields)
                .build(),
            SystemTime::UNIX_EPOCH,
        );
        line
    }

    #[test]
    fn text_has_the_fields_behind_the_message() {
        let fields = [
            ("session", Value::from(3)),
            ("reason", Value::from("timed out")),
            ("none", Value::from("")),
        ];
        assert_eq!(
            line(LogFormat::Text, Reader::Plain, &fields),
            "1970-01-01T00:00:00.000Z WARN  [greet_server] a \"b\"\\\u{7} session=3 \
             reason=\"timed out\" none=\"\"\n"
        );
        assert!(line(LogFormat::Text, Reader::Colours, &[]).contains("\x1b[33mWARN \x1b[0m"));
    }

    #[test]
    fn the_journal_gets_a_priority_and_no_time() {
        assert_eq!(
            line(LogFormat::Text, Reader::Journal, &[]),
            "<4>[greet_server] a \"b\"\\\u{7}\n"
        );
        let json = line(LogFormat::Json, Reader::Journal, &[]);
        assert!(json.starts_with("<4>{\"level\":\"warn\""), "{json}");
    }

    #[test]
    fn json_keeps_numbers_and_escapes_text() {
        let fields = [
            ("session", Value::from(3)),
            ("seconds", Value::from(1.5)),
            ("bad", Value::from(f64::NAN)),
            ("last", Value::from(true)),
            ("reason", Value::from("a\nb")),
        ];
        assert_eq!(
            line(LogFormat::Json, Reader::Plain, &fields),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"target\":\"greet_server\",\
             \"message\":\"a \\\"b\\\"\\\\\\u0007\",\"session\":3,\"seconds\":1.5,\"bad\":null,\
             \"last\":true,\"reason\":\"a\\nb\"}\n"
        );
    }
}
