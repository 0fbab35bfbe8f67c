//! Who may ask, and who is trusted.

use super::*;

#[test]
fn each_mistake_in_who_may_ask_and_who_is_trusted_is_named_with_its_line() {
    check(&[
        ("          tls: { ca: /no/such/file }\n", "", "7:", "cannot be read"),
        ("", "security: { api-keys: [{ digest: x }] }\n", "1:", "no 'name'"),
        ("", "security: { api-keys: [{ name: a }] }\n", "1:", "no 'digest'"),
        ("", "security: { api-keys: [{ name: a, digest: jr-secret }] }\n", "1:", "keys new"),
        ("", "security: { api-keys: [{ name: a, digest: 'sha256:00' }] }\n", "1:", "64"),
        ("", "security: { api-keys: [{ name: a, expires: soon }] }\n", "1:", "2030-01-31"),
        ("", "security: { api-keys: [{ name: a, priority: 256 }] }\n", "1:", "255"),
        ("", "security: { api-keys: [{ name: a, services: [x] }] }\n", "1:", "chat"),
        ("", "security: { api-keys: { name: a } }\n", "1:", "list"),
        ("", "security: { keys: [] }\n", "1:", "api-keys"),
        ("", "security: { failures-per-minute: 0 }\n", "1:", "from 1"),
        ("", "security: { jwt: { secret: x } }\n", "1:", "'algorithms'"),
        ("", "security: { jwt: { algorithms: [none] } }\n", "1:", "'none' is no algorithm"),
        ("", "security: { jwt: { algorithms: [hs256] } }\n", "1:", "HS256"),
        ("", "security: { jwt: { algorithms: [HS256] } }\n", "1:", "one of 'secret'"),
        ("", "security: { jwt: { algorithms: [HS256], secret: short } }\n", "1:", "32 bytes"),
        ("", "security: { jwt: { algorithms: [RS256], secret: x } }\n", "1:", "alone"),
        ("", "security: { jwt: { algorithms: [HS256], jwks-url: 'https://h' } }\n", "1:", "public"),
        (
            "",
            "security: { jwt: { algorithms: [RS256], jwks-url: 'https://h' } }\n",
            "1:",
            "'issuer'",
        ),
        ("", "security: { jwt: { algorithms: [RS256], jwks-url: 'http://h' } }\n", "1:", "https"),
        (
            "",
            "security: { jwt: { algorithms: [RS256], jwks-url: 'https://u:p@h' } }\n",
            "1:",
            "password",
        ),
        ("", "security: { jwt: { algorithms: [RS256], jwks-url: 'ftp://h' } }\n", "1:", "https://"),
        (
            "",
            "security: { jwt: { algorithms: [RS256], jwks-file: /no/such } }\n",
            "1:",
            "cannot be read",
        ),
        (
            "",
            "security: { jwt: { algorithms: [RS256], jwks-file: /etc/hostname } }\n",
            "1:",
            "not JSON",
        ),
        ("", "security: { jwt: { leeway: 1h } }\n", "1:", "ten minutes"),
        ("", "security: { jwt: { secret: x, refresh: 1s } }\n", "1:", "'jwks-url'"),
        ("", "security: { jwt: { secret: , issuer: [] } }\n", "1:", "says nothing"),
        ("", "security: { jwt: }\n", "1:", "says nothing"),
        ("          tls: { ca: /etc/hostname }\n", "", "7:", "no certificate"),
        ("          tls: { client-key: /etc/hostname }\n", "", "7:", "no key"),
        ("          tls: { verify: false }\n", "", "7:", "client-certificate"),
        ("          http2: maybe\n", "", "7:", "neither auto nor true nor false"),
        ("", "server: { http2: maybe }\n", "1:", "neither true nor false"),
        ("", "server: { http2: true }\n", "1:", "there is no 'tls'"),
    ]);
}
