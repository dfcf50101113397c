//! What is hashed of an event: one line of JSON that other programs can make again. The form of it never
//! changes, for every hash ever signed depends on it.

/// An event, as far as it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub id: i64,
    /// When, in Unix seconds.
    pub at: i64,
    /// Who acted.
    pub actor: &'a str,
    /// What was done.
    pub action: &'a str,
    /// What it was done to.
    pub subject: &'a str,
    /// The HTTP request that asked for it, if one did.
    pub request: Option<&'a str>,
    /// The rotation it is part of.
    pub rotation: Option<i64>,
    /// What else is said of it: JSON, as it is stored.
    pub detail: Option<&'a str>,
}

impl Entry<'_> {
    /// The line, without a line feed: an object of the eight fields in this order, `null` where one says
    /// nothing, no spaces, `detail` as it is stored. In strings `"`, `\` and what is below U+0020 are
    /// escaped, as `\b`, `\t`, `\n`, `\f`, `\r` or `\u00xx` in lower case, and nothing else (RFC 8785
    /// §3.2.2.2). Two events that differ have lines that differ.
    pub fn line(&self) -> String {
        let mut out = String::with_capacity(160 + self.detail.map_or(0, str::len));
        out.push_str("{\"id\":");
        out.push_str(&self.id.to_string());
        out.push_str(",\"at\":");
        out.push_str(&self.at.to_string());
        for (name, text) in [
            (",\"actor\":", Some(self.actor)),
            (",\"action\":", Some(self.action)),
            (",\"subject\":", Some(self.subject)),
            (",\"request\":", self.request),
        ] {
            out.push_str(name);
            match text {
                Some(text) => quote(text, &mut out),
                None => out.push_str(NULL),
            }
        }
        out.push_str(",\"rotation\":");
        match self.rotation {
            Some(id) => out.push_str(&id.to_string()),
            None => out.push_str(NULL),
        }
        out.push_str(",\"detail\":");
        out.push_str(self.detail.unwrap_or(NULL));
        out.push('}');
        out
    }
}

/// The number of the event that a line is of; none if it is no such line.
pub fn line_id(line: &str) -> Option<i64> {
    let rest = line.strip_prefix("{\"id\":")?;
    rest.split_once(',')?.0.parse().ok()
}

/// The line that event `id` would have if all else of it were as in `line`.
pub fn renumbered(line: &str, id: i64) -> String {
    let rest = line.find(',').map_or("", |comma| &line[comma..]);
    format!("{{\"id\":{id}{rest}")
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = from.chars();
        if let Some(c) = characters.next() {
            escape(c, out);
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn escape(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
    }
}

const NULL: &str = "null";
