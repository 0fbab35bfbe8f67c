//! Answers event by event.

use bytes::BytesMut;
use jairouter_core::translate::{self, Message, Translate};
use jairouter_core::{Error, InferenceRequest, Kind};

use crate::answer::{Identity, Usage, cut_off, inferred};
use crate::asked::Asked;
use crate::reply::Reply;
use crate::settings::Settings;
use crate::teller::Teller;

/// Why an answer ends.
#[derive(Clone, Copy)]
enum Ending {
    /// The engine does not tell, or not yet: the end of the body is all there is.
    Untold,
    /// It tells, and this is not the end.
    Open,
    Told(&'static str),
}

/// Rewrites the events of one answer, which come as lines.
pub(crate) struct Stream {
    identity: Identity,
    teller: Teller,
    is_cumulative: bool,
    include_usage: bool,
    limit: u64,
    begun: bool,
    ending: Ending,
    input_tokens: u64,
    output_tokens: Option<u64>,
}

impl Stream {
    pub(crate) fn new(settings: &Settings, request: &InferenceRequest, asked: &Asked<'_>) -> Self {
        let is_cumulative = settings.is_cumulative();
        Self {
            identity: Identity::new(request),
            teller: Teller::new(settings, asked, is_cumulative),
            is_cumulative,
            include_usage: asked.include_usage,
            limit: asked.limit,
            begun: false,
            ending: Ending::Untold,
            input_tokens: 0,
            output_tokens: None,
        }
    }

    /// The prompt's count is repeated. The answer's is of this piece, or of all where the text is.
    fn count(&mut self, reply: &Reply<'_>) {
        self.input_tokens = self.input_tokens.max(reply.input_tokens().unwrap_or(0));
        let counts = reply.output_tokens();
        if counts.is_empty() {
            return;
        }
        let count = counts.into_iter().fold(0, u64::saturating_add);
        let before = self.output_tokens.unwrap_or(0);
        self.output_tokens = Some(match self.is_cumulative {
            true => before.max(count),
            false => before.saturating_add(count),
        });
    }

    fn say(&self, text: &str, out: &mut BytesMut) {
        if !text.is_empty() {
            translate::event(out, &self.identity.said(text));
        }
    }
}

impl Translate for Stream {
    fn message(&mut self, message: Message<'_>, out: &mut BytesMut) -> Result<(), Error> {
        let Some(data) = data(message.data)? else { return Ok(()) };
        let reply = Reply::read(data)?;
        if !self.begun {
            self.begun = true;
            if let Some(first) = self.identity.first() {
                translate::event(out, &first);
            }
        }
        self.count(&reply);
        if matches!(self.ending, Ending::Told(_)) {
            return Ok(());
        }
        if let Some(text) = reply.texts()?.first() {
            let told = self.teller.push(text)?;
            self.say(&told, out);
        }
        if let Some(reason) = reply.reasons()?.first() {
            self.ending = reason.map_or(Ending::Open, Ending::Told);
        }
        Ok(())
    }

    /// Triton's streams end where their bodies do, and a model that tells reasons tells one first.
    fn end(&mut self, out: &mut BytesMut) -> Result<(), Error> {
        if !self.begun || matches!(self.ending, Ending::Open) {
            return Err(cut_off());
        }
        let (rest, is_stopped) = self.teller.finish();
        self.say(&rest, out);
        let reason = match self.ending {
            Ending::Told(reason) => reason,
            _ => inferred(is_stopped, self.output_tokens, self.limit),
        };
        translate::event(out, &self.identity.last(reason));
        if self.include_usage {
            let usage = Usage::new(self.input_tokens, self.output_tokens.unwrap_or(0));
            translate::event(out, &self.identity.usage(usage));
        }
        translate::done(out);
        Ok(())
    }
}

/// The data of an event's line. Half a line is what a broken connection leaves.
fn data(line: &[u8]) -> Result<Option<&[u8]>, Error> {
    if let Some(data) = line.strip_prefix(b"data:") {
        return Ok(Some(data.trim_ascii()));
    }
    // What a proxy may put in between: comments, and fields that say nothing here.
    let is_other = [&b":"[..], b"event:", b"id:", b"retry:"].iter().any(|it| line.starts_with(it));
    if is_other {
        return Ok(None);
    }
    if line.starts_with(b"{") {
        // An error in one piece is one, too.
        Reply::read(line)?;
    }
    Err(Error::new(Kind::Broken, "the instance's stream is none of events, or was cut off"))
}
