//! What a message says, as the parts Gemini makes of it.

use std::borrow::Cow;
use std::ops::Range;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use jairouter_openai::fields::{invalid, unsupported};

/// A piece of a message, as `OpenAI` writes it. Flat, since raw JSON cannot be read by its tag.
#[derive(Deserialize)]
struct Given<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_audio: Option<Audio<'a>>,
    #[serde(borrow, default)]
    file: Option<File<'a>>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    format: Cow<'a, str>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    file_data: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Url<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

/// A text that is not copied unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A piece of a message, as Gemini takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Part<'a> {
    Text(Cow<'a, str>),
    InlineData(Blob<'a>),
    FileData(Linked<'a>),
    FunctionResponse(Response<'a>),
    #[serde(untagged, rename_all = "camelCase")]
    Call {
        function_call: Call<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<Cow<'a, str>>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blob<'a> {
    mime_type: Cow<'a, str>,
    data: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Linked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: Cow<'a, str>,
}

#[derive(Serialize)]
pub(crate) struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) args: Box<RawValue>,
}

#[derive(Serialize)]
pub(crate) struct Response<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) response: Output<'a>,
}

/// What a tool has answered: an object, whatever it was.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Output<'a> {
    Object(Box<RawValue>),
    Text { output: Cow<'a, str> },
}

/// Reads a text, or a list of parts. Empty texts are left out: Gemini refuses them.
pub(crate) fn parts(content: &RawValue) -> Result<Vec<Part<'_>>, Error> {
    let wrong = |_| invalid("messages", "a message's content must be a text or a list of parts");
    if content.get().starts_with('"') {
        let Text(text) = serde_json::from_str(content.get()).map_err(wrong)?;
        return Ok(text_part(text).into_iter().collect());
    }
    let given: Vec<Given<'_>> = serde_json::from_str(content.get()).map_err(wrong)?;
    let mut parts = Vec::with_capacity(given.len());
    for part in given {
        parts.extend(self::part(part)?);
    }
    Ok(parts)
}

/// Reads a text, or a list of parts that are texts, which are joined by line breaks.
pub(crate) fn text(content: &RawValue) -> Result<Cow<'_, str>, Error> {
    let mut texts = Vec::new();
    for part in parts(content)? {
        match part {
            Part::Text(text) => texts.push(text),
            _ => return Err(unsupported("messages", "gemini's tools answer in texts alone")),
        }
    }
    Ok(match texts.len() {
        1 => texts.swap_remove(0),
        _ => Cow::Owned(texts.join("\n")),
    })
}

/// A text, if there is any.
pub(crate) fn text_part(text: Cow<'_, str>) -> Option<Part<'_>> {
    (!text.is_empty()).then_some(Part::Text(text))
}

fn part(given: Given<'_>) -> Result<Option<Part<'_>>, Error> {
    let missing = || invalid("messages", "a part of a message does not hold what its type says");
    Ok(match &*given.r#type {
        "text" => text_part(given.text.ok_or_else(missing)?.0),
        // What the model once said.
        "refusal" => text_part(given.refusal.ok_or_else(missing)?.0),
        "image_url" => Some(image(given.image_url.ok_or_else(missing)?)?),
        "input_audio" => {
            let Audio { data, format } = given.input_audio.ok_or_else(missing)?;
            let mime_type = Cow::Owned(format!("audio/{format}"));
            Some(Part::InlineData(Blob { mime_type, data }))
        }
        "file" => Some(document(given.file.ok_or_else(missing)?)?),
        _ => {
            let message = "gemini takes parts of type text, image_url, input_audio and file";
            return Err(unsupported("messages", message));
        }
    })
}

fn image(given: &RawValue) -> Result<Part<'_>, Error> {
    let wrong = |_| invalid("messages", "an image_url must be an object with a url");
    let url = match given.get().starts_with('"') {
        true => serde_json::from_str::<Text<'_>>(given.get()).map_err(wrong)?.0,
        false => serde_json::from_str::<Url<'_>>(given.get()).map_err(wrong)?.url,
    };
    if url.starts_with("data:") {
        let wrong = || invalid("messages", "an image's data: URL must be in base64");
        return blob(&url).map(Part::InlineData).ok_or_else(wrong);
    }
    if !["https://", "http://", "gs://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(invalid("messages", "an image's URL must be of https, http, gs or data"));
    }
    let mime_type = mime_type(&url);
    // Gemini must be told what it will find, unless the file is one it keeps itself.
    if mime_type.is_none() && !url.contains("/v1beta/files/") {
        let message = "gemini has to know an image's type: its URL must end in one, such as .png";
        return Err(unsupported("messages", message));
    }
    Ok(Part::FileData(Linked { mime_type, file_uri: url }))
}

/// The type of an image, by the end of its path.
fn mime_type(url: &str) -> Option<&'static str> {
    let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        _ => return None,
    })
}

fn document(file: File<'_>) -> Result<Part<'_>, Error> {
    let Some(Text(data)) = file.file_data else {
        let message = "gemini knows no files of OpenAI's: send 'file_data'";
        return Err(unsupported("messages", message));
    };
    let wrong = || invalid("messages", "a file's data must be a data: URL with base64");
    blob(&data).map(Part::InlineData).ok_or_else(wrong)
}

/// The media type and the bare base64 of a `data:` URL.
fn blob<'a>(url: &Cow<'a, str>) -> Option<Blob<'a>> {
    let rest = url.strip_prefix("data:")?;
    let start = url.len() - rest.len();
    let comma = rest.find(',')?;
    let kind = rest[..comma].strip_suffix(";base64")?;
    let end = start + kind.find(';').unwrap_or(kind.len());
    if end == start {
        return None;
    }
    let data = slice(url, start + comma + 1..url.len());
    Some(Blob { mime_type: slice(url, start..end), data })
}

fn slice<'a>(text: &Cow<'a, str>, range: Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}
