//! [`Fields`]: an object whose fields keep their order and their bytes, while some are changed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, translate};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::read::place;

/// The fields of an object, in order. What is not changed is written as it was read, so that numbers
/// of any size pass.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> Fields<'a> {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The fields of a request.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is no object.
    pub fn of_request(request: &'a InferenceRequest) -> Result<Self, Error> {
        serde_json::from_slice(&request.payload).map_err(|error| {
            let message = format!("the request is not of this endpoint's form {}", place(&error));
            Error::new(Kind::Invalid, message)
        })
    }

    /// The fields of a value, if it is an object.
    pub fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// A field that is there and not null.
    pub fn given(&self, name: &str) -> Option<&RawValue> {
        let mut fields = self.0.iter();
        let (_, value) = fields.find(|(key, _)| key == name)?;
        (value.get() != "null").then_some(value)
    }

    /// A field that must be there.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is not.
    pub fn required(&self, name: &'static str) -> Result<&RawValue, Error> {
        let missing = || {
            let message = format!("you must provide a '{name}' parameter");
            Error::new(Kind::Invalid, message)
                .with_param(name)
                .with_code("missing_required_parameter")
        };
        self.given(name).ok_or_else(missing)
    }

    /// A field of this type, if it is given.
    ///
    /// # Errors
    ///
    /// [`Kind::Invalid`] if it is of another, which `must_be` says in words.
    pub fn field<T: DeserializeOwned>(
        &self,
        name: &'static str,
        must_be: &str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let wrong = |_| invalid(name, format!("'{name}' must be {must_be}"));
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }

    /// A field that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.given(name)?.get()).ok()
    }

    /// Whether a field is given and holds anything: an empty text, list or object says nothing.
    pub fn says(&self, name: &str) -> bool {
        self.given(name).is_some_and(|value| !is_empty(value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// Takes a field out, whatever it holds.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, RawValue>> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes out all fields of which this is true.
    pub fn take_all(&mut self, which: impl Fn(&str) -> bool) -> Self {
        let (taken, rest) =
            std::mem::take(&mut self.0).into_iter().partition(|(key, _)| which(key));
        self.0 = rest;
        Self(taken)
    }

    /// Sets a field, where it stands or at the end.
    pub fn put(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, RawValue>>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a field to a value of ours.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: &impl Serialize) {
        // Memory does not refuse a write, and our own types have only string keys.
        if let Ok(value) = to_raw_value(value) {
            self.put(name, Cow::Owned(value));
        }
    }

    /// Sets all these fields.
    pub fn put_all(&mut self, others: Self) {
        self.0.extend(others.0);
        self.0 = last_of_each(std::mem::take(&mut self.0));
    }

    /// Gives a field another name where it stands. One that has that name already is gone.
    pub fn rename(&mut self, from: &str, to: &'static str) {
        if self.0.iter().any(|(key, _)| key == from) {
            self.0.retain(|(key, _)| key != to);
        }
        if let Some((key, _)) = self.0.iter_mut().find(|(key, _)| key == from) {
            *key = Cow::Borrowed(to);
        }
    }

    /// Changes a field that is an object, if `change` says that it has; true if so.
    ///
    /// # Errors
    ///
    /// What `change` returns.
    pub fn within(
        &mut self,
        name: &'static str,
        change: impl FnOnce(&mut Fields<'_>) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let Some(mut inner) = self.given(name).and_then(Fields::of) else { return Ok(false) };
        if !change(&mut inner)? {
            return Ok(false);
        }
        let written = to_raw_value(&inner);
        drop(inner);
        self.put_written(name, written.ok());
        Ok(true)
    }

    /// Changes the objects in a field that is a list of them, as [`Fields::within`] does. `change` is
    /// given the place of each.
    ///
    /// # Errors
    ///
    /// What `change` returns.
    pub fn within_each(
        &mut self,
        name: &'static str,
        mut change: impl FnMut(usize, &mut Fields<'_>) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let list = self.given(name).map(|list| serde_json::from_str::<Vec<Fields<'_>>>(list.get()));
        let Some(Ok(mut list)) = list else { return Ok(false) };
        let mut changed = false;
        for (at, item) in list.iter_mut().enumerate() {
            changed |= change(at, item)?;
        }
        if !changed {
            return Ok(false);
        }
        let written = to_raw_value(&list);
        drop(list);
        self.put_written(name, written.ok());
        Ok(true)
    }

    fn put_written(&mut self, name: &'static str, written: Option<Box<RawValue>>) {
        if let Some(written) = written {
            self.put(name, Cow::Owned(written));
        }
    }

    /// The object as JSON.
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::new();
        translate::json(&mut out, self);
        out.freeze()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, Cow::Borrowed(map.next_value::<&'de RawValue>()?)));
                }
                Ok(Fields(last_of_each(fields)))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, &**value)))
    }
}

/// Of fields that have one name the last counts, as for most parsers.
fn last_of_each<T>(mut fields: Vec<(Cow<'_, str>, T)>) -> Vec<(Cow<'_, str>, T)> {
    let mut seen = HashSet::with_capacity(fields.len());
    let is_last: Vec<_> = fields.iter().rev().map(|(name, _)| seen.insert(&**name)).collect();
    let mut is_last = is_last.into_iter().rev();
    fields.retain(|_| is_last.next().unwrap_or(true));
    fields
}

/// A key that is not copied unless it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A text, a list or an object with nothing in it, or null.
pub fn is_empty(value: &RawValue) -> bool {
    matches!(value.get(), "null" | "\"\"") || is_hollow(value)
}

/// A list or an object with nothing in it.
pub fn is_hollow(value: &RawValue) -> bool {
    let inside = |open, close| value.get().strip_prefix(open)?.strip_suffix(close);
    inside('{', '}').or_else(|| inside('[', ']')).is_some_and(|inside| inside.trim().is_empty())
}

/// What an engine has no word for.
pub fn unsupported(param: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Unsupported, message).with_param(param)
}

/// What nobody could understand.
pub fn invalid(param: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Invalid, message).with_param(param).with_code("invalid_value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_is_written_as_it_was_read() {
        let text = r#"{"b":18446744073709551616,"a":{ "x" : 1.0 },"é":"\u00e9"}"#;
        let mut fields: Fields<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(fields.write(), text);
        fields.rename("b", "c");
        fields.set("a", &1);
        fields.take("é");
        assert_eq!(fields.write(), r#"{"c":18446744073709551616,"a":1}"#);
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_counts() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(fields.write(), r#"{"b":2,"a":3}"#);
    }

    #[test]
    fn null_is_not_there_and_empty_things_say_nothing() {
        let text = r#"{"a":null,"b":[ ],"c":{},"d":"","e":0,"f":"x"}"#;
        let fields: Fields<'_> = serde_json::from_str(text).unwrap();
        assert!(fields.given("a").is_none() && fields.given("b").is_some());
        let says: Vec<_> = fields.names().filter(|name| fields.says(name)).collect();
        assert_eq!(says, ["e", "f"]);
    }
}
