//! `${NAME}` and `${NAME:default}` in a scalar.
//!
//! They are replaced after the YAML is parsed, so what comes from the environment can be a value
//! and never structure; and what comes in is not looked at again.

use std::borrow::Cow;

/// The longest value taken once the environment is in it, in bytes.
const LONGEST: usize = 64 << 10;

/// Puts the environment into a text. No message repeats what came from there.
pub(super) fn substitute<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, String> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, behind) = (&rest[..start], &rest[start + 2..]);
        let end = closing(behind).ok_or("a '${' has no '}'")?;
        let (name, default) = match behind[..end].split_once(':') {
            Some((name, default)) => (name.trim(), Some(default)),
            None => (behind[..end].trim(), None),
        };
        if !is_name(name) {
            return Err("a '${…}' must hold the name of an environment variable: \
                        letters, digits and '_'"
                .into());
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Err(format!("the default of '${{{name}:…}}' cannot hold another '${{…}}'"));
        }
        out.push_str(before);
        match (env(name), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "the environment variable {name} is not set; \
                     write '${{{name}:…}}' to give it a default"
                ));
            }
        }
        if out.len() > LONGEST {
            return Err("this is longer than 64 KiB once the environment is put in".into());
        }
        rest = &behind[end + 1..];
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Where the `}` is that belongs to a `${` before this text: braces in a default come in pairs.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let begins = text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    begins && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".into()),
            "EMPTY" => Some(String::new()),
            "TEMPLATE" => Some("${A}".into()),
            "LONG" => Some("x".repeat(LONGEST)),
            _ => None,
        }
    }

    #[test]
    fn variables_and_defaults_are_put_in_wherever_they_stand() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A {A} $", "$A {A} $"),
            ("${A}", "a"),
            ("${ A }", "a"),
            ("${A:b}", "a"),
            ("${B:b}", "b"),
            ("${B:}", ""),
            ("${EMPTY:b}", ""),
            ("x${A}y${B:z}${A}", "xayza"),
            ("${B:http://h:1/?a=b}", "http://h:1/?a=b"),
            ("${B:{\"a\": {}}}!", "{\"a\": {}}!"),
            ("${A}}", "a}"),
            ("${TEMPLATE}", "${A}"),
        ] {
            assert_eq!(substitute(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_said_without_its_value() {
        for (text, part) in [
            ("${", "no '}'"),
            ("${A", "no '}'"),
            ("${A:{}", "no '}'"),
            ("${}", "name of an environment"),
            ("${:x}", "name of an environment"),
            ("${sk-key}", "name of an environment"),
            ("${1A}", "name of an environment"),
            ("${B}", "variable B is not set"),
            ("${A}${B}", "variable B is not set"),
            ("${B:${A}}", "another"),
            ("${LONG}${A}", "64 KiB"),
        ] {
            let message = substitute(text, &env).unwrap_err();
            assert!(message.contains(part) && !message.contains("sk-"), "{text}: {message}");
            assert!(message.len() < 200, "{text}");
        }
    }
}
