//! What is asked: the caller's own bytes, unless a field has to change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jairouter_core::{Endpoint, Error, InferenceRequest, Kind, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::fields::{Fate, Task};

type Fields<'a> = BTreeMap<Cow<'a, str>, Cow<'a, RawValue>>;

pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let task = match request.endpoint {
        Endpoint::ChatCompletions => Task::Chat,
        Endpoint::Completions => Task::Completion,
        Endpoint::Embeddings => Task::Embedding,
        // It takes any fields of those.
        Endpoint::Responses => return Ok(request.payload.clone()),
        other => {
            let message = format!("trtllm-serve does not offer {other}");
            return Err(Error::new(Kind::Unsupported, message));
        }
    };
    let mut asked = Asked::read(&request.payload)?;
    asked.drop_nulls();
    if task != Task::Embedding {
        asked.limit()?;
        asked.top_k()?;
        asked.stream_options(request.stream)?;
        asked.modalities()?;
        asked.parallel_tool_calls()?;
        if task == Task::Chat {
            asked.enable_thinking()?;
            asked.effort()?;
        }
    }
    asked.only_known(task)?;
    Ok(asked.written(&request.payload))
}

struct Asked<'a> {
    fields: Fields<'a>,
    /// Whether they are no longer what the caller wrote.
    changed: bool,
}

#[derive(Deserialize, Serialize)]
struct StreamOptions<'a> {
    #[serde(default)]
    include_usage: Option<bool>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    continuous_usage_stats: Option<&'a RawValue>,
}

