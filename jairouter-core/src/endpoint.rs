//! What is asked for ([`Endpoint`], one per API path) and which pool of instances answers it
//! ([`ServiceType`], one per key under `services` in the configuration).

use std::fmt;
use std::str::FromStr;

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident = $path:literal in $service:ident $(($multipart:ident))?,)*) => {
        /// An inference endpoint of the OpenAI API, or one the field has settled on beside it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Endpoint {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\n`POST ", $path, "`" $(, " (", stringify!($multipart), ")")?)]
                $name,
            )*
        }

        impl Endpoint {
            /// Every endpoint, in the order of the API reference.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The path below the API's root, as in `/v1/chat/completions`.
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// The pool that answers it. Whatever a chat model does is served by the chat models.
            pub const fn service_type(self) -> ServiceType {
                match self { $(Self::$name => ServiceType::$service,)* }
            }

            /// Whether the request is `multipart/form-data` instead of JSON.
            pub const fn is_multipart(self) -> bool {
                match self { $(Self::$name => endpoints!(@ $($multipart)?),)* }
            }
        }
    };
    (@ multipart) => { true };
    (@) => { false };
}

endpoints! {
    /// Chat.
    ChatCompletions = "/v1/chat/completions" in Chat,
    /// Text completions.
    Completions = "/v1/completions" in Chat,
    /// `OpenAI`'s responses.
    Responses = "/v1/responses" in Chat,
    /// Anthropic's messages, in Anthropic's words.
    Messages = "/v1/messages" in Chat,
    /// How many tokens such messages take.
    CountTokens = "/v1/messages/count_tokens" in Chat,
    /// Text to tokens, as vLLM has it.
    Tokenize = "/v1/tokenize" in Chat,
    /// Tokens to text.
    Detokenize = "/v1/detokenize" in Chat,
    /// Embeddings.
    Embeddings = "/v1/embeddings" in Embedding,
    /// Reranking, in Jina's form.
    Rerank = "/v1/rerank" in Rerank,
    /// Text to speech.
    Speech = "/v1/audio/speech" in Tts,
    /// Speech to text.
    Transcriptions = "/v1/audio/transcriptions" in Stt (multipart),
    /// Speech to English text.
    Translations = "/v1/audio/translations" in Stt (multipart),
    /// Images from text.
    ImageGenerations = "/v1/images/generations" in ImgGen,
    /// Images changed.
    ImageEdits = "/v1/images/edits" in ImgEdit (multipart),
    /// Images varied.
    ImageVariations = "/v1/images/variations" in ImgEdit (multipart),
    /// Whether a text is harmful.
    Moderations = "/v1/moderations" in Moderation,
}

/// Whose words an endpoint's errors and streams are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// `{"error":{…}}`, chunks, `[DONE]`.
    OpenAi,
    /// The same errors, and events that have a `type`.
    Responses,
    /// Anthropic's errors and events.
    Anthropic,
}

impl Endpoint {
    pub(crate) const fn words(self) -> Words {
        match self {
            Self::Messages | Self::CountTokens => Words::Anthropic,
            Self::Responses => Words::Responses,
            _ => Words::OpenAi,
        }
    }

    /// The endpoint at exactly this path. Nothing is normalised: a path that needs it is unknown.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|endpoint| endpoint.path() == path)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// A set of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Endpoints(u32);

impl Endpoints {
    pub(crate) const ALL: Self = Self(u32::MAX);

    pub(crate) const fn contains(self, endpoint: Endpoint) -> bool {
        self.0 & 1 << endpoint as u32 != 0
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Endpoint> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        Self(endpoints.into_iter().fold(0, |set, endpoint| set | 1 << endpoint as u32))
    }
}

// A bit for each.
const _: () = assert!(Endpoint::ALL.len() <= 32);

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
    /// Moderation.
    Moderation,
}

impl ServiceType {
    /// Every service type.
    pub const ALL: [Self; 8] = [
        Self::Chat,
        Self::Embedding,
        Self::Rerank,
        Self::Tts,
        Self::Stt,
        Self::ImgGen,
        Self::ImgEdit,
        Self::Moderation,
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
            Self::Moderation => "moderation",
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
            "moderation" | "moderations" => Self::Moderation,
            _ => return Err(UnknownServiceType),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_exactly_or_not_at_all() {
        for &endpoint in Endpoint::ALL {
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
