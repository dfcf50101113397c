//! JSON as a server may accept it from strangers: objects whose member names are unique (RFC 7515
//! §4 demands it, RFC 8259 §4 advises it), of bounded depth, with members of the expected type.
//! What a member means is not known here.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::Problem;

/// A JSON object being taken apart. Members nobody takes are ignored, as RFC 8555 §7.3 demands
/// of unknown ones; a member that is `null` counts as absent.
pub(crate) struct Object {
    members: Map<String, Value>,
    what: &'static str,
}

impl Object {
    /// Reads `bytes` as an object; `what` names it in errors.
    pub(crate) fn parse(bytes: &[u8], what: &'static str) -> Result<Self, Problem> {
        let mut from = serde_json::Deserializer::from_slice(bytes);
        let value = Strict { depth: 0 }
            .deserialize(&mut from)
            .and_then(|value| from.end().map(|()| value))
            .map_err(|e| Problem::malformed(format!("{what} is not acceptable JSON: {e}")))?;
        Self::from_value(value, what)
    }

    /// Takes a value that was read by [`Object::parse`] as part of another object.
    pub(crate) fn from_value(value: Value, what: &'static str) -> Result<Self, Problem> {
        match value {
            Value::Object(members) => Ok(Self { members, what }),
            _ => Err(Problem::malformed(format!("{what} is not a JSON object"))),
        }
    }

    /// The object as a value again.
    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.members)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub(crate) fn required_string(&mut self, name: &str) -> Result<String, Problem> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| self.wrong(name, "an integer")),
        }
    }

    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(self.wrong(name, "an array")),
        }
    }

    /// A member that must be there and be base64url without padding (RFC 7515 §2).
    pub(crate) fn required_bytes(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        let text = self.required_string(name)?;
        base64url(&text).ok_or_else(|| self.wrong(name, "base64url without padding"))
    }

    pub(crate) fn missing(&self, name: &str) -> Problem {
        Problem::malformed(format!("{} has no \"{name}\"", self.what))
    }

    pub(crate) fn wrong(&self, name: &str, expected: &str) -> Problem {
        Problem::malformed(format!("\"{name}\" in {} must be {expected}", self.what))
    }
}

/// Strict base64url: no padding, no white space, no bits left over (RFC 7515 §2, RFC 4648 §3.5).
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// Reads any value, refusing repeated names and deep nesting while reading.
#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("it is nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("it has {name:?} twice")));
            }
            let value = from.next_value_seed(inner)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// ACME's deepest request nests five levels (an EAB's JWS in a newAccount).
const MAX_DEPTH: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Object::parse(text.as_bytes(), "the test").err().expect("refused").detail
    }

    #[test]
    fn a_repeated_name_is_refused_at_any_depth() {
        assert!(refused(r#"{"a":1,"a":1}"#).contains("twice"));
        assert!(refused(r#"{"a":[{"b":1,"\u0062":1}]}"#).contains("twice"));
    }

    #[test]
    fn only_a_bounded_object_and_nothing_after_it_is_read() {
        for text in ["", "[]", "1", "{}{}", "{} x", "{\"a\":}", "{\"a\":1,}", "nul", "\u{feff}{}"] {
            refused(text);
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(8), "]".repeat(8));
        assert!(refused(&deep).contains("deeply"));
        assert!(Object::parse(br#" {"a":[[[[1]]]]} "#, "x").is_ok());
    }

    #[test]
    fn members_have_the_expected_type() {
        let mut object =
            Object::parse(br#"{"s":"x","b":true,"n":null,"i":7,"f":1.5}"#, "x").expect("object");
        assert_eq!(object.string("s").expect("string").as_deref(), Some("x"));
        assert!(object.string("b").is_err());
        assert_eq!(object.boolean("n").expect("absent"), None);
        assert_eq!(object.integer("i").expect("integer"), Some(7));
        assert!(object.integer("f").is_err());
        assert!(object.required_string("gone").is_err());
    }

    #[test]
    fn base64url_is_strict() {
        assert_eq!(base64url("AQ").as_deref(), Some(&[1][..]));
        for bad in ["AQ==", "AR", "A", "A+", "A/", " AQ", "AQ\n"] {
            assert!(base64url(bad).is_none(), "{bad:?}");
        }
    }
}
