//! What a generation looks like on the wire: whole, and in chunks.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Generation<'a, C> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    /// Always 0: the same request is answered the same at any time.
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) system_fingerprint: &'static str,
    pub(crate) choices: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
}

/// In simulated tokens. Embeddings have no completion.
#[derive(Serialize)]
pub(crate) struct Usage {
    #[serde(rename = "prompt_tokens")]
    pub(crate) prompt: usize,
    #[serde(rename = "completion_tokens", skip_serializing_if = "Option::is_none")]
    pub(crate) completion: Option<usize>,
    #[serde(rename = "total_tokens")]
    pub(crate) total: usize,
}

#[derive(Serialize)]
pub(crate) struct Choice<'a> {
    pub(crate) index: usize,
    #[serde(flatten)]
    pub(crate) part: Part<'a>,
    pub(crate) logprobs: (),
    pub(crate) finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part<'a> {
    Message(Delta<'a>),
    Delta(Delta<'a>),
    Text(&'a str),
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Delta<'a> {
    Role {
        role: &'static str,
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_calls: Option<[Call<'a>; 1]>,
    },
    Content {
        content: &'a str,
    },
    Calls {
        tool_calls: [Call<'a>; 1],
    },
    Nothing {},
}

#[derive(Serialize)]
pub(crate) struct Call<'a> {
    /// Only in a chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<usize>,
    /// These are not repeated after the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<&'static str>,
    pub(crate) function: Called<'a>,
}

#[derive(Serialize)]
pub(crate) struct Called<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    pub(crate) arguments: &'a str,
}

/// Adds a value as an event.
pub(crate) fn event(out: &mut BytesMut, value: &impl Serialize) {
    out.put_slice(b"data: ");
    json(out, value);
    out.put_slice(b"\n\n");
}

/// A value in one piece.
pub(crate) fn whole(value: &impl Serialize) -> Bytes {
    let mut out = BytesMut::new();
    json(&mut out, value);
    out.freeze()
}

fn json(out: &mut BytesMut, value: &impl Serialize) {
    let written = serde_json::to_writer(out.writer(), value);
    debug_assert!(written.is_ok(), "memory takes every byte, and every key is a text");
}
