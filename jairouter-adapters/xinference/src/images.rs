//! Images from text.

use bytes::Bytes;
use jairouter_core::{Error, InferenceRequest};
use jairouter_openai::fields::{Fields, invalid, unsupported};

/// What Xinference knows by these names; everything else goes into `kwargs`.
const KNOWN: [&str; 6] = ["model", "prompt", "n", "size", "response_format", "kwargs"];

/// What is OpenAI's alone. Its models would not know these, and fail.
const UNKNOWN: [&str; 9] = [
    "quality",
    "style",
    "background",
    "moderation",
    "output_format",
    "output_compression",
    "partial_images",
    "input_fidelity",
    "stream",
];

/// The same picture by other words: the size with a `*`, and options in a JSON text of their own.
pub(crate) fn encode(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut fields = Fields::of_request(request)?;
    for name in UNKNOWN {
        let Some(value) = fields.take(name) else { continue };
        if !matches!(value.get(), "null" | "false" | "0" | r#""auto""# | r#""standard""#) {
            return Err(unsupported(name, format!("xinference has no '{name}'")));
        }
    }
    fields.take("user");
    if let Some(size) = fields.text("size").filter(|size| size.contains('x')) {
        // Old servers split it there alone.
        fields.set("size", &size.replace('x', "*"));
    }
    let own = fields.text("kwargs");
    let own = own.as_deref().filter(|own| !own.is_empty());
    let mut options: Fields<'_> = match own.map(serde_json::from_str).transpose() {
        Ok(options) => options.unwrap_or_default(),
        Err(_) => return Err(invalid("kwargs", "'kwargs' must be a text that is a JSON object")),
    };
    let more = fields.take_all(|name| !KNOWN.contains(&name));
    if more.is_empty() {
        return Ok(fields.write());
    }
    options.put_all(more);
    let options = String::from_utf8_lossy(&options.write()).into_owned();
    fields.set("kwargs", &options);
    Ok(fields.write())
}
