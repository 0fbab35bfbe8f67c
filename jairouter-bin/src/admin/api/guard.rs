//! Who is heard.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use jairouter_config::keys;
use subtle::ConstantTimeEq;

use super::Problem;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who is heard: whoever has the token; without one, whoever comes from this machine, and is no page of another
/// site's.
pub(crate) struct Guard {
    /// Asked for each request, since it may change.
    token: Box<dyn Fn() -> Option<[u8; 32]> + Send + Sync>,
    is_local: bool,
}

impl Guard {
    /// That of a listener at this address.
    pub(crate) fn new(
        address: IpAddr,
        token: impl Fn() -> Option<[u8; 32]> + Send + Sync + 'static,
    ) -> Self {
        Self { token: Box::new(token), is_local: address.is_loopback() }
    }

    fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        match (self.token)() {
            Some(digest) => match shown(headers) {
                Some(token) if bool::from(keys::digest(token).ct_eq(&digest)) => Ok(()),
                _ => Err(Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "invalid_token",
                    "show management.server.token, as `Authorization: Bearer …`",
                )),
            },
            None if !self.is_local => Err(forbidden(
                "nobody is heard here until management.server.token is set, or the address is a loopback one",
            )),
            None => is_no_page_of_another_s(method, headers),
        }
    }
}

/// Lets a request pass, or says why not.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.admit(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The token that is shown: one, once.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let mut bearers = headers.get_all(AUTHORIZATION).iter();
    let mut keys = headers.get_all(X_API_KEY).iter();
    let token = match (bearers.next(), keys.next()) {
        (Some(bearer), None) => {
            let (scheme, token) = bearer.as_bytes().split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)?
        }
        (None, Some(key)) => key.as_bytes(),
        _ => return None,
    };
    (bearers.next().is_none() && keys.next().is_none()).then_some(token)
}

/// A browser on this machine may be shown a page by anybody, whose name may lead here (DNS rebinding).
fn is_no_page_of_another_s(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(host) = host.filter(is_local) else {
        return Err(forbidden("without a token, the Host is to be localhost or an address"));
    };
    let origin = headers.get(ORIGIN);
    let same = |origin: &http::HeaderValue| {
        let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        uri.is_some_and(|uri| uri.authority() == Some(&host))
    };
    match origin {
        Some(origin) if *method != Method::GET && !same(origin) => {
            Err(forbidden("without a token, no other site's page is heard"))
        }
        _ => Ok(()),
    }
}

fn is_local(host: &Authority) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn forbidden(message: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(guard: &Guard, method: &Method, headers: &[(HeaderName, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        guard.admit(method, &headers.collect()).is_ok()
    }

    #[test]
    fn who_has_the_token_is_heard_and_nobody_else() {
        let token = "0123456789abcdef";
        let guard = Guard::new([0, 0, 0, 0].into(), move || Some(keys::digest(token)));
        let admits = |headers: &[(HeaderName, &str)]| admits(&guard, &Method::POST, headers);
        assert!(admits(&[(AUTHORIZATION, "Bearer 0123456789abcdef")]));
        assert!(admits(&[(AUTHORIZATION, "bearer 0123456789abcdef")]));
        assert!(admits(&[(X_API_KEY, "0123456789abcdef")]));
        for headers in [
            &[] as &[(HeaderName, &str)],
            &[(AUTHORIZATION, "Bearer ")],
            &[(AUTHORIZATION, "Bearer")],
            &[(AUTHORIZATION, "Basic 0123456789abcdef")],
            &[(AUTHORIZATION, "Bearer 0123456789abcde")],
            &[(AUTHORIZATION, "0123456789abcdef")],
            &[(X_API_KEY, "0123456789abcdeF")],
            &[(AUTHORIZATION, "Bearer 0123456789abcdef"), (X_API_KEY, "0123456789abcdef")],
        ] {
            assert!(!admits(headers), "{headers:?}");
        }
    }

    // fault: A10
    #[test]
    fn without_a_token_only_this_machine_is_heard() {
        let headers = [(HOST, "127.0.0.1:8081")];
        assert!(!admits(&Guard::new([0, 0, 0, 0].into(), || None), &Method::GET, &headers));
        assert!(admits(&Guard::new([127, 0, 0, 1].into(), || None), &Method::GET, &headers));
    }

    // fault: A11
    #[test]
    fn a_page_of_another_site_is_not_heard() {
        let guard = Guard::new([127, 0, 0, 1].into(), || None);
        let local = |headers: &[(HeaderName, &str)]| admits(&guard, &Method::POST, headers);
        for host in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081"] {
            assert!(local(&[(HOST, host)]), "{host}");
        }
        assert!(local(&[(HOST, "localhost:1"), (ORIGIN, "http://localhost:1")]));
        for headers in [
            &[] as &[(HeaderName, &str)],
            &[(HOST, "evil.example:8081")],
            &[(HOST, "localhost.evil.example")],
            &[(HOST, "localhost:1"), (ORIGIN, "http://evil.example")],
            &[(HOST, "localhost:1"), (ORIGIN, "http://localhost:2")],
            &[(HOST, "localhost:1"), (ORIGIN, "null")],
        ] {
            assert!(!local(headers), "{headers:?}");
        }
    }
}