impl<'a> Asked<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, Error> {
        let fields: BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_slice(payload)
            .map_err(|error| {
                // serde's own words would repeat the value at fault, which may be a prompt's.
                let (line, column) = (error.line(), error.column());
                let place = format!("at line {line} column {column}");
                let message = format!("the request is not of this endpoint's form {place}");
                Error::new(Kind::Invalid, message)
            })?;
        let fields = fields.into_iter().map(|(name, value)| (name, Cow::Borrowed(value)));
        Ok(Self { fields: fields.collect(), changed: false })
    }

    /// To this server, a null is a value of the wrong type.
    fn drop_nulls(&mut self) {
        let before = self.fields.len();
        self.fields.retain(|_, value| value.get() != "null");
        self.changed |= self.fields.len() != before;
    }

    fn field<T: for<'de> Deserialize<'de>>(
        &self,
        name: &'static str,
        must_be: &'static str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        let wrong = |_| invalid(name, format!("'{name}' must be {must_be}"));
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }

    fn take(&mut self, name: &str) -> Option<Cow<'a, RawValue>> {
        let value = self.fields.remove(name);
        self.changed |= value.is_some();
        value
    }

    fn set(&mut self, name: &'static str, value: &impl Serialize) {
        // Our own values have only string keys, so they are JSON.
        let Ok(value) = to_raw_value(value) else { return };
        self.fields.insert(name.into(), Cow::Owned(value));
        self.changed = true;
    }

    /// One limit by the name that every version has: both at once are refused. The newer counts.
    fn limit(&mut self) -> Result<(), Error> {
        for name in ["max_tokens", "max_completion_tokens"] {
            self.field::<i64>(name, "a whole number")?;
        }
        if let Some(limit) = self.take("max_completion_tokens") {
            self.fields.insert("max_tokens".into(), limit);
        }
        Ok(())
    }

    /// Elsewhere -1 is how to say that there is no bound; here it is 0, and -1 has stopped servers.
    fn top_k(&mut self) -> Result<(), Error> {
        if self.field::<i64>("top_k", "a whole number")?.is_some_and(|top_k| top_k < 0) {
            self.set("top_k", &0);
        }
        Ok(())
    }

    /// They are refused without a stream, and any are read as a wish for usage unless they say no.
    fn stream_options(&mut self, stream: bool) -> Result<(), Error> {
        let name = "stream_options";
        let Some(given) = self.fields.get(name) else { return Ok(()) };
        let options: StreamOptions<'_> = serde_json::from_str(given.get())
            .map_err(|_| invalid(name, "'stream_options' must be an object of options"))?;
        let keys: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(given.get())
            .map_err(|_| invalid(name, "'stream_options' must be an object of options"))?;
        let is_known = |key: &str| matches!(key, "include_usage" | "continuous_usage_stats");
        if !stream {
            self.take(name);
        } else if options.include_usage.is_none() || !keys.keys().all(|key| is_known(key)) {
            let include_usage = Some(options.include_usage.unwrap_or(false));
            let options = to_raw_value(&StreamOptions { include_usage, ..options });
            self.fields.extend(options.ok().map(|options| (name.into(), Cow::Owned(options))));
            self.changed = true;
        }
        Ok(())
    }

    fn modalities(&mut self) -> Result<(), Error> {
        let given: Option<Vec<String>> = self.field("modalities", "a list of texts")?;
        if given.is_some_and(|given| given.iter().any(|modality| modality != "text")) {
            return Err(unsupported("modalities", "trtllm-serve answers in text"));
        }
        self.take("modalities");
        Ok(())
    }

    /// Newer servers take it, and none keeps a model to one call.
    fn parallel_tool_calls(&mut self) -> Result<(), Error> {
        let name = "parallel_tool_calls";
        let parallel: Option<bool> = self.field(name, "true or false")?;
        if parallel == Some(false) && self.fields.get("tools").is_some_and(|tools| says(tools)) {
            let message = "trtllm-serve cannot keep a model from calling several tools at once";
            return Err(unsupported(name, message));
        }
        self.take(name);
        Ok(())
    }

    /// Where other servers have it at the top, it belongs to the template here.
    fn enable_thinking(&mut self) -> Result<(), Error> {
        let Some(enabled) = self.take("enable_thinking") else { return Ok(()) };
        let name = "chat_template_kwargs";
        let mut kwargs: Fields<'_> = match self.fields.get(name) {
            None => Fields::new(),
            Some(given) => {
                let given: BTreeMap<Cow<'_, str>, Box<RawValue>> =
                    serde_json::from_str(given.get())
                        .map_err(|_| invalid(name, "'chat_template_kwargs' must be an object"))?;
                let owned = |(key, value): (Cow<'_, str>, _)| {
                    (Cow::Owned(key.into_owned()), Cow::Owned(value))
                };
                given.into_iter().map(owned).collect()
            }
        };
        kwargs.entry("enable_thinking".into()).or_insert(enabled);
        self.set(name, &kwargs);
        Ok(())
    }

    /// The levels it does not know become their neighbours.
    fn effort(&mut self) -> Result<(), Error> {
        let name = "reasoning_effort";
        match self.field::<String>(name, "a level of effort")?.as_deref() {
            Some("minimal") => self.set(name, &"low"),
            Some("xhigh") => self.set(name, &"high"),
            _ => {}
        }
        Ok(())
    }

    fn only_known(&mut self, task: Task) -> Result<(), Error> {
        let before = self.fields.len();
        let mut refused = None;
        self.fields.retain(|name, value| match task.fate(name, says(value)) {
            Fate::Sent => true,
            Fate::Omitted => false,
            Fate::Refused { param, why } => {
                refused.get_or_insert_with(|| unsupported(param, why));
                true
            }
            Fate::Unknown => {
                refused.get_or_insert_with(|| unknown(name));
                true
            }
        });
        self.changed |= self.fields.len() != before;
        refused.map_or(Ok(()), Err)
    }

    fn written(&self, payload: &Bytes) -> Bytes {
        if !self.changed {
            return payload.clone();
        }
        let mut out = BytesMut::with_capacity(payload.len());
        translate::json(&mut out, &self.fields);
        out.freeze()
    }
}

/// Whether a value is more than an empty text, list or object, or false.
fn says(value: &RawValue) -> bool {
    let inside = |open, close| value.get().strip_prefix(open)?.strip_suffix(close);
    let is_empty = inside('{', '}')
        .or_else(|| inside('[', ']'))
        .is_some_and(|inside| inside.trim().is_empty());
    !is_empty && !matches!(value.get(), r#""""# | "false")
}

/// A field that would make this server refuse the request, and of which nobody knows what it is for.
fn unknown(name: &str) -> Error {
    let end = name.floor_char_boundary(64);
    let message = format!("trtllm-serve has no parameter '{}'", &name[..end]);
    Error::new(Kind::Unsupported, message)
}

fn unsupported(param: &'static str, message: &'static str) -> Error {
    Error::new(Kind::Unsupported, message).with_param(param)
}

fn invalid(param: &'static str, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::Invalid, message).with_param(param).with_code("invalid_value")
}
