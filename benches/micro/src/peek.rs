//! Reading which model is asked: a request is made of its body, which is read and not changed.

use std::hint::black_box;

use bytes::Bytes;
use http::HeaderMap;
use jairouter_core::{Endpoint, InferenceRequest};

use crate::Case;
use crate::ask::{self, CHINESE, ESCAPED, PLAIN, PROSE, SIZES};

pub(crate) fn cases() -> Vec<Case> {
    let texts = [("plain", PLAIN), ("prose", PROSE), ("escaped", ESCAPED), ("chinese", CHINESE)];
    let chats = texts.into_iter().flat_map(|(kind, text)| {
        SIZES.map(|(size, called)| {
            let body = move || ask::chat(text, size, false);
            read(format!("{kind}/{called}"), Endpoint::ChatCompletions, move || {
                (HeaderMap::new(), body())
            })
        })
    });
    let tokens = SIZES.map(|(size, called)| {
        read(format!("tokens/{called}"), Endpoint::Embeddings, move || {
            (HeaderMap::new(), ask::tokens(size))
        })
    });
    let forms = SIZES.map(|(size, called)| {
        read(format!("form/{called}"), Endpoint::Transcriptions, move || ask::form(size))
    });
    chats.chain(tokens).chain(forms).collect()
}

fn read(
    name: String,
    endpoint: Endpoint,
    make: impl Fn() -> (HeaderMap, Bytes) + Send + Sync + 'static,
) -> Case {
    Case::new(name, move || {
        let (headers, body) = make();
        move || {
            let request = InferenceRequest::new(endpoint, headers.clone(), body.clone());
            black_box(request.expect("a request"));
        }
    })
}
