//! [`Payload`]: the body of a request to an engine.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "client")]
use bytes::Buf;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Bytes in one or several pieces, so that a few of many can be changed without copying the others.
///
/// One piece, as it nearly always is, costs no allocation. Cloning is a reference count for each.
///
/// ```
/// use bytes::Bytes;
/// use jairouter_core::Payload;
///
/// let form = Bytes::from_static(b"model=a&file=30 MiB");
/// let payload = Payload::from_iter([form.slice(..6), Bytes::from_static(b"b"), form.slice(7..)]);
/// assert_eq!(payload.len(), form.len());
/// assert_eq!(payload.to_bytes(), "model=b&file=30 MiB");
/// ```
#[derive(Debug, Clone)]
pub struct Payload(Pieces);

/// As small as the one piece it usually is.
#[derive(Debug, Clone)]
enum Pieces {
    One(Bytes),
    /// Those that have been sent are empty.
    Several(Box<[Bytes]>),
}

impl Payload {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pieces().iter().all(Bytes::is_empty)
    }

    /// The same with these bytes in front of the one at this offset, or behind all if there is none.
    #[must_use]
    pub fn with_inserted(self, at: usize, bytes: Bytes) -> Self {
        let mut offset = at;
        let mut inserted = Some(bytes);
        let mut pieces = Vec::with_capacity(self.pieces().len() + 2);
        for mut piece in self.pieces().iter().cloned() {
            if offset < piece.len() && inserted.is_some() {
                pieces.push(piece.split_to(offset));
                pieces.extend(inserted.take());
            }
            offset = offset.saturating_sub(piece.len());
            pieces.push(piece);
        }
        pieces.into_iter().chain(inserted).collect()
    }

    /// All of them in one piece: a copy if there are several.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Pieces::One(bytes) => bytes.clone(),
            Pieces::Several(pieces) => pieces.concat().into(),
        }
    }

    /// The first so many bytes are not in it any more.
    #[cfg(feature = "client")]
    pub(crate) fn advance(&mut self, mut count: usize) {
        let pieces = match &mut self.0 {
            Pieces::One(bytes) => std::slice::from_mut(bytes),
            Pieces::Several(pieces) => pieces,
        };
        for piece in pieces {
            let of_piece = count.min(piece.len());
            piece.advance(of_piece);
            count -= of_piece;
        }
    }

    /// What it consists of.
    pub(crate) fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::One(bytes) => std::slice::from_ref(bytes),
            Pieces::Several(pieces) => pieces,
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Pieces::One(bytes))
    }
}

impl From<&'static str> for Payload {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut pieces: Vec<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        match pieces.len() {
            0 | 1 => pieces.pop().unwrap_or_default().into(),
            _ => Self(Pieces::Several(pieces.into())),
        }
    }
}

impl HttpBody for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let pieces = match &mut self.0 {
            Pieces::One(bytes) => std::slice::from_mut(bytes),
            Pieces::Several(pieces) => pieces,
        };
        let next = pieces.iter_mut().find(|piece| !piece.is_empty());
        Poll::Ready(next.map(|piece| Ok(Frame::data(std::mem::take(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn it_is_as_small_as_one_piece() {
        assert_eq!(size_of::<Payload>(), size_of::<Bytes>());
    }

    #[test]
    fn its_pieces_are_sent_in_order_and_none_is_empty() {
        let pieces = ["", "ab", "", "c", ""].map(|text| Bytes::from_static(text.as_bytes()));
        let payload = Payload::from_iter(pieces);
        assert_eq!((payload.len(), payload.size_hint().exact()), (3, Some(3)));
        assert_eq!(payload.to_bytes(), "abc");
        let mut body = payload.clone();
        let frames = std::iter::from_fn(|| block_on(body.frame()));
        let frames: Vec<_> = frames.map(|frame| frame.unwrap().into_data().unwrap()).collect();
        assert_eq!(frames, ["ab", "c"]);
        for at in 0..=4 {
            let pieces = ["ab", "c"].map(|text| Bytes::from_static(text.as_bytes()));
            let inserted = Payload::from_iter(pieces).with_inserted(at, Bytes::from_static(b"-"));
            let mut expected = "abc".to_owned();
            expected.insert(at.min(3), '-');
            assert_eq!(inserted.to_bytes(), expected);
        }
        assert!(Payload::default().is_end_stream() && Payload::from("").is_empty());
        assert_eq!(block_on(Payload::from("x").collect()).unwrap().to_bytes(), "x");
    }
}
