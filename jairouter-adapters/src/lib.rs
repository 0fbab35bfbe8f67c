//! Every way of speaking to an engine, behind one feature each, and found by name at run time.
//!
//! | name | is |
//! |---|---|
//! | `anthropic` | Anthropic's Messages API |
//! | `gemini` | Google's Gemini API |
//! | `gpustack` | `GPUStack`, and with `api: legacy` as it was before 2.0 |
//! | `llamacpp` | llama.cpp's server, and with `api: native` its own completions |
//! | `localai` | `LocalAI` |
//! | `normal` | anything compatible with `OpenAI`'s API; its feature is `openai` |
//! | `ollama` | Ollama's native API |
//! | `sglang` | `SGLang`, and with `api: native` its own completions |
//! | `simulated` | an engine in this process, for demos and tests |
//! | `tensorrt-llm` | TensorRT-LLM's server, trtllm-serve |
//! | `tgi` | Hugging Face's text-generation-inference |
//! | `triton` | Triton's generate extension, in the dialects that its options name |
//! | `vllm` | vLLM |
//! | `xinference` | Xinference |
//!
//! What each of them offers, and the test that shows it, is in the repository's `docs/frameworks.md`. One
//! that differs in what an address book holds alone is a [`Custom`].
//!
#![cfg_attr(feature = "all", doc = "```")]
#![cfg_attr(not(feature = "all"), doc = "```ignore")]
//! let backend = jairouter_adapters::by_name("vLLM").expect("it is in `all`");
//! assert_eq!(backend.name(), "vllm");
//! assert!(jairouter_adapters::by_name("gpt").is_none());
//!
//! let options = [("dialect", "vllm"), ("template", "chatml")];
//! let triton = jairouter_adapters::by_name_with("triton", &options).expect("it is there")?;
//! assert_eq!(triton.name(), "triton");
//! # Ok::<(), jairouter_core::backend::InvalidOption>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod custom;

use std::sync::Arc;

pub use custom::Custom;
use jairouter_core::Backend;
use jairouter_core::backend::InvalidOption;

type Options<'a> = &'a [(&'a str, &'a str)];

