//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::{Header, ParserConfig, Status};
use memchr::memmem;

use super::Fault;
use super::framing::{Chunks, Framing};
use crate::upstream::CloseDelimited;

/// The largest head taken.
const LARGEST: usize = 128 * 1024;
const MOST_HEADERS: usize = 128;

/// A head, and how what follows it is delimited.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Whether the connection may be used again behind it.
    pub(super) keeps: bool,
}

/// A head that may come in pieces.
#[derive(Debug)]
pub(super) struct Heads {
    /// What has come of it.
    partial: Vec<u8>,
    /// The length at which it is looked at again, whether or not its end seems to be there.
    look_at: usize,
    /// Whether what answers has no body, whatever its head says.
    bodiless: bool,
    /// An empty map, whose memory the answer's headers take.
    room: HeaderMap,
    #[cfg(test)]
    looks: u32,
}

impl Heads {
    /// For the answer to a `HEAD`, or to anything else. What was in this map is not looked at: its memory is used.
    pub(super) fn new(bodiless: bool, mut room: HeaderMap) -> Self {
        room.clear();
        Self {
            partial: Vec::new(),
            look_at: 0,
            bodiless,
            room,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Takes more of it. If it is there, with how much of the input is its.
    pub(super) fn push(&mut self, input: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
        let mut at = 0;
        loop {
            let Some((head, length)) = self.one(&input[at..])? else { return Ok(None) };
            at += length;
            // What is said before the answer, but for a change of protocols that nobody has asked for.
            match head.response.status() {
                status
                    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS => {}
                _ => return Ok(Some((head, at))),
            }
        }
    }

    fn one(&mut self, input: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
        if self.partial.is_empty() {
            if let Some(found) = read(input, self.bodiless, &mut self.room)? {
                return Ok(Some(found));
            }
            self.keep(input)?;
            return Ok(None);
        }
        let before = self.partial.len();
        self.keep(input)?;
        // Each look reads it from its beginning: one a byte would take a server's word for our time.
        let new = &self.partial[before.saturating_sub(3)..];
        let is_worth_it = self.partial.len() >= self.look_at
            || memmem::find(new, b"\n\r\n").is_some()
            || memmem::find(new, b"\n\n").is_some();
        if !is_worth_it {
            return Ok(None);
        }
        self.look_at = self.partial.len() * 2;
        let Some((head, length)) = self.look()? else { return Ok(None) };
        self.partial.clear();
        self.look_at = 0;
        Ok(Some((head, length.saturating_sub(before))))
    }

    fn keep(&mut self, input: &[u8]) -> Result<(), Fault> {
        self.partial.extend_from_slice(input);
        if self.look_at == 0 {
            self.look_at = self.partial.len() * 2;
        }
        // What follows a head is not in it.
        if self.partial.len() > LARGEST && self.look()?.is_none() {
            return Err(Fault::TooLarge);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<Option<(Head, usize)>, Fault> {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        read(&self.partial, self.bodiless, &mut self.room)
    }

    /// Nothing more of it comes. What is wrong with that.
    pub(super) fn end(&mut self) -> Fault {
        self.look().err().unwrap_or(Fault::Cut)
    }

    /// How often what has come in pieces was read.
    #[cfg(test)]
    #[cfg(not(jairouter_loom))]
    pub(super) fn looks(&self) -> u32 {
        self.looks
    }
}

/// The head that is in front, if it is whole.
fn read(
    input: &[u8],
    bodiless: bool,
    room: &mut HeaderMap,
) -> Result<Option<(Head, usize)>, Fault> {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        input,
        &mut headers,
    );
    let length = match outcome.map_err(|_| Fault::Invalid)? {
        Status::Partial => return Ok(None),
        Status::Complete(length) => length,
    };
    if length > LARGEST {
        return Err(Fault::TooLarge);
    }
    let mut response = Response::new(());
    let code = parsed.code.ok_or(Fault::Invalid)?;
    *response.status_mut() = StatusCode::from_u16(code).map_err(|_| Fault::Invalid)?;
    *response.version_mut() = match parsed.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    // One copy, of which each value is a part.
    let bytes = Bytes::copy_from_slice(&input[..length]);
    let own = response.headers_mut();
    *own = std::mem::take(room);
    own.reserve(parsed.headers.len());
    for header in &*parsed.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Fault::Invalid)?;
        let at = header.value.as_ptr() as usize - input.as_ptr() as usize;
        let value = bytes.slice(at..at + header.value.len());
        own.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Fault::Invalid)?);
    }
    let framing = framing(&mut response, bodiless)?;
    let keeps = framing != Framing::Connection && keeps(&response);
    Ok(Some((Head { response, framing, keeps }, length)))
}

/// RFC 9112, section 6.3.
fn framing(response: &mut Response<()>, bodiless: bool) -> Result<Framing, Fault> {
    let mut codings = response.headers().get_all(TRANSFER_ENCODING).iter();
    let is_chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        // It would be read up to the end of the connection, as if it were data.
        _ => return Err(Fault::UnknownCoding),
    };
    if is_chunked {
        // The coding goes before it, and it may not be passed on.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let status = response.status();
    let has_none = bodiless
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    if has_none {
        return Ok(Framing::Length(0));
    }
    if is_chunked {
        return Ok(Framing::Chunks(Chunks::NEW));
    }
    Ok(match length(response.headers())? {
        Some(length) => Framing::Length(length),
        None => {
            response.extensions_mut().insert(CloseDelimited);
            Framing::Connection
        }
    })
}

/// What the head says of its length, if it says one thing.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let part = part.trim_ascii();
            let is_number = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
            let number = str::from_utf8(part).ok().and_then(|part| part.parse::<u64>().ok());
            let number = number.filter(|_| is_number).ok_or(Fault::Invalid)?;
            if *length.get_or_insert(number) != number {
                return Err(Fault::Invalid);
            }
        }
    }
    Ok(length)
}

/// Whether the server keeps the connection.
fn keeps(response: &Response<()>) -> bool {
    let says = |what: &[u8]| {
        let values = response.headers().get_all(CONNECTION).iter();
        let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(what))
    };
    let is_changed = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    match response.version() {
        // Chunks are no part of it, and whoever sends them may understand something else (section 6.1).
        Version::HTTP_10 => {
            says(b"keep-alive") && !response.headers().contains_key(TRANSFER_ENCODING)
        }
        _ => !says(b"close") && !is_changed,
    }
}
