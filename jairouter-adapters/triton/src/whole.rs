//! Answers in one piece.

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, translate};

use crate::answer::{Identity, Usage, inferred};
use crate::asked::Asked;
use crate::reply::Reply;
use crate::request::unsupported;
use crate::settings::Settings;
use crate::teller::Teller;

/// Rewrites an answer in one piece.
pub(crate) fn decode(
    settings: &Settings,
    request: &InferenceRequest,
    bytes: &[u8],
) -> Result<Bytes, Error> {
    let asked = Asked::read(settings, request)?;
    let reply = Reply::read(bytes)?;
    let mut texts = reply.texts()?;
    // A text of no elements is one that says nothing; beams beyond what was asked are the engine's.
    texts.resize(texts.len().clamp(1, asked.choices), "".into());
    if texts.len() < asked.choices {
        let message = "this triton's model gives one choice: 'n' must be 1";
        return Err(unsupported("n", message));
    }
    let reasons = reply.reasons()?;
    let counts = reply.output_tokens();
    let alone = (texts.len() == 1).then(|| reply.probable_tokens()).flatten();
    let mut choices = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let mut teller = Teller::new(settings, &asked, false);
        let mut told = teller.push(text)?;
        let (rest, is_stopped) = teller.finish();
        told.push_str(&rest);
        let tokens = counts.get(index).copied().or(alone);
        let reason = reasons.get(index).copied().flatten();
        let reason = reason.unwrap_or_else(|| inferred(is_stopped, tokens, asked.limit));
        choices.push((told, reason));
    }
    let completion = match counts.is_empty() {
        true => alone.unwrap_or(0),
        false => counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count)),
    };
    let usage = Usage::new(reply.input_tokens().unwrap_or(0), completion);
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &Identity::new(request).whole(&choices, usage));
    Ok(out.freeze())
}
