//! The fields that `trtllm-serve` has, and what becomes of others.

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent as it is.
    Sent,
    /// It makes no difference to an answer.
    Omitted,
    /// It would, and there is no way to say it.
    Refused { param: &'static str, why: &'static str },
    /// Nobody knows what it means.
    Unknown,
}

/// Of chats and completions alike.
const OF_BOTH: &[&str] = &[
    "model",
    "add_special_tokens",
    "best_of",
    "conversation_params",
    "disaggregated_params",
    "early_stopping",
    "echo",
    "frequency_penalty",
    "ignore_eos",
    "include_stop_str_in_output",
    "length_penalty",
    "logit_bias",
    "logprobs",
    "lora_request",
    "max_tokens",
    "min_p",
    "min_tokens",
    "n",
    "presence_penalty",
    "priority",
    "prompt_ignore_length",
    "repetition_penalty",
    "response_format",
    "seed",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "stop",
    "stop_token_ids",
    "stream",
    "stream_options",
    "temperature",
    "thinking_token_budget",
    "top_k",
    "top_p",
    "top_p_min",
    "truncate_prompt_tokens",
    "use_beam_search",
    "user",
];

const OF_CHATS: &[&str] = &[
    "messages",
    "add_generation_prompt",
    "agent_hierarchy",
    "cache_salt",
    "chat_template",
    "chat_template_kwargs",
    "documents",
    "media_io_kwargs",
    "mm_processor_kwargs",
    "prompt_token_ids",
    "reasoning_effort",
    "thinking",
    "tool_choice",
    "tools",
    "top_logprobs",
];

const OF_COMPLETIONS: &[&str] = &["prompt", "detokenize", "return_context_logits"];

const OF_EMBEDDINGS: &[&str] =
    &["model", "input", "encoding_format", "dimensions", "user", "add_special_tokens"];

/// Bookkeeping, and hints that make an answer faster and no other.
const IDLE: &[&str] = &[
    "store",
    "metadata",
    "service_tier",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "verbosity",
];

const UNSAYABLE: [(&str, &str); 6] = [
    ("suffix", "trtllm-serve does not fill in the middle"),
    ("functions", "trtllm-serve knows tools, not the older functions"),
    ("function_call", "trtllm-serve knows tool_choice, not the older function_call"),
    ("audio", "trtllm-serve does not answer in sound"),
    ("web_search_options", "trtllm-serve does not search the web"),
    ("structured_outputs", "trtllm-serve takes a form as response_format"),
];

/// For which endpoint a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Chat,
    Completion,
    Embedding,
}

impl Task {
    /// What becomes of the field of this name, whose value says something if `says`.
    pub(crate) fn fate(self, name: &str, says: bool) -> Fate {
        let sent = match self {
            Self::Chat => OF_BOTH.contains(&name) || OF_CHATS.contains(&name),
            Self::Completion => OF_BOTH.contains(&name) || OF_COMPLETIONS.contains(&name),
            Self::Embedding => OF_EMBEDDINGS.contains(&name),
        };
        if sent {
            return Fate::Sent;
        }
        if IDLE.contains(&name) {
            return Fate::Omitted;
        }
        match UNSAYABLE.iter().find(|(unsayable, _)| *unsayable == name) {
            Some(_) if !says => Fate::Omitted,
            Some(&(param, why)) => Fate::Refused { param, why },
            None => Fate::Unknown,
        }
    }
}
