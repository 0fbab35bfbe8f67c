//! [`Habits`]: what an engine with OpenAI's API does otherwise in its chats and completions.
//!
//! ```
//! use http::{HeaderMap, Response};
//! use http_body_util::BodyExt;
//! use jairouter_core::{Body, Endpoint, InferenceRequest};
//! use jairouter_openai::habits::{End, Habits};
//!
//! const MINE: Habits = Habits::new().reasoning().end(End::Done);
//!
//! # futures::executor::block_on(async {
//! let question = r#"{"model":"m","messages":[]}"#;
//! let request =
//!     InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), question.into())?;
//! let said = r#"{"choices":[{"message":{"reasoning":"2+2","content":"4"}}]}"#;
//! let answer = MINE.decode(&request, Response::new(Body::from(said)));
//! let text = answer.into_body().collect().await?.to_bytes();
//! assert_eq!(text, r#"{"choices":[{"message":{"reasoning_content":"2+2","content":"4"}}]}"#);
//! # Ok::<(), jairouter_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! Events and answers that need no change keep their bytes; whether one might is found out by a
//! search for the words in question, before anything is parsed. An error in a 200 is one, whatever
//! the engine's habits.

mod calls;
mod choice;
mod stream;
mod whole;
mod words;

use http::Response;
use jairouter_core::{Body, Endpoint, Error, InferenceRequest, refusal};

use crate::answer;
use crate::ask;
use crate::fields::Fields;
use crate::stops::Stops;
use choice::Choices;

/// What an engine does otherwise. Each of the methods adds a habit.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    flags: u16,
    end: End,
    error: fn(&[u8]) -> Error,
}

/// What ends a stream of an engine's that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum End {
    /// Who can tell: it is left to who reads the stream.
    #[default]
    Any,
    /// `[DONE]`, and nothing less.
    Done,
    /// The end of the body behind a finish reason. `[DONE]` is added.
    Finished,
}

const REASONING: u16 = 1;
const UNASKED_USAGE: u16 = 1 << 1;
const REASONING_TOKENS: u16 = 1 << 2;
const REPEATED_DELTAS: u16 = 1 << 3;
const SHARED_TOOL_IDS: u16 = 1 << 4;
const STOP_AFTER_CALLS: u16 = 1 << 5;
const NO_IDS: u16 = 1 << 6;
const KEPT_STOPS: u16 = 1 << 7;

impl Default for Habits {
    fn default() -> Self {
        Self::new()
    }
}

impl Habits {
    /// No habits: errors are all that is looked for.
    pub const fn new() -> Self {
        Self { flags: 0, end: End::Any, error: refusal::in_stream }
    }

    const fn with(self, flag: u16) -> Self {
        Self { flags: self.flags | flag, ..self }
    }

    const fn has(self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// It calls `reasoning` what others call `reasoning_content`. Where both are said, one is told.
    #[must_use]
    pub const fn reasoning(self) -> Self {
        self.with(REASONING)
    }

    /// It ends streams with a usage that nobody has asked for.
    #[must_use]
    pub const fn unasked_usage(self) -> Self {
        self.with(UNASKED_USAGE)
    }

    /// It counts the tokens of reasoning beside the others, instead of in `completion_tokens_details`.
    #[must_use]
    pub const fn reasoning_tokens_aside(self) -> Self {
        self.with(REASONING_TOKENS)
    }

    /// It says the role and a tool call's id and type in every delta, or says that they are null:
    /// clients that put deltas together would repeat them.
    #[must_use]
    pub const fn repeated_deltas(self) -> Self {
        self.with(REPEATED_DELTAS)
    }

    /// It gives every tool call the same id.
    #[must_use]
    pub const fn shared_tool_ids(self) -> Self {
        self.with(SHARED_TOOL_IDS)
    }

    /// It says `stop` behind tool calls, or in a stream nothing at all.
    #[must_use]
    pub const fn stop_after_calls(self) -> Self {
        self.with(STOP_AFTER_CALLS)
    }

    /// Its answers have no ids.
    #[must_use]
    pub const fn no_ids(self) -> Self {
        self.with(NO_IDS)
    }

    /// It leaves the text that it stopped at in the answer.
    #[must_use]
    pub const fn kept_stops(self) -> Self {
        self.with(KEPT_STOPS)
    }

    /// What ends its streams.
    #[must_use]
    pub const fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// How its errors in a 200 are read. Otherwise [`refusal::in_stream`] does.
    #[must_use]
    pub const fn errors(self, error: fn(&[u8]) -> Error) -> Self {
        Self { error, ..self }
    }

    /// An engine's answer without its habits. Of other endpoints than chats and completions it stays
    /// as it is.
    pub fn decode(self, request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        if !matches!(request.endpoint, Endpoint::ChatCompletions | Endpoint::Completions) {
            return answer;
        }
        if answer::is_event_stream(&answer) {
            return answer::edited(answer, stream::Stream::new(self, request));
        }
        // A stream of something else is nothing that is known here.
        if request.stream && !answer::is_json(&answer) {
            return answer;
        }
        let (choices, id) = (Choices::new(self, self.stops(request)), self.id(request));
        answer::whole(answer, move |bytes| whole::whole(self, choices, &id, bytes))
    }

    /// The id of an answer that has none.
    fn id(self, request: &InferenceRequest) -> String {
        match request.endpoint {
            _ if !self.has(NO_IDS) => String::new(),
            Endpoint::Completions => answer::id("cmpl-"),
            _ => answer::id("chatcmpl-"),
        }
    }

    fn stops(self, request: &InferenceRequest) -> Stops {
        if !self.has(KEPT_STOPS) {
            return Stops::default();
        }
        let stops = Fields::of_request(request).and_then(|fields| ask::stops(&fields));
        Stops::new(stops.ok().flatten().unwrap_or_default())
    }
}
