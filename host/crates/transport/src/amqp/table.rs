//! AMQP's properties and field tables to and from messages. Pure.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, ShortString};
use umbel_protocol::message::Properties;
use umbel_value::{Map, Tag, Value};

/// Counts how often a quorum queue handed a message out before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Counts, on newer servers, how often it did so for whatever reason.
const ACQUIRED_COUNT: &str = "x-acquired-count";

/// Deeper nesting is cut off: it cannot come from Celery, and must not exhaust a stack.
const MAX_DEPTH: usize = 64;

/// A header frame must fit one AMQP frame (128 KiB where nobody changed it).
const MAX_HEADERS: usize = 120_000;

/// Why a message cannot be written in AMQP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    #[error("the message's {what} is {length} bytes long, AMQP takes 255")]
    TooLong { what: &'static str, length: usize },
    #[error("the message's headers take about {0} bytes, AMQP takes {MAX_HEADERS}")]
    TooLarge(usize),
}

/// What a delivery's properties say: properties, headers, and how often it was handed out before.
pub(crate) fn read(from: &BasicProperties) -> (Properties, Map, Option<u32>) {
    let properties = Properties {
        content_type: text(from.content_type()),
        content_encoding: text(from.content_encoding()),
        correlation_id: text(from.correlation_id()),
        reply_to: text(from.reply_to()),
        delivery_mode: *from.delivery_mode(),
        priority: *from.priority(),
        expiration: text(from.expiration()),
        message_id: text(from.message_id()),
        app_id: text(from.app_id()),
        kind: text(from.kind()),
        timestamp: *from.timestamp(),
        other: Map::new(),
    };
    let mut headers = from.headers().as_ref().map(|table| read_table(table, 0)).unwrap_or_default();
    // The queue's own notes: sent on with a retry, they would count for another message.
    headers.shift_remove(ACQUIRED_COUNT);
    let deliveries = match headers.shift_remove(DELIVERY_COUNT) {
        Some(Value::Int(count)) => Some(u32::try_from(count).unwrap_or(0)),
        _ => None,
    };
    (properties, headers, deliveries)
}

/// A message's properties and headers as AMQP writes them. A message that does not say is durable.
pub(crate) fn write(properties: &Properties, headers: &Map) -> Result<BasicProperties, TableError> {
    let size: usize = headers.iter().map(|(key, value)| key.len() + weight(value, 0)).sum();
    if size > MAX_HEADERS {
        return Err(TableError::TooLarge(size));
    }
    let mut to = BasicProperties::default()
        .with_headers(write_table(headers, 0))
        .with_delivery_mode(properties.delivery_mode.unwrap_or(2));
    let short = [
        ("content type", &properties.content_type, BasicProperties::with_content_type as Setter),
        ("content encoding", &properties.content_encoding, BasicProperties::with_content_encoding),
        ("correlation id", &properties.correlation_id, BasicProperties::with_correlation_id),
        ("reply_to", &properties.reply_to, BasicProperties::with_reply_to),
        ("expiration", &properties.expiration, BasicProperties::with_expiration),
        ("message id", &properties.message_id, BasicProperties::with_message_id),
        ("app id", &properties.app_id, BasicProperties::with_app_id),
        ("type", &properties.kind, BasicProperties::with_type),
    ];
    for (what, value, set) in short {
        if let Some(value) = value {
            to = set(to, name(what, value)?);
        }
    }
    if let Some(priority) = properties.priority {
        to = to.with_priority(priority);
    }
    if let Some(timestamp) = properties.timestamp {
        to = to.with_timestamp(timestamp);
    }
    Ok(to)
}

type Setter = fn(BasicProperties, ShortString) -> BasicProperties;

/// A text that AMQP limits to 255 bytes.
pub(crate) fn name(what: &'static str, value: &str) -> Result<ShortString, TableError> {
    ShortString::try_new(value).map_err(|_| TableError::TooLong { what, length: value.len() })
}

/// Queue arguments and the like; what is nested too deep becomes null.
pub(crate) fn write_table(map: &Map, depth: usize) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in map {
        // A longer key cannot be said; leaving it out beats losing the message.
        if let Ok(key) = ShortString::try_new(key.as_str()) {
            table.insert(key, write_value(value, depth + 1));
        }
    }
    table
}

