//! Header hygiene, both ways.

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    HOST, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::trace::{SpanId, TRACEPARENT, TRACESTATE, Trace};

/// Whether of the caller's this goes to an engine: nothing that could be a credential, a cookie, or the
/// connection's own affair (RFC 9110, section 7.6.1).
fn is_forwarded(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "content-type"
            | "accept"
            | "user-agent"
            | "x-request-id"
            | "traceparent"
            | "tracestate"
            | "baggage"
            | "anthropic-version"
            | "anthropic-beta"
    )
}

/// How many these are.
const FORWARDED: usize = 9;

/// What of an engine's goes to the caller, beside its `x-` headers.
static RETURNED: [HeaderName; 6] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_DISPOSITION,
    CACHE_CONTROL,
    RETRY_AFTER,
];

/// What of its `x-` headers does not: those of a proxy or a framework in front of it, and what the
/// gateway says for itself. The limits, the attempts and the advice to ask again are the caller's
/// with the gateway, and an engine knows none of them.
const PRIVATE: [&str; 8] = [
    "x-accel-",
    "x-powered-by",
    "x-forwarded-",
    "x-real-ip",
    "x-request-id",
    "x-jairouter-",
    "x-ratelimit-",
    "x-should-retry",
];

/// The headers of a request to an engine.
pub(super) fn outward(
    caller: &HeaderMap,
    more: &[HeaderName],
    own: &HeaderMap,
    host: &HeaderValue,
    trace: Option<(&Trace, SpanId)>,
) -> HeaderMap {
    // With as much room as the caller's: HTTP/1 reads the answer's headers into the same memory, and hyper those
    // of the next request on the connection into that.
    let most = FORWARDED + own.len() + more.len() + 2;
    let mut headers = HeaderMap::with_capacity(most.max(caller.len()));
    headers.insert(HOST, host.clone());
    // Of our own list it can name none otherwise.
    let hop_by_hop = names_others(caller) || !more.is_empty();
    let is_left_out = |name: &HeaderName| {
        own.contains_key(name) || hop_by_hop && is_named_by_connection(caller, name)
    };
    let mut before = None;
    for (name, value) in caller {
        // Of one name the first counts; the others come right behind it.
        let is_first = before.replace(name) != Some(name);
        if is_first
            && (is_forwarded(name) || more.contains(name))
            && !(trace.is_some() && (*name == TRACEPARENT || *name == TRACESTATE))
            && !is_left_out(name)
        {
            headers.insert(name.clone(), value.clone());
        }
    }
    if let Some((trace, span)) = trace {
        if !own.contains_key(TRACEPARENT) {
            headers.insert(TRACEPARENT, trace.traceparent(span));
        }
        if trace.has_state() && !is_left_out(&TRACESTATE) {
            for value in caller.get_all(TRACESTATE) {
                headers.append(TRACESTATE, value.clone());
            }
        }
    }
    for (name, value) in own {
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// Removes what is not for the caller.
pub(super) fn inward(headers: &mut HeaderMap) {
    let hop_by_hop = names_others(headers);
    // One after the other: to collect them first would cost allocations, and there are few.
    let next = |headers: &HeaderMap| {
        let unwanted = |name: &&HeaderName| {
            // Last of all, since it names others.
            **name != CONNECTION
                && (!returned(name) || hop_by_hop && is_named_by_connection(headers, name))
        };
        headers.keys().find(unwanted).cloned()
    };
    while let Some(name) = next(headers) {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// Whether `Connection` says more than what becomes of the connection, as it hardly ever does.
fn names_others(headers: &HeaderMap) -> bool {
    let usual = [&b"keep-alive"[..], b"close"];
    let is_usual =
        |value: &HeaderValue| usual.iter().any(|one| value.as_bytes().eq_ignore_ascii_case(one));
    !headers.get_all(CONNECTION).iter().all(is_usual)
}

/// Whether `Connection` says that this header is for the next hop alone.
fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut lists = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lists.any(|list| list.split(',').any(|token| token.trim().eq_ignore_ascii_case(name.as_str())))
}

fn returned(name: &HeaderName) -> bool {
    if RETURNED.contains(name) {
        return true;
    }
    let name = name.as_str();
    if name.starts_with("openai-") || name.starts_with("anthropic-") {
        return true;
    }
    name.starts_with("x-") && !PRIVATE.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Tracing;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn of_two_of_one_name_the_first_is_sent() {
        let mut caller = map(&[("x-mine", "a"), ("accept", "b"), ("user-agent", "c")]);
        for (name, value) in [("accept", "d"), ("x-mine", "e"), ("accept", "f")] {
            caller.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let more = [HeaderName::from_static("x-mine")];
        let own = HeaderMap::new();
        let headers = outward(&caller, &more, &own, &HeaderValue::from_static("h"), None);
        let expected = [("host", "h"), ("x-mine", "a"), ("accept", "b"), ("user-agent", "c")];
        assert_eq!(headers, map(&expected));
    }

    // fault: A7, A12, P14
    #[test]
    fn only_what_an_engine_needs_is_sent_and_its_own_key_survives() {
        let caller = map(&[
            ("authorization", "Bearer caller"),
            ("cookie", "a=b"),
            ("x-api-key", "caller"),
            ("host", "gateway"),
            ("connection", "close, X-Request-Id, authorization"),
            ("content-type", "application/json"),
            ("anthropic-beta", "b1"),
            ("x-request-id", "r1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("accept-encoding", "gzip"),
        ]);
        let own = map(&[("authorization", "Bearer engine")]);
        let headers = outward(&caller, &[], &own, &HeaderValue::from_static("engine:1"), None);
        let expected = map(&[
            ("host", "engine:1"),
            ("content-type", "application/json"),
            ("anthropic-beta", "b1"),
            ("authorization", "Bearer engine"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn authorization_travels_only_when_the_instance_asks_for_it() {
        let caller = map(&[("authorization", "Bearer caller")]);
        let host = HeaderValue::from_static("engine");
        let names = [http::header::AUTHORIZATION];
        let headers = outward(&caller, &names, &HeaderMap::new(), &host, None);
        assert_eq!(headers["authorization"], "Bearer caller");
        let own = map(&[("authorization", "Bearer engine")]);
        let headers = outward(&caller, &names, &own, &host, None);
        let keys: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(keys, ["Bearer engine"], "its own key goes before the caller's");
    }

    #[test]
    fn a_trace_goes_on_in_an_instance_with_a_span_of_the_attempt_s_and_the_state_as_it_came() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let host = HeaderValue::from_static("engine");
        let mut caller = map(&[("traceparent", given), ("tracestate", "b=2, a=1")]);
        caller.append("tracestate", HeaderValue::from_static("c=3"));
        let headers = outward(&caller, &[], &HeaderMap::new(), &host, None);
        assert_eq!(headers["traceparent"], given, "nobody traces here: it is the caller's affair");

        let trace = Tracing::new().begin(&caller);
        let sent = |caller: &HeaderMap, trace: &Trace, own: &HeaderMap| {
            let attempt = trace.ask(&"a".into(), &"a:1".parse().unwrap());
            (outward(caller, &[TRACEPARENT], own, &host, Some((trace, attempt.span()))), attempt)
        };
        let (first, attempt) = sent(&caller, &trace, &HeaderMap::new());
        let expected = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", attempt.span());
        assert_eq!(first["traceparent"], expected);
        let states: Vec<_> = first.get_all("tracestate").iter().collect();
        assert_eq!(states, ["b=2, a=1", "c=3"]);
        let (second, _) = sent(&caller, &trace, &HeaderMap::new());
        assert_ne!(first["traceparent"], second["traceparent"], "each attempt has its own span");

        caller.append("traceparent", HeaderValue::from_static(given));
        let (begun, _) = sent(&caller, &Tracing::new().begin(&caller), &HeaderMap::new());
        assert!(
            !begun["traceparent"].to_str().unwrap().contains("0af7651916cd43dd8448eb211c80319c")
        );
        assert!(!begun.contains_key("tracestate"), "it means nothing in another trace");

        let own = map(&[("traceparent", "own"), ("tracestate", "own=1")]);
        let (headers, _) = sent(&caller, &trace, &own);
        assert_eq!(headers.get_all("traceparent").iter().collect::<Vec<_>>(), ["own"]);
        assert_eq!(headers.get_all("tracestate").iter().collect::<Vec<_>>(), ["own=1"]);
    }

    // fault: P15, X12
    #[test]
    fn nothing_of_the_connection_or_the_engine_s_house_comes_back() {
        let mut headers = map(&[
            ("content-type", "text/event-stream"),
            ("x-prompt-tokens", "7"),
            ("openai-processing-ms", "3"),
            ("connection", "x-internal"),
            ("x-internal", "1"),
            ("set-cookie", "a=b"),
            ("server", "uvicorn"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-origin", "*"),
            ("x-accel-buffering", "no"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-jairouter-instance", "not ours"),
            ("x-jairouter-fallback", "cache"),
            ("x-should-retry", "true"),
        ]);
        inward(&mut headers);
        let expected = map(&[
            ("content-type", "text/event-stream"),
            ("x-prompt-tokens", "7"),
            ("openai-processing-ms", "3"),
        ]);
        assert_eq!(headers, expected);
    }
}
