//! What is asked for ([`Endpoint`], one per API path) and which pool of instances answers it
//! ([`ServiceType`], one per key under `services` in the configuration).

use std::fmt;
use std::str::FromStr;

/// An inference endpoint of the OpenAI API, or one the field has settled on beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/rerank` (Jina's form)
    Rerank,
    /// `POST /v1/audio/speech`
    Speech,
    /// `POST /v1/audio/transcriptions` (multipart)
    Transcriptions,
    /// `POST /v1/audio/translations` (multipart)
    Translations,
    /// `POST /v1/images/generations`
    ImageGenerations,
    /// `POST /v1/images/edits` (multipart)
    ImageEdits,
}

impl Endpoint {
    /// Every endpoint, in the order of the API reference.
    pub const ALL: [Self; 9] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Rerank,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::ImageGenerations,
        Self::ImageEdits,
    ];

    /// The path below the API's root, as in `/v1/chat/completions`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Rerank => "/v1/rerank",
            Self::Speech => "/v1/audio/speech",
            Self::Transcriptions => "/v1/audio/transcriptions",
            Self::Translations => "/v1/audio/translations",
            Self::ImageGenerations => "/v1/images/generations",
            Self::ImageEdits => "/v1/images/edits",
        }
    }

    /// The endpoint at exactly this path. Nothing is normalised: a path that needs it is unknown.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// The pool that answers it. Completions are served by the chat models.
    pub const fn service_type(self) -> ServiceType {
        match self {
            Self::ChatCompletions | Self::Completions => ServiceType::Chat,
            Self::Embeddings => ServiceType::Embedding,
            Self::Rerank => ServiceType::Rerank,
            Self::Speech => ServiceType::Tts,
            Self::Transcriptions | Self::Translations => ServiceType::Stt,
            Self::ImageGenerations => ServiceType::ImgGen,
            Self::ImageEdits => ServiceType::ImgEdit,
        }
    }

    /// Whether the request is `multipart/form-data` instead of JSON.
    pub const fn is_multipart(self) -> bool {
        matches!(self, Self::Transcriptions | Self::Translations | Self::ImageEdits)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// A kind of service: the keys under `services` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ServiceType {
    /// Chat and text completions.
    Chat,
    /// Embeddings.
    Embedding,
    /// Reranking of documents against a query.
    Rerank,
    /// Text to speech.
    Tts,
    /// Speech to text.
    Stt,
    /// Image generation.
    ImgGen,
    /// Image editing.
    ImgEdit,
}

impl ServiceType {
    /// Every service type.
    pub const ALL: [Self; 7] = [
        Self::Chat,
        Self::Embedding,
        Self::Rerank,
        Self::Tts,
        Self::Stt,
        Self::ImgGen,
        Self::ImgEdit,
    ];

    /// Its key in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embedding => "embedding",
            Self::Rerank => "rerank",
            Self::Tts => "tts",
            Self::Stt => "stt",
            Self::ImgGen => "imgGen",
            Self::ImgEdit => "imgEdit",
        }
    }

    /// Its place in [`ServiceType::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No service type has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown service type")]
pub struct UnknownServiceType;

impl FromStr for ServiceType {
    type Err = UnknownServiceType;

    /// Case, spaces, `-` and `_` are ignored, and the long names of the field are understood:
    /// `chat-completions`, `Text_To_Speech` and `imgGen` all have a meaning.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let name: String = name
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '_'))
            .flat_map(char::to_lowercase)
            .collect();
        Ok(match name.as_str() {
            "chat" | "chatcompletion" | "chatcompletions" => Self::Chat,
            "embedding" | "embeddings" => Self::Embedding,
            "rerank" => Self::Rerank,
            "tts" | "texttospeech" => Self::Tts,
            "stt" | "speechtotext" => Self::Stt,
            "imggen" | "imagegeneration" | "imagegenerate" => Self::ImgGen,
            "imgedit" | "imageedit" | "imageediting" => Self::ImgEdit,
            _ => return Err(UnknownServiceType),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_exactly_or_not_at_all() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::from_path(endpoint.path()), Some(endpoint));
        }
        for wrong in ["/v1/chat/completions/", "/V1/chat/completions", "/v1//chat/completions"] {
            assert_eq!(Endpoint::from_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_service_type_is_found_by_any_of_its_usual_names() {
        for service in ServiceType::ALL {
            assert_eq!(service.as_str().parse(), Ok(service));
            assert_eq!(ServiceType::ALL[service.index()], service);
        }
        assert_eq!("Chat-Completions".parse(), Ok(ServiceType::Chat));
        assert_eq!("text_to speech".parse(), Ok(ServiceType::Tts));
        assert_eq!("video".parse::<ServiceType>(), Err(UnknownServiceType));
    }
}