fn write_value(value: &Value, depth: usize) -> AMQPValue {
    if depth > MAX_DEPTH {
        return AMQPValue::Void;
    }
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        // As py-amqp writes integers.
        Value::Int(value) => match i32::try_from(*value) {
            Ok(small) => AMQPValue::LongInt(small),
            Err(_) => AMQPValue::LongLongInt(*value),
        },
        Value::Big(digits) => long(digits),
        Value::Float(value) => AMQPValue::Double(*value),
        Value::Text(text) => long(text),
        Value::Bytes(bytes) => AMQPValue::ByteArray(ByteArray::from(bytes.as_slice())),
        Value::Tagged(Tag::Decimal, text) => {
            parse_decimal(text).map_or_else(|| long(text), AMQPValue::DecimalValue)
        }
        Value::Tagged(Tag::Datetime, text) => {
            parse_datetime(text).map_or_else(|| long(text), AMQPValue::Timestamp)
        }
        Value::Tagged(_, text) => long(text),
        Value::List(list) => {
            let mut array = FieldArray::default();
            list.iter().for_each(|value| array.push(write_value(value, depth + 1)));
            AMQPValue::FieldArray(array)
        }
        Value::Map(map) => AMQPValue::FieldTable(write_table(map, depth)),
    }
}

fn read_table(table: &FieldTable, depth: usize) -> Map {
    table
        .into_iter()
        .map(|(key, value)| (key.as_str().to_owned(), read_value(value, depth + 1)))
        .collect()
}

fn read_value(value: &AMQPValue, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    match value {
        AMQPValue::Void => Value::Null,
        AMQPValue::Boolean(value) => Value::Bool(*value),
        AMQPValue::ShortShortInt(value) => Value::Int(i64::from(*value)),
        AMQPValue::ShortShortUInt(value) => Value::Int(i64::from(*value)),
        AMQPValue::ShortInt(value) => Value::Int(i64::from(*value)),
        AMQPValue::ShortUInt(value) => Value::Int(i64::from(*value)),
        AMQPValue::LongInt(value) => Value::Int(i64::from(*value)),
        AMQPValue::LongUInt(value) => Value::Int(i64::from(*value)),
        AMQPValue::LongLongInt(value) => Value::Int(*value),
        AMQPValue::Float(value) => Value::Float(f64::from(*value)),
        AMQPValue::Double(value) => Value::Float(*value),
        AMQPValue::DecimalValue(value) => Value::Tagged(Tag::Decimal, show_decimal(*value)),
        AMQPValue::ShortString(text) => Value::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(text.as_bytes().to_vec()),
        },
        AMQPValue::FieldArray(array) => {
            Value::List(array.as_slice().iter().map(|value| read_value(value, depth + 1)).collect())
        }
        AMQPValue::Timestamp(seconds) => show_datetime(*seconds).map_or_else(
            || Value::Text(seconds.to_string()),
            |text| Value::Tagged(Tag::Datetime, text),
        ),
        AMQPValue::FieldTable(table) => Value::Map(read_table(table, depth)),
        AMQPValue::ByteArray(bytes) => Value::Bytes(bytes.as_slice().to_vec()),
    }
}

fn text(value: &Option<ShortString>) -> Option<String> {
    value.as_ref().map(|text| text.as_str().to_owned())
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.as_bytes().into())
}

