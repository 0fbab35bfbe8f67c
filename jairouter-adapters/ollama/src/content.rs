//! What a message says: its text, and its images and sounds.

use std::borrow::Cow;

use jairouter_core::Error;
use serde::Deserialize;
use serde_json::value::RawValue;

use jairouter_openai::fields::{invalid, unsupported};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    ImageUrl {
        #[serde(borrow)]
        image_url: ImageUrl<'a>,
    },
    InputAudio {
        #[serde(borrow)]
        input_audio: InputAudio<'a>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ImageUrl<'a> {
    Object {
        #[serde(borrow)]
        url: Cow<'a, str>,
    },
    Bare(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Deserialize)]
struct InputAudio<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A content's text, and its images (and sounds, which travel as images) in base64.
pub(crate) struct Content<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) images: Vec<Cow<'a, str>>,
}

impl<'a> Content<'a> {
    /// Reads a text, or a list of parts. Texts are joined by line breaks.
    pub(crate) fn read(content: &'a RawValue) -> Result<Self, Error> {
        let wrong =
            |_| invalid("messages", "a message's content must be a text or a list of parts");
        if content.get().starts_with('"') {
            let Text(text) = serde_json::from_str(content.get()).map_err(wrong)?;
            return Ok(Self { text, images: Vec::new() });
        }
        let mut texts = Vec::new();
        let mut images = Vec::new();
        for part in serde_json::from_str::<Vec<Part<'_>>>(content.get()).map_err(wrong)? {
            match part {
                Part::Text { text } => texts.push(text),
                Part::ImageUrl { image_url: ImageUrl::Object { url } | ImageUrl::Bare(url) } => {
                    images.push(image(url)?);
                }
                Part::InputAudio { input_audio } => images.push(input_audio.data),
                Part::Other => {
                    let message = "ollama takes parts of type text, image_url and input_audio";
                    return Err(unsupported("messages", message));
                }
            }
        }
        let text = match texts.len() {
            1 => texts.swap_remove(0),
            _ => Cow::Owned(texts.join("\n")),
        };
        Ok(Self { text, images })
    }
}

/// The bare base64 of a `data:` URL.
fn image(url: Cow<'_, str>) -> Result<Cow<'_, str>, Error> {
    let Some(data) = url.strip_prefix("data:") else {
        let message = "ollama does not fetch images: send them as data: URLs with base64";
        return Err(unsupported("messages", message));
    };
    let Some(start) = data.find(";base64,") else {
        return Err(invalid("messages", "an image's data: URL must be in base64"));
    };
    let behind = "data:".len() + start + ";base64,".len();
    Ok(match url {
        Cow::Borrowed(url) => Cow::Borrowed(&url[behind..]),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(behind)),
    })
}