/// A line for each adapter: its name and its feature, what else it is called (in small letters alone),
/// its crate and what makes it of its options.
macro_rules! adapters {
    ($($name:literal in $feature:literal as $folded:pat => $module:ident, $make:expr;)*) => {
        $(
            #[cfg(feature = $feature)]
            pub use ::$module;
        )*

        /// The adapters there are, by the names configuration gives them.
        pub const NAMES: &[&str] = &[$(#[cfg(feature = $feature)] $name,)*];

        #[allow(unused_variables, reason = "without a feature there is nothing to make")]
        fn find(folded: &str, options: Options<'_>) -> Option<Result<Arc<dyn Backend>, InvalidOption>> {
            match folded {
                $(
                    #[cfg(feature = $feature)]
                    $folded => {
                        let make: fn(Options<'_>) -> Result<_, InvalidOption> = $make;
                        Some(make(options).map(|backend| Arc::new(backend) as Arc<dyn Backend>))
                    }
                )*
                _ => None,
            }
        }
    };
}

adapters! {
    "anthropic" in "anthropic" as "anthropic" => anthropic,
        |options| plain(anthropic::Anthropic::new(), options);
    "gemini" in "gemini" as "gemini" => gemini,
        |options| plain(gemini::Gemini::new(), options);
    "gpustack" in "gpustack" as "gpustack" => gpustack,
        |options| gpustack::GpuStack::from_options(options.iter().copied());
    "llamacpp" in "llamacpp" as "llamacpp" | "llama" => llamacpp,
        |options| llamacpp::LlamaCpp::from_options(options.iter().copied());
    "localai" in "localai" as "localai" => localai,
        |options| plain(localai::LocalAi::new(), options);
    "normal" in "openai" as "normal" | "openai" | "openaicompatible" => openai,
        |options| plain(openai::OpenAi::new(), options);
    "ollama" in "ollama" as "ollama" => ollama,
        |options| plain(ollama::Ollama::new(), options);
    "sglang" in "sglang" as "sglang" => sglang,
        |options| sglang::SgLang::from_options(options.iter().copied());
    "simulated" in "simulated" as "simulated" => simulated,
        |options| plain(simulated::Simulated::new(), options);
    "tensorrt-llm" in "tensorrt-llm" as "tensorrtllm" | "trtllm" | "trtllmserve" => tensorrt_llm,
        |options| plain(tensorrt_llm::TensorRtLlm::new(), options);
    "tgi" in "tgi" as "tgi" | "textgenerationinference" => tgi,
        |options| plain(tgi::Tgi::new(), options);
    "triton" in "triton" as "triton" => triton,
        |options| triton::Triton::from_options(options.iter().copied());
    "vllm" in "vllm" as "vllm" => vllm,
        |options| plain(vllm::Vllm::new(), options);
    "xinference" in "xinference" as "xinference" => xinference,
        |options| plain(xinference::Xinference::new(), options);
}

/// The backend of this name, however it is written: case, `-`, `_`, `.` and spaces do not count.
pub fn by_name(name: &str) -> Option<Arc<dyn Backend>> {
    by_name_with(name, &[])?.ok()
}

/// The same with these options of its own.
///
/// # Errors
///
/// The first option that it does not have, or that says something else than it may.
pub fn by_name_with(
    name: &str,
    options: Options<'_>,
) -> Option<Result<Arc<dyn Backend>, InvalidOption>> {
    let folded: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect();
    find(&folded, options)
}

/// A backend that has no options.
#[allow(dead_code, reason = "of some features all have")]
fn plain<B>(backend: B, options: Options<'_>) -> Result<B, InvalidOption> {
    match options.first() {
        None => Ok(backend),
        Some((key, _)) => {
            Err(InvalidOption::new(key, "is for no use: this adapter has no options"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_found_and_is_the_backend_s_own() {
        for name in NAMES {
            let found = by_name(name).map(|backend| backend.name().to_owned());
            assert_eq!(found.as_deref(), Some(*name), "{name}");
        }
    }

    #[test]
    #[cfg(feature = "all")]
    fn a_name_is_found_however_people_write_it() {
        for (name, all) in [
            ("normal", &["Normal", "openai", "OpenAI-compatible", "openai_compatible"][..]),
            ("gpustack", &["GPUStack", "gpu-stack", "GPU_Stack"]),
            ("llamacpp", &["llama.cpp", "llama-cpp", "LlamaCpp", "llama_cpp"]),
            ("localai", &["LocalAI", "Local_AI"]),
            ("sglang", &["SGLang", "sg-lang"]),
            (
                "tensorrt-llm",
                &["TensorRT-LLM", "tensorrt_llm", "trtllm", "trtllm-serve", "TRT-LLM"],
            ),
            ("tgi", &["TGI", "text-generation-inference"]),
            ("vllm", &["vLLM", "VLLM"]),
            ("xinference", &["Xinference", "xInference"]),
        ] {
            for written in all {
                let found = by_name(written).map(|backend| backend.name().to_owned());
                assert_eq!(found.as_deref(), Some(name), "{written}");
            }
        }
    }

    #[test]
    #[cfg(feature = "all")]
    fn an_option_is_the_adapter_s_own_or_wrong() {
        let with = |name, key, value| by_name_with(name, &[(key, value)]).unwrap();
        assert!(with("llamacpp", "api", "native").is_ok());
        assert!(with("gpustack", "api", "legacy").is_ok());
        assert!(with("triton", "dialect", "vllm").is_ok());
        for (name, key, value) in
            [("vllm", "api", "native"), ("llamacpp", "api", "x"), ("triton", "dialog", "vllm")]
        {
            let error = with(name, key, value).err().unwrap();
            assert_eq!(error.key(), key, "{name}");
        }
        assert!(by_name_with("gpt", &[]).is_none());
    }

    #[test]
    fn what_nobody_is_called_is_not_found() {
        for name in ["", "-", "gpt", "normal2", "ollama/"] {
            assert!(by_name(name).is_none(), "{name}");
        }
    }
}
