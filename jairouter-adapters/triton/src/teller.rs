//! From the texts of an engine to what is told of them.

use jairouter_core::{Error, Kind};

use crate::asked::Asked;
use crate::echo::Head;
use crate::settings::{Dialect, Settings};
use crate::tail::Tail;

/// One choice, as it is told.
pub(crate) struct Teller {
    /// All that has come, where each text repeats the ones before.
    seen: Option<String>,
    /// A character of which only some bytes have come, where they are written as this.
    unsure: String,
    head: Head,
    tail: Tail,
}

impl Teller {
    /// One for texts that follow each other, or repeat each other.
    pub(crate) fn new(settings: &Settings, asked: &Asked<'_>, is_cumulative: bool) -> Self {
        // Only an ensemble leaves a stop word in the text.
        let stops = match settings.dialect {
            Dialect::Ensemble => &asked.stops[..],
            _ => &[],
        };
        Self {
            seen: is_cumulative.then(String::new),
            unsure: String::new(),
            head: Head::new(settings.echo, &asked.prompt),
            tail: Tail::new(stops),
        }
    }

    /// Takes the next text, and returns what can be told of it.
    ///
    /// # Errors
    ///
    /// If it should repeat what came before and does not.
    pub(crate) fn push(&mut self, text: &str) -> Result<String, Error> {
        let new = match &mut self.seen {
            None => text,
            // An output of no elements says nothing, and takes nothing back.
            Some(_) if text.is_empty() => text,
            Some(seen) => {
                let sure = text.trim_end_matches('\u{fffd}');
                text[sure.len()..].clone_into(&mut self.unsure);
                let new = sure.strip_prefix(seen.as_str()).ok_or_else(taken_back)?;
                seen.push_str(new);
                new
            }
        };
        let new = self.head.push(new.to_owned());
        Ok(self.tail.push(&new))
    }

    /// What is left to tell, and whether a stop word was behind it.
    pub(crate) fn finish(&mut self) -> (String, bool) {
        let unsure = std::mem::take(&mut self.unsure);
        let mut last = self.head.push(unsure);
        last.push_str(&self.head.finish());
        let mut told = self.tail.push(&last);
        let (rest, is_stopped) = self.tail.finish();
        told.push_str(&rest);
        (told, is_stopped)
    }
}

fn taken_back() -> Error {
    let message =
        "the instance's text does not repeat what came before: it may be no cumulative one";
    Error::new(Kind::Broken, message)
}
