//! What is looked for before anything is parsed.

use jairouter_core::translate::Needle;

pub(super) static DONE: Needle = Needle::new(b"[DONE]");
pub(super) static ERROR: Needle = Needle::new(b"\"error\"");
pub(super) static EVENT: Needle = Needle::new(b"event:");
pub(super) static FINISH_REASON: Needle = Needle::new(b"\"finish_reason\"");
pub(super) static REASONING: Needle = Needle::new(b"\"reasoning\"");
pub(super) static REASONING_TOKENS: Needle = Needle::new(b"\"reasoning_tokens\"");
pub(super) static ROLE: Needle = Needle::new(b"\"role\"");
pub(super) static TOOL_CALLS: Needle = Needle::new(b"\"tool_calls\"");
pub(super) static USAGE: Needle = Needle::new(b"\"usage\"");
