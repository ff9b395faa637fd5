//! `umbel worker --show-config`: each value and where it came from.

use std::process::ExitCode;

use serde_json::json;

use crate::out;
use crate::settings::Settings;

/// Prints the settings; URLs without their passwords.
pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    if settings.json {
        let mut values = serde_json::Map::new();
        for shown in &settings.shown {
            let origin = shown.origin.to_string();
            values.insert(shown.key.into(), json!({ "value": shown.value, "from": origin }));
        }
        let plugins: Vec<&str> = settings.plugins.iter().map(|table| table.name.as_str()).collect();
        values.insert("plugins".into(), json!(plugins));
        out::json(&values.into())?;
        return Ok(ExitCode::SUCCESS);
    }
    let key_width = settings.shown.iter().map(|shown| shown.key.len()).max().unwrap_or(0);
    let value = |value: &str| if value.is_empty() { "-".to_owned() } else { value.to_owned() };
    let values = settings.shown.iter().map(|shown| value(&shown.value).chars().count());
    let value_width = values.max().unwrap_or(0).min(48);
    for shown in &settings.shown {
        let value = value(&shown.value);
        out::line(&format!("{:key_width$}  {value:value_width$}  {}", shown.key, shown.origin))?;
    }
    for table in &settings.plugins {
        out::line(&format!("[plugins.{}]", table.name))?;
    }
    Ok(ExitCode::SUCCESS)
}
