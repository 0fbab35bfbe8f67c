//! Every way of speaking to an engine, behind one feature each, and found by name at run time.
//!
//! ```
//! let backend = jairouter_adapters::by_name("vLLM").expect("it is in `all`");
//! assert_eq!(backend.name(), "vllm");
//! assert!(jairouter_adapters::by_name("gpt").is_none());
//! ```

#[cfg(feature = "anthropic")]
pub use jairouter_anthropic as anthropic;
#[cfg(feature = "gemini")]
pub use jairouter_gemini as gemini;
#[cfg(feature = "ollama")]
pub use jairouter_ollama as ollama;
#[cfg(feature = "openai")]
pub use jairouter_openai as openai;
#[cfg(feature = "simulated")]
pub use jairouter_simulated as simulated;
#[cfg(feature = "tensorrt-llm")]
pub use jairouter_tensorrt_llm as tensorrt_llm;
#[cfg(feature = "triton")]
pub use jairouter_triton as triton;

mod custom;

use std::sync::Arc;

pub use custom::Custom;
use jairouter_core::Backend;

/// The adapters there are, by the names configuration gives them.
pub const NAMES: &[&str] = &[
    #[cfg(feature = "openai")]
    "normal",
    #[cfg(feature = "anthropic")]
    "anthropic",
    #[cfg(feature = "gemini")]
    "gemini",
    #[cfg(feature = "openai")]
    "gpustack",
    #[cfg(feature = "openai")]
    "llamacpp",
    #[cfg(feature = "openai")]
    "localai",
    #[cfg(feature = "ollama")]
    "ollama",
    #[cfg(feature = "openai")]
    "sglang",
    #[cfg(feature = "simulated")]
    "simulated",
    #[cfg(feature = "tensorrt-llm")]
    "tensorrt-llm",
    #[cfg(feature = "triton")]
    "triton",
    #[cfg(feature = "openai")]
    "vllm",
    #[cfg(feature = "openai")]
    "xinference",
];

/// The backend of this name, however it is written: case, `-`, `_`, `.` and spaces do not count.
pub fn by_name(name: &str) -> Option<Arc<dyn Backend>> {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect();
    match name.as_str() {
        #[cfg(feature = "anthropic")]
        "anthropic" => Some(Arc::new(jairouter_anthropic::Anthropic::new())),
        #[cfg(feature = "gemini")]
        "gemini" => Some(Arc::new(jairouter_gemini::Gemini::new())),
        #[cfg(feature = "ollama")]
        "ollama" => Some(Arc::new(jairouter_ollama::Ollama::new())),
        #[cfg(feature = "tensorrt-llm")]
        "tensorrtllm" | "trtllm" | "trtllmserve" => {
            Some(Arc::new(jairouter_tensorrt_llm::TensorRtLlm::new()))
        }
        // As it is set up by default: another deployment is `Triton::with` its settings.
        #[cfg(feature = "triton")]
        "triton" => Some(Arc::new(jairouter_triton::Triton::new())),
        #[cfg(feature = "openai")]
        other => Some(Arc::new(jairouter_openai::OpenAi::dialect(dialect(other)?))),
        #[cfg(not(feature = "openai"))]
        _ => None,
    }
}

#[cfg(feature = "openai")]
fn dialect(name: &str) -> Option<jairouter_openai::Dialect> {
    use jairouter_openai::Dialect;
    Some(match name {
        "normal" | "openai" | "openaicompatible" => Dialect::Normal,
        "gpustack" => Dialect::GpuStack,
        "llamacpp" | "llama" => Dialect::LlamaCpp,
        "localai" => Dialect::LocalAi,
        "sglang" => Dialect::SgLang,
        #[cfg(feature = "simulated")]
        "simulated" => Dialect::Simulated,
        "vllm" => Dialect::Vllm,
        "xinference" => Dialect::Xinference,
        _ => return None,
    })
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
    #[cfg(feature = "openai")]
    fn a_name_is_found_however_people_write_it() {
        for (name, all) in [
            ("normal", &["Normal", "openai", "OpenAI-compatible", "openai_compatible"][..]),
            ("gpustack", &["GPUStack", "gpu-stack", "GPU_Stack"]),
            ("llamacpp", &["llama.cpp", "llama-cpp", "LlamaCpp", "llama_cpp"]),
            ("localai", &["LocalAI", "Local_AI"]),
            ("sglang", &["SGLang", "sg-lang"]),
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
    #[cfg(feature = "tensorrt-llm")]
    fn tensorrt_llm_is_found_by_the_name_of_its_server_too() {
        for written in ["TensorRT-LLM", "tensorrt_llm", "trtllm", "trtllm-serve", "TRT-LLM"] {
            let found = by_name(written).map(|backend| backend.name().to_owned());
            let found = found.as_deref();
            assert_eq!(found, Some("tensorrt-llm"), "{written}");
        }
    }

    #[test]
    fn what_nobody_is_called_is_not_found() {
        for name in ["", "-", "gpt", "normal2", "ollama/"] {
            assert!(by_name(name).is_none(), "{name}");
        }
    }
}