/// About how many bytes a value takes on the wire.
fn weight(value: &Value, depth: usize) -> usize {
    if depth > MAX_DEPTH {
        return 1;
    }
    10 + match value {
        Value::Big(text) | Value::Text(text) | Value::Tagged(_, text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.iter().map(|value| weight(value, depth + 1)).sum(),
        Value::Map(map) => {
            map.iter().map(|(key, value)| key.len() + weight(value, depth + 1)).sum()
        }
        _ => 0,
    }
}

fn show_decimal(value: DecimalValue) -> String {
    let scale = usize::from(value.scale);
    if scale == 0 {
        return value.value.to_string();
    }
    let digits = format!("{:0>width$}", value.value, width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{whole}.{fraction}")
}

/// AMQP's decimals have no sign and 32 bits; `None` for those that do not fit.
fn parse_decimal(text: &str) -> Option<DecimalValue> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(DecimalValue { scale: fraction.len().try_into().ok()?, value: digits.parse().ok()? })
}

const DAY: u64 = 86_400;

/// Seconds since the epoch as ISO 8601 in UTC, up to the year 9999 that Python can say.
fn show_datetime(seconds: u64) -> Option<String> {
    // Days to civil date: eras of 400 years that begin in March (Howard Hinnant's algorithm).
    let days = seconds / DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    if year > 9999 {
        return None;
    }
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00"))
}

/// Reads whole seconds in UTC; `None` for anything that a timestamp cannot say.
fn parse_datetime(text: &str) -> Option<u64> {
    let local = text.strip_suffix("+00:00").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    let (date, time) = local.split_once(['T', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fits {
        return None;
    }
    let shifted_year = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: AMQPValue, read: Value) {
        assert_eq!(read_value(&value, 0), read);
        assert_eq!(read_value(&write_value(&read, 0), 0), read, "written and read again");
    }

    #[test]
    fn every_type_of_field_is_read_and_written() {
        check(AMQPValue::Void, Value::Null);
        check(AMQPValue::Boolean(true), Value::Bool(true));
        check(AMQPValue::ShortShortInt(-3), Value::Int(-3));
        check(AMQPValue::ShortShortUInt(200), Value::Int(200));
        check(AMQPValue::ShortInt(-300), Value::Int(-300));
        check(AMQPValue::ShortUInt(60_000), Value::Int(60_000));
        check(AMQPValue::LongInt(i32::MIN), Value::Int(i64::from(i32::MIN)));
        check(AMQPValue::LongUInt(u32::MAX), Value::Int(i64::from(u32::MAX)));
        check(AMQPValue::LongLongInt(i64::MIN), Value::Int(i64::MIN));
        check(AMQPValue::Float(0.5), Value::Float(0.5));
        check(AMQPValue::Double(f64::INFINITY), Value::Float(f64::INFINITY));
        check(long("größe"), Value::Text("größe".into()));
        check(AMQPValue::LongString(vec![255u8, 0].into()), Value::Bytes(vec![255, 0]));
        check(AMQPValue::ShortString("s".into()), Value::Text("s".into()));
        check(AMQPValue::ByteArray(vec![1u8, 2].into()), Value::Bytes(vec![1, 2]));
    }

    #[test]
    fn nested_tables_and_nulls_are_kept() {
        let inner = Map::from_iter([("who".to_owned(), Value::List(vec![Value::Null]))]);
        let value = Value::List(vec![Value::Map(inner), Value::List(Vec::new())]);
        check(write_value(&value, 0), value);
    }

    #[test]
    fn decimals_keep_their_scale() {
        let decimal = |scale, value, text: &str| {
            let wire = AMQPValue::DecimalValue(DecimalValue { scale, value });
            assert_eq!(write_value(&Value::Tagged(Tag::Decimal, text.into()), 0), wire);
            check(wire, Value::Tagged(Tag::Decimal, text.into()));
        };
        decimal(2, 110, "1.10");
        decimal(0, 7, "7");
        decimal(3, 5, "0.005");
        // No sign, and no more than 32 bits: text is the closest.
        let negative = Value::Tagged(Tag::Decimal, "-1.5".into());
        assert_eq!(write_value(&negative, 0), long("-1.5"));
    }

    #[test]
    fn timestamps_are_datetimes() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00+00:00"),
            (951_782_399, "2000-02-28T23:59:59+00:00"),
            (951_827_696, "2000-02-29T12:34:56+00:00"),
            (1_767_225_599, "2025-12-31T23:59:59+00:00"),
            (253_402_300_799, "9999-12-31T23:59:59+00:00"),
        ] {
            assert_eq!(show_datetime(seconds).as_deref(), Some(text));
            assert_eq!(parse_datetime(text), Some(seconds));
        }
        assert_eq!(show_datetime(u64::MAX), None);
        assert_eq!(parse_datetime("2020-01-01T00:00:00.5+00:00"), None);
        assert_eq!(parse_datetime("2020-01-01T00:00:00+02:00"), None);
    }

    #[test]
    fn nesting_without_end_is_cut_off() {
        let mut value = Value::Int(1);
        for _ in 0..1000 {
            value = Value::List(vec![value]);
        }
        let _ = read_value(&write_value(&value, 0), 0);
    }

    #[test]
    fn properties_survive() {
        let properties = Properties {
            content_type: Some("application/json".into()),
            content_encoding: Some("utf-8".into()),
            correlation_id: Some("id".into()),
            reply_to: Some("there".into()),
            delivery_mode: Some(1),
            priority: Some(3),
            expiration: Some("1000".into()),
            message_id: Some("m".into()),
            app_id: Some("a".into()),
            kind: Some("task".into()),
            timestamp: Some(1_700_000_000),
            other: Map::new(),
        };
        let written = write(&properties, &Map::new()).unwrap();
        assert_eq!(read(&written), (properties, Map::new(), None));
    }

    #[test]
    fn a_queues_count_of_deliveries_is_taken_out_of_the_headers() {
        let headers = Map::from_iter([(DELIVERY_COUNT.to_owned(), Value::Int(2))]);
        let written = write(&Properties::default(), &headers).unwrap();
        let (properties, headers, deliveries) = read(&written);
        assert_eq!((headers, deliveries), (Map::new(), Some(2)));
        assert_eq!(properties.delivery_mode, Some(2), "durable unless it says otherwise");
    }

    #[test]
    fn what_amqp_cannot_carry_is_refused() {
        let properties =
            Properties { correlation_id: Some("x".repeat(256)), ..Properties::default() };
        let refused = write(&properties, &Map::new());
        assert_eq!(refused, Err(TableError::TooLong { what: "correlation id", length: 256 }));

        let headers = Map::from_iter([("big".to_owned(), Value::Text("x".repeat(MAX_HEADERS)))]);
        assert!(matches!(write(&Properties::default(), &headers), Err(TableError::TooLarge(_))));
    }
}
