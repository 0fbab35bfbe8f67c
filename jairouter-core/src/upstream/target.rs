//! Where an instance is.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use crate::error::{Error, Kind};

/// The base URL of an instance: `http://host:port`, with an optional path prefix.
///
/// A prefix that ends in `/v1` is understood as people mean it: `http://host/v1` and a path of
/// `/v1/models` give `http://host/v1/models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    host_header: HeaderValue,
    /// Without a slash at its end; usually empty.
    prefix: String,
}

/// Why a base URL was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTarget(pub(super) &'static str);

impl Target {
    /// The host, and the port if one was given.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The scheme.
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Whether its host is written as an address of one link alone. One that is written as a name may lead to such
    /// an address all the same; a client looks at that when it connects.
    pub fn is_link_local(&self) -> bool {
        let host = self.authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse().is_ok_and(is_link_local)
    }

    /// What `Host` says to this instance.
    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// The URI of a path below the base URL. A static path below a bare origin is not copied.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`] if the backend gave a path that is none.
    pub fn uri(&self, path: Cow<'static, str>) -> Result<Uri, Error> {
        let prefix = match self.prefix.strip_suffix("/v1") {
            Some(prefix) if path.starts_with("/v1/") => prefix,
            _ => &self.prefix,
        };
        self.join(match path {
            Cow::Borrowed(path) if prefix.is_empty() => Bytes::from_static(path.as_bytes()),
            path => Bytes::from([prefix, &*path].concat()),
        })
    }

    /// The URI of a path of the engine's own, which is beside its API and not below: `http://host/v1`
    /// and `/health` give `http://host/health`.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`] if the path is none.
    pub fn engine_uri(&self, path: &str) -> Result<Uri, Error> {
        let prefix = self.prefix.strip_suffix("/v1").unwrap_or(&self.prefix);
        match path.starts_with('/') {
            true => self.join(Bytes::from([prefix, path].concat())),
            false => Err(Error::new(Kind::Internal, "a path begins with a slash")),
        }
    }

    fn join(&self, path: Bytes) -> Result<Uri, Error> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = PathAndQuery::from_maybe_shared(path).ok();
        Uri::from_parts(parts).map_err(|error| {
            Error::new(Kind::Internal, "the instance's path is not one").with_source(error)
        })
    }
}

/// Whether it is of one link alone (RFC 3927, RFC 4291): there clouds tell whoever asks their machines' secrets,
/// as at `169.254.169.254`. AWS does so at `fd00:ec2::254`, too.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    const EC2: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == EC2,
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(url: &str) -> Result<Self, InvalidTarget> {
        if url.contains('#') {
            return Err(InvalidTarget("a base URL has no fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| InvalidTarget("this is not a URL"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(InvalidTarget("a base URL begins with a scheme and a host"));
        };
        if authority.as_str().contains('@') {
            return Err(InvalidTarget("a base URL holds no user name and password"));
        }
        if authority.host().is_empty() {
            return Err(InvalidTarget("a base URL needs a host"));
        }
        // `Authority` takes any digits, and clients would take what is no port for the usual one.
        let after =
            authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, port)| port);
        // Behind the bracket of an address there is a port or nothing.
        let is_bracketed = authority.as_str().contains(']');
        if is_bracketed && !after.is_empty() && !after.starts_with(':') {
            return Err(InvalidTarget("a port stands behind a colon"));
        }
        if after.contains(':') && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(InvalidTarget("a port is a number from 1 to 65535"));
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) && scheme == Scheme::HTTP {
            return Err(InvalidTarget("a base URL has no query"));
        }
        let prefix = path.as_ref().map_or("", |path| path.path());
        let prefix = prefix.trim_end_matches('/').to_owned();
        let host_header = HeaderValue::from_str(authority.as_str())
            .map_err(|_| InvalidTarget("a host is made of printable ASCII"))?;
        Ok(Self { scheme, authority, host_header, prefix })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault: X2
    #[test]
    fn addresses_of_one_link_alone_are_known_however_they_are_written() {
        for (url, is_one) in [
            ("http://169.254.169.254", true),
            ("http://169.254.0.1:8000/v1", true),
            ("http://[fe80::1]:8000", true),
            ("http://[fd00:ec2::254]", true),
            ("http://[::ffff:169.254.169.254]", true),
            ("http://[::ffff:a9fe:a9fe]", true),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1", false),
            ("http://[fd00::1]", false),
            ("http://[::1]", false),
            ("http://gpu-1", false),
        ] {
            assert_eq!(url.parse::<Target>().unwrap().is_link_local(), is_one, "{url}");
        }
    }

    #[test]
    fn a_path_is_joined_as_people_mean_it() {
        let table = [
            ("http://h:1", "http://h:1/v1/x"),
            ("http://h:1/", "http://h:1/v1/x"),
            ("http://h/v1", "http://h/v1/x"),
            ("http://h/v1/", "http://h/v1/x"),
            ("http://h/gpu/v1", "http://h/gpu/v1/x"),
            ("http://h/gpu", "http://h/gpu/v1/x"),
            ("http://[::1]:8000", "http://[::1]:8000/v1/x"),
        ];
        for (base, expected) in table {
            let target: Target = base.parse().unwrap();
            assert_eq!(target.uri("/v1/x".into()).unwrap(), expected, "{base}");
            assert_eq!(target.uri(String::from("/v1/x").into()).unwrap(), expected, "{base}");
        }
    }

    #[test]
    fn an_engine_s_own_path_is_beside_its_api() {
        let table = [
            ("http://h:1", "/health", "http://h:1/health"),
            ("http://h/v1", "/health", "http://h/health"),
            ("http://h/v1/", "/v1/models", "http://h/v1/models"),
            ("http://h/gpu/v1", "/health", "http://h/gpu/health"),
            ("http://h/gpu", "/health?deep=1", "http://h/gpu/health?deep=1"),
        ];
        for (base, path, expected) in table {
            let target: Target = base.parse().unwrap();
            assert_eq!(target.engine_uri(path).unwrap(), expected, "{base} {path}");
        }
        let target: Target = "http://h/v1".parse().unwrap();
        for path in ["", "health", "/he alth", "http://elsewhere/"] {
            assert!(target.engine_uri(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let nonsense =
            ["", "host", "/path", "http://", "http://u:p@h", "http://h?x=1", "http://h#x"];
        for url in nonsense.into_iter().chain(["http://[::1]8000", "http://[::1]x"]) {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
        for port in ["", "0", "65536", "99999", "1x"] {
            for host in ["h", "[::1]"] {
                assert!(
                    format!("http://{host}:{port}").parse::<Target>().is_err(),
                    "{host}:{port}"
                );
            }
        }
    }
}
