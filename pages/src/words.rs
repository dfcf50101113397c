//! What an event adds to its name, in words: a JSON value as a line of text, bounded.

use serde_json::Value;

/// `{"why":"asked","targets":["a"]}` as `why: asked; targets: a`.
pub(crate) fn line(value: &Value) -> String {
    let mut out = String::new();
    say(value, &mut out, 0);
    if out.chars().count() > LONGEST {
        out = out.chars().take(LONGEST).chain("…".chars()).collect();
    }
    out
}

fn say(value: &Value, out: &mut String, depth: usize) {
    match value {
        Value::Null => {}
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                say(item, out, depth + 1);
            }
        }
        Value::Object(fields) => {
            let mut first = true;
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                if !first {
                    out.push_str(if depth == 0 { "; " } else { ", " });
                }
                first = false;
                out.push_str(&name.replace('_', " "));
                out.push_str(": ");
                say(value, out, depth + 1);
            }
        }
        other => out.push_str(&other.to_string()),
    }
}

const LONGEST: usize = 600;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_are_words() {
        let detail = json!({ "n": 3, "none": null, "retry_at": "now", "targets": ["a", "b"] });
        assert_eq!(line(&detail), "n: 3; retry at: now; targets: a, b");
        assert_eq!(line(&Value::Null), "");
        assert!(line(&json!("x".repeat(5000))).chars().count() <= LONGEST + 1);
    }
}
