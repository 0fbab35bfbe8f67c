//! What makes a prompt of messages: text around each, and no more than that.

use std::borrow::Cow;

/// What stands around a message of one role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turn {
    pub(crate) prefix: Cow<'static, str>,
    pub(crate) suffix: Cow<'static, str>,
}

impl Turn {
    /// These two.
    pub fn new(prefix: impl Into<Cow<'static, str>>, suffix: impl Into<Cow<'static, str>>) -> Self {
        Self { prefix: prefix.into(), suffix: suffix.into() }
    }
}

/// A prompt template. It is data: a prefix and a suffix for each role, and what the answer is to
/// follow.
///
/// None of those here begins with the model's first token (`<s>`, `<bos>`, `<|begin_of_text|>`): the
/// engine's tokenizer writes it. Where one is set not to, give it as [`Template::prefix`].
///
/// ```
/// use jairouter_triton::{Template, Turn};
///
/// let alpaca = Template::new(
///     Turn::new("### Instruction:\n", "\n\n"),
///     Turn::new("### Response:\n", "\n\n"),
///     "### Response:\n",
/// );
/// # let _ = alpaca;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Template {
    pub(crate) prefix: Cow<'static, str>,
    pub(crate) system: Option<Turn>,
    pub(crate) user: Turn,
    pub(crate) assistant: Turn,
    pub(crate) answer: Cow<'static, str>,
    pub(crate) trims: bool,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

impl Template {
    /// One of your own, with what stands around a user's message and one of the assistant's, and what
    /// the answer follows. What the system says stands in front of the next user's words, with an
    /// empty line between them.
    pub fn new(user: Turn, assistant: Turn, answer: impl Into<Cow<'static, str>>) -> Self {
        Self { user, assistant, answer: answer.into(), ..Self::default() }
    }

    /// The same with messages of the system's own.
    pub fn system(mut self, turn: Turn) -> Self {
        self.system = Some(turn);
        self
    }

    /// The same, with this in front of everything.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The same, with or without the white space around what is said. By default it stays.
    pub fn trimming(mut self, trims: bool) -> Self {
        self.trims = trims;
        self
    }

    /// `ChatML`: Qwen and many others.
    pub fn chatml() -> Self {
        let end = "<|im_end|>\n";
        Self::new(
            Turn::new("<|im_start|>user\n", end),
            Turn::new("<|im_start|>assistant\n", end),
            "<|im_start|>assistant\n",
        )
        .system(Turn::new("<|im_start|>system\n", end))
    }

    /// Llama 3 and its successors.
    pub fn llama3() -> Self {
        const ANSWER: &str = "<|start_header_id|>assistant<|end_header_id|>\n\n";
        let end = "<|eot_id|>";
        Self::new(
            Turn::new("<|start_header_id|>user<|end_header_id|>\n\n", end),
            Turn::new(ANSWER, end),
            ANSWER,
        )
        .system(Turn::new("<|start_header_id|>system<|end_header_id|>\n\n", end))
        .trimming(true)
    }

    /// Mistral's and Mixtral's instruct models.
    pub fn mistral() -> Self {
        Self::new(Turn::new("[INST] ", " [/INST]"), Turn::new(" ", "</s>"), "")
    }

    /// Gemma.
    pub fn gemma() -> Self {
        const ANSWER: &str = "<start_of_turn>model\n";
        let end = "<end_of_turn>\n";
        Self::new(Turn::new("<start_of_turn>user\n", end), Turn::new(ANSWER, end), ANSWER)
            .trimming(true)
    }

    /// The prompt of these messages.
    pub(crate) fn render<'a>(
        &self,
        messages: impl IntoIterator<Item = (Role, Cow<'a, str>)>,
    ) -> String {
        let mut out = self.prefix.to_string();
        // What the system has said and no turn of its own to say it in.
        let mut pending = String::new();
        for (role, text) in messages {
            let text = if self.trims { text.trim() } else { &*text };
            let turn = match (role, &self.system) {
                (Role::System, Some(turn)) => turn,
                (Role::System, None) => {
                    pending.push_str(text);
                    pending.push_str("\n\n");
                    continue;
                }
                (Role::User, _) => &self.user,
                (Role::Assistant, _) => &self.assistant,
            };
            let before = match role {
                Role::User => std::mem::take(&mut pending),
                _ => String::new(),
            };
            for piece in [&*turn.prefix, &before, text, &turn.suffix] {
                out.push_str(piece);
            }
        }
        if !pending.is_empty() {
            for piece in [&*self.user.prefix, pending.trim_end(), &self.user.suffix] {
                out.push_str(piece);
            }
        }
        out.push_str(&self.answer);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(template: &Template, messages: &[(Role, &'static str)]) -> String {
        template.render(messages.iter().map(|(role, text)| (*role, Cow::Borrowed(*text))))
    }

    const TALK: [(Role, &str); 4] = [
        (Role::System, "Be brief."),
        (Role::User, " Hi "),
        (Role::Assistant, "Hello"),
        (Role::User, "Bye"),
    ];

    #[test]
    fn each_template_writes_what_its_models_have_learnt() {
        assert_eq!(
            prompt(&Template::chatml(), &TALK),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n\
             <|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n\
             <|im_start|>assistant\n"
        );
        assert_eq!(
            prompt(&Template::llama3(), &TALK),
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        );
        assert_eq!(
            prompt(&Template::mistral(), &TALK),
            "[INST] Be brief.\n\n Hi  [/INST] Hello</s>[INST] Bye [/INST]"
        );
        assert_eq!(
            prompt(&Template::gemma(), &TALK),
            "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello\
             <end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n"
        );
    }

    #[test]
    fn the_system_is_heard_even_if_nobody_speaks_after_it() {
        let alone = [(Role::System, "Be brief."), (Role::System, "Begin.")];
        assert_eq!(prompt(&Template::mistral(), &alone), "[INST] Be brief.\n\nBegin. [/INST]");
        assert_eq!(prompt(&Template::mistral().prefix("<s>"), &[]), "<s>");
    }
}
