//! Answers of `:generateContent`.

use bytes::{Bytes, BytesMut};
use jairouter_core::{Error, InferenceRequest, Kind, translate};

use super::chunk::{Image, Logprobs, Said, ToolCall, Whole};
use crate::native::{Answer, Candidate, finish_reason};
use jairouter_openai::identity::Identity;

/// Rewrites an answer in one piece.
pub(crate) fn whole(request: &InferenceRequest, bytes: &[u8]) -> Result<Bytes, Error> {
    let answer = Answer::read(bytes)?;
    let candidates = answer.candidates.iter().flatten();
    let mut choices = candidates.map(choice).collect::<Result<Vec<_>, _>>()?;
    if choices.is_empty() {
        if !answer.is_blocked() {
            return Err(Error::new(Kind::Broken, "the instance's answer holds no candidates"));
        }
        choices.push(blocked());
    }
    let mut identity = Identity::new(request);
    identity.learn(&answer.response_id, &answer.model_version);
    let usage = Some(answer.usage_metadata.unwrap_or_default().usage());
    let mut out = BytesMut::with_capacity(bytes.len() + 256);
    translate::json(&mut out, &identity.answer("chat.completion", &choices, usage));
    Ok(out.freeze())
}

fn choice(candidate: &Candidate<'_>) -> Result<Whole, Error> {
    let Some(finish) = candidate.finish() else {
        return Err(Error::new(Kind::Broken, "the instance's answer is not complete"));
    };
    let (mut thinking, mut content) = (String::new(), String::new());
    let (mut images, mut calls) = (Vec::new(), Vec::new());
    for part in candidate.parts() {
        if part.thought { &mut thinking } else { &mut content }.push_str(&part.text);
        images.extend(part.inline_data.as_ref().map(Image::new));
        let call = part.function_call.as_ref();
        calls.extend(call.map(|call| ToolCall::new(None, call, &part.thought_signature)));
    }
    let finish_reason = finish_reason(finish, !calls.is_empty());
    Ok(Whole {
        index: candidate.index,
        message: Said {
            role: "assistant",
            reasoning_content: (!thinking.is_empty()).then_some(thinking),
            content: (!content.is_empty() || calls.is_empty()).then_some(content),
            images,
            tool_calls: calls,
        },
        logprobs: candidate.logprobs_result.as_ref().map(Logprobs::new),
        finish_reason,
    })
}

/// What there is to say of a prompt that was not answered.
fn blocked() -> Whole {
    let message = Said {
        role: "assistant",
        reasoning_content: None,
        content: Some(String::new()),
        images: Vec::new(),
        tool_calls: Vec::new(),
    };
    Whole { index: 0, message, logprobs: None, finish_reason: "content_filter" }
}
