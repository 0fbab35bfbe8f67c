//! A gateway of this machine alone that asks for no key: what pages of the web make a browser send it is refused.
//!
//! A page cannot read an answer, as no CORS header lets it, but it could have models run; and one whose name is
//! made to lead here once it is loaded (DNS rebinding) could read answers, too. The first says where it comes from
//! in `Origin`, the second in `Host`.

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use jairouter_core::{Error, Kind};

use crate::config::Config;
use crate::keys::Refused;

/// By which names a gateway may be asked that is for its neighbours alone.
pub(crate) struct Neighbours {
    /// Those of the configuration, in lower case.
    names: Vec<String>,
}

impl Neighbours {
    /// Those of this configuration, if it serves this machine alone and asks for no key.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let server = &config.server;
        let is_for_them = config.security.is_open() && server.address.is_loopback();
        let names = || server.allowed_hosts.iter().map(|name| name.to_lowercase()).collect();
        is_for_them.then(|| Self { names: names() })
    }

    /// Whether what sends this request is no page of the web.
    ///
    /// # Errors
    ///
    /// [`Kind::Forbidden`] if it may be one.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        // Whether there is one, and one alone, is looked at before.
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        if host.is_some_and(|host| !self.knows(host)) {
            let message = "this gateway is asked by this machine's name or address alone; others are named \
                           in server.allowed-hosts";
            return Err(refused(message, "host_not_allowed", "the request is for another host"));
        }
        let mut origins = headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes);
        if origins.any(|origin| !self.is_near(origin)) {
            let message = "pages of the web may not ask this gateway; those of a host that may are named in \
                           server.allowed-hosts";
            return Err(refused(message, "origin_not_allowed", "the request is a web page's"));
        }
        Ok(())
    }

    /// Whether this authority is an address, or a name that nobody elsewhere can give to his own: no public name
    /// is without a dot, and `localhost` leads here by every resolver.
    fn knows(&self, authority: &[u8]) -> bool {
        let Some(authority) = Authority::try_from(authority).ok() else { return false };
        let host = authority.host().to_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<std::net::IpAddr>().is_ok()
            || !host.contains('.')
            || host.ends_with(".localhost")
            || self.names.iter().any(|name| name == host || name == "*")
    }

    /// Whether this origin is a page that is served here, or no page of the web: what extensions and programs
    /// with a browser inside send has a scheme of its own.
    fn is_near(&self, origin: &[u8]) -> bool {
        let Some((scheme, authority)) =
            str::from_utf8(origin).ok().and_then(|text| text.split_once("://"))
        else {
            // `null`: a page that does not say which.
            return false;
        };
        !matches!(scheme, "http" | "https") || self.is_here(authority)
    }

    /// Whether a page of this authority comes from this machine.
    fn is_here(&self, authority: &str) -> bool {
        let Some(authority) = authority.parse::<Authority>().ok() else { return false };
        let host = authority.host().to_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.knows(host.as_bytes()),
        }
    }
}

fn refused(message: &'static str, code: &'static str, why: &'static str) -> Refused {
    Refused { error: Error::new(Kind::Forbidden, message).with_code(code), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(host: &str, origin: Option<&str>) -> bool {
        let mut config = Config::default();
        config.server.allowed_hosts = vec!["Api.Example.com".into()];
        let neighbours = Neighbours::of(&config).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
        neighbours.admit(&headers).is_ok()
    }

    // fault: A11
    #[test]
    fn a_host_is_an_address_a_name_of_this_network_or_one_of_the_list() {
        for host in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.168.1.7",
            "localhost:8080",
            "LOCALHOST",
            "app.localhost:1",
            "gateway",
            "api.example.com",
            "API.example.com:443",
            "api.example.com.",
        ] {
            assert!(admits(host, None), "{host}");
        }
        for host in [
            "evil.com",
            "evil.com:8080",
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "evil.api.example.com",
            "127.0.0.1.nip.io:8080",
            "evil.com.",
            "example.com",
        ] {
            assert!(!admits(host, None), "{host}");
        }
    }

    // fault: A11
    #[test]
    fn a_page_of_the_web_is_refused_and_one_of_this_machine_is_not() {
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1:5173",
            "http://[::1]:3000",
            "https://api.example.com",
            "app://obsidian.md",
            "chrome-extension://abc",
            "vscode-webview://x",
            "file://",
        ] {
            assert!(admits("localhost", Some(origin)), "{origin}");
        }
        for origin in [
            "http://evil.com",
            "https://evil.com:8080",
            "null",
            "",
            "http://192.168.1.9",
            "http://localhost.evil.com",
            "http://",
            "evil.com",
            "https://example.com",
        ] {
            assert!(!admits("localhost", Some(origin)), "{origin}");
        }
    }

    #[test]
    fn who_listens_elsewhere_or_asks_for_keys_looks_at_neither() {
        let mut config = Config::default();
        config.server.address = [0, 0, 0, 0].into();
        assert!(Neighbours::of(&config).is_none());
        let mut config = Config::default();
        config.security.keys = Some(Vec::new());
        assert!(Neighbours::of(&config).is_none());
    }
}
