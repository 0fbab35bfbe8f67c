//! What a message says, as the blocks Anthropic makes of it.

use std::borrow::Cow;
use std::ops::Range;

use jairouter_core::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use jairouter_openai::fields::{invalid, unsupported};

/// A piece of a message, as `OpenAI` writes it. Flat, since raw JSON cannot be read by its tag.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file: Option<File<'a>>,
    /// Anthropic's own: what comes before it may be kept for the next request.
    #[serde(borrow, default)]
    cache_control: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    file_data: Option<Text<'a>>,
    #[serde(borrow, default)]
    filename: Option<Text<'a>>,
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

/// A piece of a message, as Anthropic takes it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Content::is_empty")]
        content: Content<'a>,
    },
    /// As it came, such as a thought, which is signed.
    #[serde(untagged)]
    Own(&'a RawValue),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Source<'a> {
    Base64 { media_type: Cow<'a, str>, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
}

/// Blocks, of which one plain text alone is written as such.
pub(crate) struct Content<'a>(pub(crate) Vec<Block<'a>>);

impl Content<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [Block::Text { text, cache_control: None }] => text.serialize(serializer),
            blocks => blocks.serialize(serializer),
        }
    }
}

/// Reads a text, or a list of parts. Blank texts are left out: Anthropic refuses them, and models
/// write some in front of their calls.
pub(crate) fn blocks(content: &RawValue) -> Result<Vec<Block<'_>>, Error> {
    let wrong = |_| invalid("messages", "a message's content must be a text or a list of parts");
    if content.get().starts_with('"') {
        let Text(text) = serde_json::from_str(content.get()).map_err(wrong)?;
        return Ok(text_block(text, None).into_iter().collect());
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).map_err(wrong)?;
    let mut blocks = Vec::with_capacity(parts.len());
    for part in parts {
        blocks.extend(block(part)?);
    }
    Ok(blocks)
}

/// A text, if there is any.
pub(crate) fn text_block<'a>(
    text: Cow<'a, str>,
    cache_control: Option<&'a RawValue>,
) -> Option<Block<'a>> {
    (!text.trim().is_empty()).then_some(Block::Text { text, cache_control })
}

fn block(part: Part<'_>) -> Result<Option<Block<'_>>, Error> {
    let missing = || invalid("messages", "a part of a message does not hold what its type says");
    let cache_control = part.cache_control;
    Ok(match &*part.r#type {
        "text" => text_block(part.text.ok_or_else(missing)?.0, cache_control),
        // What the model once said.
        "refusal" => text_block(part.refusal.ok_or_else(missing)?.0, cache_control),
        "image_url" => {
            let source = image(part.image_url.ok_or_else(missing)?)?;
            Some(Block::Image { source, cache_control })
        }
        "file" => Some(document(part.file.ok_or_else(missing)?, cache_control)?),
        _ => {
            let message = "anthropic takes parts of type text, image_url and file";
            return Err(unsupported("messages", message));
        }
    })
}

fn image(given: &RawValue) -> Result<Source<'_>, Error> {
    let wrong = |_| invalid("messages", "an image_url must be an object with a url");
    let url = match given.get().starts_with('"') {
        true => serde_json::from_str::<Text<'_>>(given.get()).map_err(wrong)?.0,
        false => serde_json::from_str::<Url<'_>>(given.get()).map_err(wrong)?.url,
    };
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Source::Url { url });
    }
    base64(&url).ok_or_else(|| {
        invalid("messages", "an image's URL must be of https or http, or data: with base64")
    })
}

fn document<'a>(file: File<'a>, cache_control: Option<&'a RawValue>) -> Result<Block<'a>, Error> {
    let Some(Text(data)) = file.file_data else {
        let message = "anthropic knows no files of OpenAI's: send 'file_data'";
        return Err(unsupported("messages", message));
    };
    let source = base64(&data)
        .ok_or_else(|| invalid("messages", "a file's data must be a data: URL with base64"))?;
    let title = file.filename.map(|Text(name)| name).filter(|name| !name.is_empty());
    Ok(Block::Document { source, title, cache_control })
}

/// The media type and the bare base64 of a `data:` URL.
fn base64<'a>(url: &Cow<'a, str>) -> Option<Source<'a>> {
    let rest = url.strip_prefix("data:")?;
    let start = url.len() - rest.len();
    let comma = rest.find(',')?;
    let kind = rest[..comma].strip_suffix(";base64")?;
    let end = start + kind.find(';').unwrap_or(kind.len());
    if end == start {
        return None;
    }
    let media_type = slice(url, start..end);
    Some(Source::Base64 { media_type, data: slice(url, start + comma + 1..url.len()) })
}

fn slice<'a>(text: &Cow<'a, str>, range: Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}
