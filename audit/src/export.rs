//! Lines of the log in the forms that collectors take: syslog (RFC 5424) and OCSF. Each carries the line
//! itself, so that it can be proven from wherever it went.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A line as a syslog message (RFC 5424 §6), facility *log audit*: its structured data has the fields, its
/// text is the line. Without a line feed. None if it is no line of a log.
pub fn syslog(line: &str, host: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let at = Timestamp::from_second(event["at"].as_i64()?).ok()?;
    let id = event["id"].as_i64()?;
    let severity = if failed(text("action")) { WARNING } else { INFORMATIONAL };
    let mut data = format!("[{STRUCTURED} id=\"{id}\"");
    for name in ["actor", "action", "subject", "request"] {
        if event[name].is_string() {
            data.push_str(&format!(" {name}=\"{}\"", parameter(text(name))));
        }
    }
    if let Some(rotation) = event["rotation"].as_i64() {
        data.push_str(&format!(" rotation=\"{rotation}\""));
    }
    data.push(']');
    let (priority, host) = (LOG_AUDIT * 8 + severity, word(host, 255));
    let action = word(text("action"), 32);
    Some(format!("<{priority}>1 {at} {host} perennial - {action} {data} {line}"))
}

/// A line as an OCSF event of the class *Entity Management* (3004). None if it is no line of a log.
pub fn ocsf(line: &str, host: &str, version: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let (action, subject) = (text("action"), text("subject"));
    let (activity, activity_name) = activity(action);
    let (kind, name) = subject.split_once('/').unwrap_or(("node", subject));
    let failed = failed(action);
    let id = event["id"].as_i64()?;
    let mut shown = json!({
        "class_uid": 3004,
        "class_name": "Entity Management",
        "category_uid": 3,
        "category_name": "Identity & Access Management",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": 300_400 + activity,
        "time": event["at"].as_i64()?.checked_mul(1000)?,
        "severity_id": if failed { 3 } else { 1 },
        "status_id": if failed { 2 } else { 1 },
        "message": format!("{} {action} {subject}", text("actor")),
        "actor": { "user": { "name": text("actor") } },
        "entity": { "name": name, "type": kind, "uid": subject, "data": event["detail"] },
        "device": { "hostname": host, "type_id": 1 },
        "metadata": {
            "version": "1.3.0",
            "uid": id.to_string(),
            "sequence": id,
            "log_name": "audit",
            "correlation_uid": event["request"],
            "product": { "name": "Perennial", "vendor_name": "Perennial", "version": version },
        },
        "unmapped": { "action": action, "rotation": event["rotation"] },
        "raw_data": line,
    });
    drop_nulls(&mut shown);
    Some(shown)
}

/// What is not known is not there: the schema has no nulls.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(drop_nulls);
    }
}

/// The activity of the class that an action is, by its verb.
fn activity(action: &str) -> (i64, &'static str) {
    let verb = action.split_once('.').map_or(action, |(_, verb)| verb);
    match verb {
        "create" | "issue" | "intend" | "begin" | "enlist" | "announce" | "obtain" => (1, "Create"),
        "pull" | "sds" | "export" => (2, "Read"),
        "forget" | "remove" | "undeclare" | "destroy" | "withdraw" => (4, "Delete"),
        "revoke" => (9, "Disable"),
        _ => (3, "Update"),
    }
}

fn failed(action: &str) -> bool {
    let verb = action.split_once('.').map_or(action, |(_, verb)| verb);
    matches!(verb, "fail" | "refuted" | "invalid" | "abandon")
}

/// The value of a parameter (RFC 5424 §6.3.3). Control characters have no place in a line.
fn parameter(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' | ']' => out.extend(['\\', c]),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// A field of the header: printable ASCII, `-` where there is nothing (RFC 5424 §6).
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".into() } else { word }
}

/// RFC 5424 §6.2.1.
const LOG_AUDIT: u8 = 13;
const WARNING: u8 = 4;
const INFORMATIONAL: u8 = 6;
/// Names of structured data have a private enterprise number; this is the one for examples (RFC 5612), as
/// there is none of our own.
const STRUCTURED: &str = "perennial@32473";
