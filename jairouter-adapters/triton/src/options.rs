//! Settings from the flat texts of a configuration.

use jairouter_core::backend::InvalidOption;

use crate::settings::{Dialect, Echo, Settings, StreamText};
use crate::template::{Template, Turn};

const KEYS: &str = "dialect, api, template, system-prefix, system-suffix, user-prefix, user-suffix, \
                    assistant-prefix, assistant-suffix, answer-prefix, prompt-prefix, stream-text, \
                    model, max-tokens, inputs and echo";

/// What is said of a template, which is put together when all is known.
#[derive(Default)]
struct Parts<'a> {
    named: Option<&'a str>,
    turns: Vec<(&'a str, &'a str)>,
}

pub(crate) fn read<'a>(
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Settings, InvalidOption> {
    let mut settings = Settings::default();
    let mut parts = Parts::default();
    for (key, text) in options {
        let wrong = |must_be| InvalidOption::new(key, must_be);
        match key {
            "dialect" => {
                settings.dialect = match &*fold(text) {
                    "ensemble" | "tensorrtllmbls" | "bls" => Dialect::Ensemble,
                    "llmapi" => Dialect::LlmApi,
                    "vllm" => Dialect::Vllm,
                    _ => return Err(wrong("must be ensemble, llmapi or vllm")),
                }
            }
            "stream-text" => {
                settings.stream_text = Some(match &*fold(text) {
                    "delta" => StreamText::Delta,
                    "cumulative" => StreamText::Cumulative,
                    _ => return Err(wrong("must be delta or cumulative")),
                });
            }
            "echo" => {
                settings.echo = match &*fold(text) {
                    "auto" => Echo::Auto,
                    "always" => Echo::Always,
                    "never" => Echo::Never,
                    _ => return Err(wrong("must be auto, always or never")),
                }
            }
            "api" => {
                settings.infers = match &*fold(text) {
                    "generate" => false,
                    "infer" => true,
                    _ => return Err(wrong("must be generate or infer")),
                }
            }
            "model" if text.trim().is_empty() => return Err(wrong("must be a model's name")),
            "model" => settings.model = Some(text.trim().to_owned()),
            "max-tokens" => {
                let limit = text.trim().parse().ok().filter(|limit| *limit > 0);
                let must_be = "must be a whole number above 0";
                settings.max_tokens = Some(limit.ok_or_else(|| wrong(must_be))?);
            }
            "inputs" => {
                let names: Vec<_> = text.split(',').map(str::trim).collect();
                if names.iter().any(|name| name.is_empty()) {
                    return Err(wrong("must be names of inputs, with commas between them"));
                }
                settings = settings.inputs(names);
            }
            "template" => parts.named = Some(text),
            "system-prefix" | "system-suffix" | "user-prefix" | "user-suffix"
            | "assistant-prefix" | "assistant-suffix" | "answer-prefix" | "prompt-prefix" => {
                parts.turns.push((key, text));
            }
            _ => {
                let there_are = format!("is no option of triton: there are {KEYS}");
                return Err(InvalidOption::new(key, there_are));
            }
        }
    }
    if settings.infers && settings.dialect != Dialect::Ensemble {
        return Err(InvalidOption::new("api", "must be generate, but for the dialect ensemble"));
    }
    settings.template = template(parts)?;
    Ok(settings)
}

fn template(Parts { named, turns }: Parts<'_>) -> Result<Option<Template>, InvalidOption> {
    let name = named.map(fold);
    let mut template = match name.as_deref() {
        None if turns.is_empty() => return Ok(None),
        Some("none") => match turns.first() {
            None => return Ok(None),
            Some((key, _)) => {
                return Err(InvalidOption::new(key, "needs a 'template' other than none"));
            }
        },
        // A user's words with nothing around them could be anybody's.
        None | Some("custom") if !turns.iter().any(|(key, _)| key.starts_with("user-")) => {
            let needs = "needs a 'user-prefix' or a 'user-suffix' if it is custom";
            return Err(InvalidOption::new("template", needs));
        }
        None | Some("custom") => Template::default(),
        Some("chatml") => Template::chatml(),
        Some("llama3") => Template::llama3(),
        Some("mistral") => Template::mistral(),
        Some("gemma") => Template::gemma(),
        Some(_) => {
            let must_be = "must be none, chatml, llama3, mistral, gemma or custom";
            return Err(InvalidOption::new("template", must_be));
        }
    };
    for (key, text) in turns {
        let text = text.to_owned().into();
        match key {
            "system-prefix" => template.system.get_or_insert_with(Turn::default).prefix = text,
            "system-suffix" => template.system.get_or_insert_with(Turn::default).suffix = text,
            "user-prefix" => template.user.prefix = text,
            "user-suffix" => template.user.suffix = text,
            "assistant-prefix" => template.assistant.prefix = text,
            "assistant-suffix" => template.assistant.suffix = text,
            "answer-prefix" => template.answer = text,
            _ => template.prefix = text,
        }
    }
    Ok(Some(template))
}

