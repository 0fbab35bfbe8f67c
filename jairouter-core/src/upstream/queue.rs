//! Frames on their way to the caller.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A piece this small is copied to its neighbours: a slice would keep a whole buffer for it.
const SMALL: usize = 512;

/// Frames on their way; one costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Queue {
    first: Option<Bytes>,
    pub(super) rest: VecDeque<Bytes>,
    /// Small pieces, behind the others.
    small: BytesMut,
    len: usize,
}

impl Queue {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let is_empty = self.len == 0;
        self.len += bytes.len();
        if is_empty {
            self.first = Some(bytes);
        } else if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
        } else {
            self.settle();
            self.rest.push_back(bytes);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let next = self.first.take().or_else(|| self.rest.pop_front());
        let bytes =
            next.or_else(|| (!self.small.is_empty()).then(|| self.small.split().freeze()))?;
        self.len -= bytes.len();
        Some(bytes)
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.rest.push_back(self.small.split().freeze());
        }
    }

    /// All of it, and these bytes behind it.
    pub(super) fn joined(&self, behind: &[u8]) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.len + behind.len());
        for piece in self.first.iter().chain(&self.rest) {
            joined.extend_from_slice(piece);
        }
        joined.extend_from_slice(&self.small);
        joined.extend_from_slice(behind);
        joined
    }
}
