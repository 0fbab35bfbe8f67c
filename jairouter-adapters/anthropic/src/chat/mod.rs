//! Chat: `/v1/messages`.

mod chunk;
mod request;
mod stream;
mod whole;

pub(crate) use request::encode;
pub(crate) use stream::Stream;
pub(crate) use whole::whole;
