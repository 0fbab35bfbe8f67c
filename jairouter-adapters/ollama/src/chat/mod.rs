//! Chat: `/api/chat`.

mod chunk;
mod request;
mod stream;

pub(crate) use request::encode;
pub(crate) use stream::{Stream, whole};
