//! Where `GPUStack` is asked, and what it cannot be sent.
#![cfg(test)]

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind, Route};
use jairouter_gpustack::GpuStack;

#[test]
fn it_has_all_of_the_api_but_tokens_and_an_older_one_less_of_it() {
    for &endpoint in Endpoint::ALL {
        let path =
            |backend: GpuStack| backend.path(&Route::new(endpoint, "m", false)).map(String::from);
        let is_new = !matches!(endpoint, Endpoint::Tokenize | Endpoint::Detokenize);
        assert_eq!(path(GpuStack::new()), is_new.then(|| endpoint.path().to_owned()));
        let older = endpoint.path().replace("/v1/", "/v1-openai/");
        let expected = match endpoint {
            Endpoint::Rerank => Some("/v1/rerank".to_owned()),
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Embeddings
            | Endpoint::Transcriptions
            | Endpoint::Speech
            | Endpoint::ImageGenerations
            | Endpoint::ImageEdits => Some(older),
            _ => None,
        };
        assert_eq!(path(GpuStack::legacy()), expected, "{endpoint}");
    }
    assert_eq!(GpuStack::legacy().models(), "/v1-openai/models");
    assert_eq!(GpuStack::new().health(), "/readyz");
}

#[test]
fn options_are_read_and_wrong_ones_named() {
    assert_eq!(GpuStack::from_options([]), Ok(GpuStack::new()));
    assert_eq!(GpuStack::from_options([("api", "openai")]), Ok(GpuStack::new()));
    assert_eq!(GpuStack::from_options([("api", "legacy")]), Ok(GpuStack::legacy()));
    for (option, message) in [
        (("api", "native"), "'api' must be openai or legacy"),
        (("legacy", "true"), "'legacy' is no option of gpustack, which has one: api"),
    ] {
        let error = GpuStack::from_options([("api", "legacy"), option]).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.key()), (message, option.0));
    }
}

fn form(names: &[&str]) -> InferenceRequest {
    let part = |name: &&str| {
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nm\r\n")
    };
    let parts: String = names.iter().map(part).collect();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=X".parse().unwrap());
    let payload = format!("{parts}--X--\r\n").into();
    InferenceRequest::new(Endpoint::ImageEdits, headers, payload).unwrap()
}

#[test]
fn fields_of_which_it_would_lose_all_but_one_are_refused_by_their_name() {
    let one = form(&["model", "image[]"]);
    let sent = GpuStack::new().form(&one).unwrap().to_bytes();
    assert_eq!(sent.as_ptr(), one.payload.as_ptr());
    for name in ["image[]", "timestamp_granularities[]", "include[]"] {
        let error = GpuStack::new().form(&form(&["model", name, name])).unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some(name)));
    }
}
