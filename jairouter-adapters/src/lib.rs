//! Every way of speaking to an engine, behind one feature each, and found by name at run time.
//!
//! ```
//! let backend = jairouter_adapters::by_name("vLLM").expect("it is in `all`");
//! assert_eq!(backend.name(), "vllm");
//! assert!(jairouter_adapters::by_name("gpt").is_none());
//! ```

#[cfg(feature = "gpustack")]
pub use jairouter_gpustack as gpustack;
#[cfg(feature = "llamacpp")]
pub use jairouter_llamacpp as llamacpp;
#[cfg(feature = "localai")]
pub use jairouter_localai as localai;
#[cfg(feature = "ollama")]
pub use jairouter_ollama as ollama;
#[cfg(feature = "openai")]
pub use jairouter_openai as openai;
#[cfg(feature = "sglang")]
pub use jairouter_sglang as sglang;
#[cfg(feature = "simulated")]
pub use jairouter_simulated as simulated;
#[cfg(feature = "tgi")]
pub use jairouter_tgi as tgi;
#[cfg(feature = "vllm")]
pub use jairouter_vllm as vllm;
#[cfg(feature = "xinference")]
pub use jairouter_xinference as xinference;

use std::sync::Arc;

use jairouter_core::Backend;

/// The adapters there are, by the names configuration gives them.
pub const NAMES: &[&str] = &[
    #[cfg(feature = "openai")]
    "normal",
    #[cfg(feature = "gpustack")]
    "gpustack",
    #[cfg(feature = "llamacpp")]
    "llamacpp",
    #[cfg(feature = "localai")]
    "localai",
    #[cfg(feature = "ollama")]
    "ollama",
    #[cfg(feature = "sglang")]
    "sglang",
    #[cfg(feature = "simulated")]
    "simulated",
    #[cfg(feature = "tgi")]
    "tgi",
    #[cfg(feature = "vllm")]
    "vllm",
    #[cfg(feature = "xinference")]
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
        #[cfg(feature = "openai")]
        "normal" | "openai" | "openaicompatible" => Some(Arc::new(jairouter_openai::OpenAi::new())),
        #[cfg(feature = "gpustack")]
        "gpustack" => Some(Arc::new(jairouter_gpustack::GpuStack::new())),
        #[cfg(feature = "llamacpp")]
        "llamacpp" | "llama" => Some(Arc::new(jairouter_llamacpp::LlamaCpp::new())),
        #[cfg(feature = "localai")]
        "localai" => Some(Arc::new(jairouter_localai::LocalAi::new())),
        #[cfg(feature = "ollama")]
        "ollama" => Some(Arc::new(jairouter_ollama::Ollama::new())),
        #[cfg(feature = "sglang")]
        "sglang" => Some(Arc::new(jairouter_sglang::SgLang::new())),
        #[cfg(feature = "simulated")]
        "simulated" => Some(Arc::new(jairouter_simulated::Simulated::new())),
        #[cfg(feature = "tgi")]
        "tgi" | "textgenerationinference" => Some(Arc::new(jairouter_tgi::Tgi::new())),
        #[cfg(feature = "vllm")]
        "vllm" => Some(Arc::new(jairouter_vllm::Vllm::new())),
        #[cfg(feature = "xinference")]
        "xinference" => Some(Arc::new(jairouter_xinference::Xinference::new())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_found_and_is_the_backend_s_own() {
        for name in NAMES {
            assert_eq!(by_name(name).map(|backend| backend.name()), Some(*name), "{name}");
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
            ("tgi", &["TGI", "text-generation-inference"]),
            ("vllm", &["vLLM", "VLLM"]),
            ("xinference", &["Xinference", "xInference"]),
        ] {
            for written in all {
                let found = by_name(written).map(|backend| backend.name());
                assert_eq!(found, Some(name), "{written}");
            }
        }
    }

    #[test]
    fn what_nobody_is_called_is_not_found() {
        for name in ["", "-", "gpt", "normal2", "ollama/"] {
            assert!(by_name(name).is_none(), "{name}");
        }
    }
}
