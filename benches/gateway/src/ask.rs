//! Requests as the OpenAI SDK sends them.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::engine::Wanted;

/// The key that every request carries.
const KEY: &str = "jr-bench-0123456789abcdef0123456789abcdef";

/// A request of `size` bytes of body, which wants this.
pub(crate) fn request(size: usize, wanted: Wanted) -> Rc<[u8]> {
    let stream = match wanted.events > 0 || wanted.leaves.is_some() {
        true => r#","stream":true"#,
        false => "",
    };
    let wanted = wanted.written();
    let begin = r#"{"model":"bench","messages":[{"role":"user","content":""#;
    let end = format!(r#""}}],"temperature":0.7,"max_tokens":256,"user":"{wanted}"{stream}}}"#);
    let mut body = begin.to_owned();
    let text = size.saturating_sub(begin.len() + end.len());
    // Prose, with a line's end in every eighty bytes and a word in quotes in every other line.
    let prose = "What is the weather like in the south of Spain in the \\\"second\\\" half of the \
                 year, and which\\nplaces are worth seeing there if one does not like the heat?\\n";
    let mut left = text;
    while left >= prose.len() {
        body.push_str(prose);
        left -= prose.len();
    }
    body.extend(std::iter::repeat_n('x', left));
    body.push_str(&end);
    let mut head = String::from("POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n");
    // A string takes all there is.
    let _ = write!(
        head,
        "accept: application/json\r\ncontent-type: application/json\r\n\
         user-agent: OpenAI/Python 2.8.0\r\nx-stainless-lang: python\r\n\
         x-stainless-package-version: 2.8.0\r\nx-stainless-os: Linux\r\nx-stainless-arch: x64\r\n\
         x-stainless-runtime: CPython\r\nx-stainless-runtime-version: 3.12.3\r\n\
         authorization: Bearer {KEY}\r\nx-stainless-async: false\r\nx-stainless-retry-count: 0\r\n\
         x-stainless-read-timeout: 600\r\naccept-encoding: gzip, deflate\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{content_length, head_end};

    #[test]
    fn a_body_is_json_of_its_size() {
        for size in [512, 16 << 10, 256 << 10] {
            let request = request(size, Wanted::default());
            let head = head_end(&request).unwrap();
            assert_eq!(content_length(&request[..head]), Some(size));
            let body: serde_json::Value = serde_json::from_slice(&request[head..]).unwrap();
            assert_eq!(body["model"], "bench");
            assert_eq!(request.len(), head + size);
        }
    }
}
