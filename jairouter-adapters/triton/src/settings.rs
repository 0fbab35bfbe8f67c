//! How a deployment is set up.

use std::collections::BTreeSet;

use crate::template::Template;

/// What generates the text behind Triton, and so what its inputs and outputs are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// The ensemble of TensorRT-LLM, or its `tensorrt_llm_bls`.
    #[default]
    Ensemble,
    /// TensorRT-LLM by its LLM API, a model called `tensorrt_llm`.
    LlmApi,
    /// vLLM's backend.
    Vllm,
}

/// What the text of a streamed message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamText {
    /// What has come since the last message.
    Delta,
    /// All since the first one.
    Cumulative,
}

/// Whether an answer begins with its prompt, which callers are not told.
///
/// Every dialect is asked to leave the prompt out, but a model whose configuration is older has no
/// input for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Echo {
    /// Where the first words are the whole prompt, and it is not so short that the model may have
    /// said it by itself.
    #[default]
    Auto,
    /// Wherever they are.
    Always,
    /// Nowhere: all of it is the model's.
    Never,
}

/// How one deployment is set up.
///
/// ```
/// use jairouter_triton::{Dialect, Settings, StreamText, Template};
///
/// let settings = Settings::new(Dialect::Ensemble)
///     .model("tensorrt_llm_bls")
///     .template(Template::llama3())
///     .stream_text(StreamText::Cumulative); // its `accumulate_tokens` is on
/// # let _ = settings;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Settings {
    pub(crate) dialect: Dialect,
    pub(crate) template: Option<Template>,
    pub(crate) stream_text: Option<StreamText>,
    pub(crate) model: Option<String>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) inputs: Option<BTreeSet<String>>,
    pub(crate) echo: Echo,
    pub(crate) infers: bool,
}

impl Settings {
    /// A deployment of this dialect. It has no prompt template, so it does not chat.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

    /// What makes a prompt of messages.
    pub fn template(mut self, template: Template) -> Self {
        self.template = Some(template);
        self
    }

    /// What the text of a streamed message is, if not what it usually is: [`StreamText::Cumulative`]
    /// of [`Dialect::LlmApi`], and [`StreamText::Delta`] of the others.
    pub fn stream_text(mut self, text: StreamText) -> Self {
        self.stream_text = Some(text);
        self
    }

    /// The model's name in paths, if it is not the request's. It is the only one then that is listed.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// How many tokens an answer may have whose request does not say. The engines' own defaults are
    /// no more than 32. If this is not set it is 1024 for a chat, and `OpenAI`'s 16 for a completion.
    pub fn max_tokens(mut self, limit: u32) -> Self {
        self.max_tokens = Some(limit);
        self
    }

    /// The inputs that the model declares. Triton takes any other for a parameter, which nobody reads:
    /// if this is set, what the gateway adds is only sent where it is declared, and what a caller
    /// asks is refused where it is not.
    pub fn inputs<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.inputs = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks at `infer`, with tensors, for servers whose generate extension is off. Only
    /// [`Dialect::Ensemble`] is asked so, and only for answers in one piece.
    pub fn infer(mut self, wanted: bool) -> Self {
        self.infers = wanted;
        self
    }

    /// Whether answers begin with their prompts.
    pub fn echo(mut self, echo: Echo) -> Self {
        self.echo = echo;
        self
    }

    pub(crate) fn is_cumulative(&self) -> bool {
        match self.stream_text {
            Some(text) => text == StreamText::Cumulative,
            None => self.dialect == Dialect::LlmApi,
        }
    }

    /// Whether the model has an input of this name, as far as anybody knows.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.inputs.as_ref().is_none_or(|inputs| inputs.contains(name))
    }
}
