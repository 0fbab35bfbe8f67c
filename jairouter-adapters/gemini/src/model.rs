//! A model's name: it goes into the URL, and says how the model is told to think.

use std::fmt::Write;

/// The resource that a name means: models may be written with their collection.
pub(crate) fn resource(model: &str) -> (&str, &str) {
    match model.split_once('/') {
        Some((collection @ ("models" | "tunedModels"), id)) => (collection, id),
        _ => ("models", model),
    }
}

/// The path of this method of a model.
pub(crate) fn path(model: &str, method: &str) -> String {
    let (collection, id) = resource(model);
    let mut path = format!("/v1beta/{collection}/");
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(byte.into());
        } else {
            // Memory does not refuse a write.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push(':');
    path.push_str(method);
    path
}

/// Whether a model is of Gemini 3 or later: it thinks by levels, and insists on its signatures.
pub(crate) fn is_of_gemini_3(model: &str) -> bool {
    let Some((_, version)) = model.split_once("gemini-") else { return false };
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse::<u32>().is_ok_and(|major| major >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_model_is_called_it_is_one_segment_of_the_path() {
        for (model, expected) in [
            ("gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:m"),
            ("models/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:m"),
            ("tunedModels/mine-1", "/v1beta/tunedModels/mine-1:m"),
            ("a/b?c#d%e:f g", "/v1beta/models/a%2Fb%3Fc%23d%25e%3Af%20g:m"),
            ("../../v1", "/v1beta/models/..%2F..%2Fv1:m"),
            ("modèle", "/v1beta/models/mod%C3%A8le:m"),
            ("", "/v1beta/models/:m"),
        ] {
            assert_eq!(path(model, "m"), expected, "{model}");
        }
    }

    #[test]
    fn a_generation_is_read_from_the_name() {
        for model in ["gemini-3-pro-preview", "models/gemini-3.1-flash", "gemini-10"] {
            assert!(is_of_gemini_3(model), "{model}");
        }
        for model in ["gemini-2.5-pro", "gemini-flash-latest", "gemma-3-27b-it", "gemini-", ""] {
            assert!(!is_of_gemini_3(model), "{model}");
        }
    }
}
