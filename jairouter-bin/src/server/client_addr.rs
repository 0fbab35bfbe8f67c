//! Who is asking, behind proxies that are trusted to say so.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The caller's address: the peer's own, or if that is a trusted proxy the last one in
/// `X-Forwarded-For` that is not. Nothing else of the header can be believed.
pub(super) fn client_addr(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    if !is_trusted(peer) {
        return peer;
    }
    let lists = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
    let mut client = peer;
    for hop in hops {
        let Some(address) = parse(hop.trim()) else {
            return client;
        };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address, as some proxies write it: bare, in brackets, or with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if hop.matches(':').count() == 1 => hop.split_once(':')?.0,
        None => hop,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append("x-forwarded-for", list.parse().unwrap());
        }
        client_addr(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    // fault: L1
    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_its_last_untrusted_hop() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "not a proxy of ours");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.7"]), "198.51.100.7", "two headers");
        assert_eq!(client("10.0.0.1", &["10.1.1.1, 10.2.2.2"]), "10.1.1.1", "all are ours");
        assert_eq!(client("10.0.0.1", &["198.51.100.7, nonsense"]), "10.0.0.1", "a lie ends it");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, , 10.2.2.2"]), "10.2.2.2");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn an_address_may_be_in_brackets_have_a_port_or_be_mapped() {
        assert_eq!(client("::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(client("::1", &["198.51.100.7:443"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }
}
