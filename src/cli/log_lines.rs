//! Standard error for programs: one JSON object per line, the same fields whoever prints it.
//!
//! `time` (RFC 3339, UTC), `level` (error, warn, info, debug, trace), `event`, `message`, and what the event has besides. Messages of the
//! run come from [`report`](super::report), those of the log from `tracing`, whose lines [`LogLines`] writes.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// One line, its fields in this order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    event: &'a str,
    message: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// A line without its end; fields that are null are left out.
pub(super) fn line(level: &str, event: &str, message: &str, fields: Value) -> String {
    let mut fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
    fields.retain(|_, value| !value.is_null());
    let line = Line { time: rfc3339(SystemTime::now()), level, event, message, fields };
    serde_json::to_string(&line).unwrap_or_default()
}

/// A time as `2026-11-27T14:30:05.123Z`.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years begin in March here, so that the day that a leap year adds is the last one of its year (Hinnant's civil_from_days).
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Writes the lines of `tracing`.
pub(super) struct LogLines;

impl<S, N> FormatEvent<S, N> for LogLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.others.insert("target".into(), event.metadata().target().into());
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        writeln!(to, "{}", line(&level, "log", &fields.message, Value::Object(fields.others)))
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds: u64, millis: u64| {
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(1000 * seconds + millis))
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_827_696, 7), "2000-02-29T12:34:56.007Z");
        assert_eq!(at(1_795_789_805, 123), "2026-11-27T14:30:05.123Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_line_has_its_fields_in_order_and_none_that_is_null() {
        let fields = serde_json::json!({"path": "a\nb", "id": null});
        let line = line("error", "failed", "it is bad", fields);
        let from = line.find("\"level\"").unwrap();
        assert!(line.starts_with("{\"time\":\"20"), "{line}");
        assert_eq!(
            &line[from..],
            "\"level\":\"error\",\"event\":\"failed\",\"message\":\"it is bad\",\"path\":\"a\\nb\"}"
        );
    }
}