/// However people write it.
fn fold(text: &str) -> String {
    let kept = text.trim().chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' '));
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read_however_it_is_written() {
        let settings = read([
            ("dialect", "LLM-API"),
            ("template", "ChatML"),
            ("stream-text", "Delta"),
            ("model", " tensorrt_llm "),
            ("max-tokens", "256"),
            ("inputs", "text_input, streaming"),
            ("echo", "never"),
            ("prompt-prefix", "<s>"),
            ("answer-prefix", "<|im_start|>assistant\n<think>\n"),
        ]);
        let mut chatml = Template::chatml().prefix("<s>");
        chatml.answer = "<|im_start|>assistant\n<think>\n".into();
        let expected = Settings::new(Dialect::LlmApi)
            .template(chatml)
            .stream_text(StreamText::Delta)
            .model("tensorrt_llm")
            .max_tokens(256)
            .inputs(["text_input", "streaming"])
            .echo(Echo::Never);
        assert_eq!(settings, Ok(expected));
        assert_eq!(read([]), Ok(Settings::default()));
        assert_eq!(read([("template", "none")]), Ok(Settings::default()));
        for name in ["ensemble", "tensorrt_llm_bls", "bls"] {
            assert_eq!(read([("dialect", name)]), Ok(Settings::new(Dialect::Ensemble)), "{name}");
        }
    }

    #[test]
    fn a_template_of_one_s_own_is_its_turns() {
        let own = [
            ("user-prefix", "U: "),
            ("user-suffix", "\n"),
            ("assistant-prefix", "A: "),
            ("assistant-suffix", "\n"),
            ("answer-prefix", "A:"),
        ];
        let expected = Template::new(Turn::new("U: ", "\n"), Turn::new("A: ", "\n"), "A:");
        let read_template = |options: &[(&'static str, &'static str)]| {
            read(options.iter().copied()).unwrap().template.unwrap()
        };
        assert_eq!(read_template(&own), expected);
        let mut more = own.to_vec();
        more.extend([("template", "custom"), ("system-suffix", "\n")]);
        assert_eq!(read_template(&more), expected.system(Turn::new("", "\n")));
    }

    #[test]
    fn what_cannot_be_is_told_by_its_key_with_what_would_be_right() {
        for (options, message) in [
            (&[("dialect", "secret")][..], "'dialect' must be ensemble, llmapi or vllm"),
            (&[("stream-text", "secret")], "'stream-text' must be delta or cumulative"),
            (&[("echo", "true")], "'echo' must be auto, always or never"),
            (&[("model", " ")], "'model' must be a model's name"),
            (&[("max-tokens", "0")], "'max-tokens' must be a whole number above 0"),
            (&[("max-tokens", "-1")], "'max-tokens' must be a whole number above 0"),
            (&[("inputs", "a,,b")], "'inputs' must be names of inputs, with commas between them"),
            (
                &[("template", "jinja")],
                "'template' must be none, chatml, llama3, mistral, gemma or custom",
            ),
            (
                &[("template", "custom")],
                "'template' needs a 'user-prefix' or a 'user-suffix' if it is custom",
            ),
            (
                &[("template", "none"), ("user-prefix", "x")],
                "'user-prefix' needs a 'template' other than none",
            ),
        ] {
            let error = read(options.iter().copied()).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(options.iter().any(|(key, _)| *key == error.key()));
        }
        let error = read([("tempalte", "chatml")]).unwrap_err();
        assert!(error.to_string().starts_with("'tempalte' is no option of triton: there are"));
        assert!(error.to_string().contains("template, "), "{error}");
    }
}
