//! Names in paths.

use std::fmt::Write;

/// A name as one segment of a path (RFC 3986, section 3.3): what is not unreserved is escaped.
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    // Alone, dots are steps and no names.
    let are_steps = matches!(name, "." | "..");
    for byte in name.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if is_plain && !are_steps {
            out.push(char::from(byte));
        } else {
            // Memory does not refuse a write.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("tensorrt_llm_bls"), "tensorrt_llm_bls");
        assert_eq!(segment("qwen3-1.7b"), "qwen3-1.7b");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("a/b ü?"), "a%2Fb%20%C3%BC%3F");
    }
}
