//! Changing a little of a body, and nothing else of it.

use std::future::ready;
use std::hint::black_box;

use http::Response;
use jairouter_core::usage::StreamUsageLayer;
use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
use tower::{Layer, Service, service_fn};

use crate::ask::{self, ESCAPED, PLAIN, SIZES};
use crate::{Case, finish};

pub(crate) fn cases() -> Vec<Case> {
    let models = SIZES.map(|(size, called)| {
        Case::new(format!("model/{called}"), move || {
            let request = ask::parsed(ask::chat(PLAIN, size, false));
            move || drop(black_box(request.with_model("Qwen/Qwen3-1.7B")))
        })
    });
    let options = SIZES.map(|(size, called)| usage(format!("usage/{called}"), PLAIN, size));
    let (large, called) = SIZES[2];
    let escaped = usage(format!("usage/escaped-{called}"), ESCAPED, large);
    let form = Case::new(format!("form/{called}"), move || {
        let (headers, body) = ask::form(large);
        let request = InferenceRequest::new(Endpoint::Transcriptions, headers, body);
        let request = request.expect("a form").with_model("whisper-large");
        move || drop(black_box(request.form()))
    });
    models.into_iter().chain(options).chain([escaped, form]).collect()
}

/// Asking for the usage of a stream.
fn usage(name: String, text: &'static str, size: usize) -> Case {
    Case::new(name, move || {
        let request = ask::parsed(ask::chat(text, size, true));
        let told = service_fn(|request: InferenceRequest| {
            black_box(&request.payload);
            ready(Ok::<_, Error>(Response::new(Body::empty())))
        });
        let mut service = StreamUsageLayer::new(true).layer(told);
        move || drop(black_box(finish(service.call(request.clone()))))
    })
}
