//! Lines of JSON, one an event: what programs read.
//!
//! One is written for every request, and tracing-subscriber's own, which goes through serde piece by piece, would cost
//! as much as half of what is done for a small one.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The most room for a line that is kept for the next one, in bytes.
const LARGEST_KEPT: usize = 4096;

thread_local! {
    /// The last line's memory.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// `{"timestamp":…,"level":…,` the fields, `"target":…}`.
#[derive(Debug)]
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = LINE.take();
        line.clear();
        line.push_str("{\"timestamp\":\"");
        now(&mut line);
        line.push_str("\",\"level\":\"");
        line.push_str(match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        });
        line.push('"');
        event.record(&mut Fields { line: &mut line });
        line.push_str(",\"target\":");
        string(event.metadata().target(), &mut line);
        line.push_str("}\n");
        let written = out.write_str(&line);
        if line.capacity() <= LARGEST_KEPT {
            LINE.set(line);
        }
        written
    }
}

/// The time in UTC, to the microsecond. What is the same within a second is written once.
fn now(line: &mut String) {
    thread_local! {
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = Timestamp::now();
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != now.as_second() {
            *second = now.as_second();
            *written = Timestamp::from_second(*second).unwrap_or(now).to_string();
            written.pop();
        }
        line.push_str(written);
    });
    // With all of its zeros, behind a one.
    let mut digits = itoa::Buffer::new();
    let micros = digits.format(1_000_000 + now.subsec_nanosecond().unsigned_abs() / 1000);
    line.push('.');
    line.push_str(&micros[1..]);
    line.push('Z');
}

/// Writes fields behind others.
struct Fields<'a> {
    line: &'a mut String,
}

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        self.line.push_str(",\"");
        // A name is one of ours: nothing in it is to be escaped.
        self.line.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.line.push_str("\":");
    }

    fn text(&mut self, field: &Field, text: &str) {
        self.name(field);
        self.line.push_str(text);
    }

    fn integer(&mut self, field: &Field, number: impl itoa::Integer) {
        self.text(field, itoa::Buffer::new().format(number));
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.text(field, &value.to_string()),
            false => self.text(field, "null"),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.integer(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.integer(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.integer(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.integer(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.text(field, if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        string(value, self.line);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.line.push('"');
        // A string takes all there is; a value that cannot be written is written as far as it goes.
        let _ = write!(Escaped { line: self.line }, "{value:?}");
        self.line.push('"');
    }
}

fn string(text: &str, line: &mut String) {
    line.push('"');
    escape(text, line);
    line.push('"');
}

/// What is written in the middle of a string.
struct Escaped<'a> {
    line: &'a mut String,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(text, self.line);
        Ok(())
    }
}

/// RFC 8259, section 7.
fn escape(text: &str, line: &mut String) {
    if is_plain(text) {
        return line.push_str(text);
    }
    for one in text.chars() {
        match one {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\0'..' ' => {
                let _ = write!(line, "\\u{:04x}", u32::from(one));
            }
            other => line.push(other),
        }
    }
}

/// Whether nothing is to be escaped. All of it is looked at, which is sooner done than to stop where something is.
#[expect(clippy::needless_bitwise_bool, reason = "without a branch it is done for many at a time")]
fn is_plain(text: &str) -> bool {
    text.bytes()
        .fold(true, |is_plain, byte| is_plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let out = Out::default();
        let writer = out.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_an_object_of_its_fields() {
        let lines = logged(|| {
            let none: Option<&str> = None;
            tracing::info!(
                target: "access", text = "a", number = 7_u64, less = -7_i64, share = 0.5,
                is = true, none, shown = %"b", debugged = ?Some(1), r#type = "c", huge = u128::MAX,
            );
            tracing::error!("said: {}", 1);
        });
        let mut first = lines[0].clone();
        let timestamp = first.as_object_mut().unwrap().remove("timestamp").unwrap();
        let timestamp: Timestamp = timestamp.as_str().unwrap().parse().unwrap();
        assert!(Timestamp::now().duration_since(timestamp).as_secs().abs() < 60);
        let expected = json!({
            "level": "INFO", "text": "a", "number": 7, "less": -7, "share": 0.5, "is": true,
            "shown": "b", "debugged": "Some(1)", "type": "c", "target": "access",
        });
        let huge = first.as_object_mut().unwrap().remove("huge").unwrap();
        assert!(huge.to_string().starts_with("3.40282366920938"), "{huge}");
        assert_eq!(first, expected);
        assert_eq!(lines[1]["message"], "said: 1");
        assert_eq!(lines[1]["level"], "ERROR");
    }

    /// Whoever names a model or a key cannot write a line of their own.
    #[test]
    fn whatever_a_text_holds_is_read_back() {
        for text in ["", "é\u{2028}", "a\"b\\c", "\r\n\t\0\u{1f}\u{7f}", "{\"level\":\"ERROR\"}\n"]
        {
            let lines = logged(|| {
                tracing::info!(text, shown = %text);
                tracing::info!("{text}");
            });
            let values = [&lines[0]["text"], &lines[0]["shown"], &lines[1]["message"]];
            assert_eq!(values, [text; 3]);
            assert_eq!(lines.len(), 2);
        }
        let lines = logged(|| tracing::info!(text = ?"a\nb", not = f64::NAN));
        assert_eq!((&lines[0]["text"], &lines[0]["not"]), (&json!("\"a\\nb\""), &Value::Null));
    }
}
