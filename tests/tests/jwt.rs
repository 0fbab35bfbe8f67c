//! Tokens beside keys: whose are taken, and what their holders may ask.

use jairouter_tests::client::{RawClient, ask};
use jairouter_tests::gateway::{Gateway, UNPROBED};
use jairouter_tests::jwt::{Signer, claims, in_seconds, jwks};
use jairouter_tests::upstream::Step::{Fin, Send, Sleep};
use jairouter_tests::upstream::{Seen, Upstream, closed_port, json};
use jairouter_tests::{chat, until};
use serde_json::{Value, json as value};
use std::time::Duration;
use tempfile::TempDir;

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}]}"#;
const SECRET: &str = "a secret of these tests that is as long as the longest hash, and longer";
/// A key beside the tokens, and its digest.
const ALICE: &str = "jr-alice-7d1f";
const ALICE_DIGEST: &str =
    "sha256:81b446c217c6502208b9c273dbb665bb805f1a886e78548abe449b220b268c38";

/// Where a bad token may be sent.
const PATHS: [(&str, &str); 10] = [
    ("POST", CHAT),
    ("POST", "/api/v1/chat/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/messages"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("GET", "/"),
    ("OPTIONS", CHAT),
    ("POST", "//v1/chat/completions"),
    ("POST", "/healthz/../v1/chat/completions"),
];

const PUBLIC: &str = "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]";

async fn engine() -> Upstream {
    Upstream::answering(json("200 OK", ANSWER)).await
}

/// A configuration with these lines under `jwt`.
fn file(jwt: &str, upstream: &Upstream) -> String {
    let url = upstream.url();
    format!(
        "server: {{ port: 0, log: {{ level: trace, format: json }} }}\nsecurity:\n  failures-per-minute: \
         unlimited\n  jwt:\n    issuer: https://issuer\n    audience: gateway\n    leeway: 0\n{jwt}model:\n\
         {UNPROBED}  services:\n    chat:\n      instances:\n        - {{ base-url: '{url}', models: [m, n] }}\n    \
         embedding:\n      instances:\n        - {{ base-url: '{url}', models: [m, e] }}\n"
    )
}

fn shared(lines: &str, upstream: &Upstream) -> String {
    file(
        &format!("    algorithms: [HS256, HS384, HS512]\n    secret: '{SECRET}'\n{lines}"),
        upstream,
    )
}

fn from_url(url: &str, lines: &str, upstream: &Upstream) -> String {
    file(&format!("    {PUBLIC}\n    jwks-url: '{url}'\n{lines}"), upstream)
}

fn from_file(folder: &TempDir, upstream: &Upstream) -> String {
    let path = folder.path().join("jwks.json");
    file(&format!("    {PUBLIC}\n    jwks-file: '{}'\n", path.display()), upstream)
}

fn write(folder: &TempDir, text: &str) {
    let (path, new) = (folder.path().join("jwks.json"), folder.path().join("new"));
    std::fs::write(&new, text).expect("room for it");
    std::fs::rename(new, path).expect("it is ours");
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\n{headers}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

async fn status(gateway: &Gateway, token: &str, path: &str, model: &str) -> u16 {
    let body = chat(model, false);
    ask(gateway.address(), request("POST", path, &bearer(token), &body)).await.status
}

#[tokio::test]
async fn a_token_of_every_algorithm_lets_its_holder_in_and_goes_no_further() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&shared("", &upstream));
    let secret = Signer::secret(SECRET);
    let mut tokens = Vec::new();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = secret.token(algorithm, &claims("carol"));
        assert_eq!(status(&gateway, &token, CHAT, "m").await, 200, "{algorithm}");
        tokens.push(token);
    }
    let log = gateway.logged(r#""key":"carol""#).await;
    assert!(tokens.iter().all(|token| !log.contains(token.as_str())), "a token is in the log");

    let (rsa, ed) = (Signer::rsa("r"), Signer::ed("d"));
    let (p256, p384) = (Signer::ec("e", "P-256"), Signer::ec("f", "P-384"));
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &jwks(&[&rsa, &p256, &p384, &ed]));
    let gateway = Gateway::start_yaml(&from_file(&folder, &upstream));
    for (algorithm, signer) in [
        ("RS256", &rsa),
        ("RS384", &rsa),
        ("RS512", &rsa),
        ("PS256", &rsa),
        ("PS384", &rsa),
        ("PS512", &rsa),
        ("ES256", &p256),
        ("ES384", &p384),
        ("EdDSA", &ed),
    ] {
        let token = signer.token(algorithm, &claims("carol"));
        assert_eq!(status(&gateway, &token, CHAT, "m").await, 200, "{algorithm}");
        assert_eq!(status(&gateway, &token, CHAT, "m").await, 200, "{algorithm}, again");
        // Without an id, as there is no other key for it.
        let plain = signer.sign(algorithm, &value!({ "alg": algorithm }), &claims("carol"));
        assert_eq!(status(&gateway, &plain, CHAT, "m").await, 200, "{algorithm}");
    }
    for seen in upstream.requests() {
        assert!(!seen.to_lowercase().contains("authorization"), "{seen}");
    }
}

#[tokio::test]
async fn a_token_that_another_program_has_signed_is_good() {
    // By OpenSSL, with the RSA key of these tests: PS256, good until 2100.
    let token = "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.mHtLXOW4hcXja44lGBSxDA2Zmg5hx8qgCqqthldWsIIXM9Kc05xBH0-B5TzT3i9wpGaiJFO3R5B6B9I4zR1oEFCKOE67u4cThhYQKp-e_gOCgBet2ZtQe8JtTNIXdS70RrakrhvhLXQVAzF6_459EjJBtYymdLIq_OzzUFajuxqPJuERT-ice8HGQ2sLcMJDDtHGeJ-KEzjEMv8gkyj9fenp2NgtEY46QT7XAD4dpfRovRwnmQfyCw0wc9Qm_ZUH9JFCBKtOvdWJI_DtaLfi1SDSOEvKCbcwRG3Ve5nhN4t7IDmkR66OpiSlVnhEo4myMzcoTvYZQ4Vz2wbR-MFTiA";
    let upstream = engine().await;
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &jwks(&[&Signer::rsa("rsa")]));
    let gateway = Gateway::start_yaml(&from_file(&folder, &upstream));
    // It names neither issuer nor audience: its signature is good, and it is not for us.
    assert_eq!(status(&gateway, token, CHAT, "m").await, 401);
    gateway.logged("the token is of another issuer").await;
    let forged = token.replace("NDEwMjQ0NDgwMH0", "NDEwMjQ0NDgwMX0");
    assert_eq!(status(&gateway, &forged, CHAT, "m").await, 401);
    gateway.logged("the token's signature is wrong").await;
}

// fault: A1 A3 A6
#[tokio::test]
async fn no_bad_token_reaches_an_engine_at_any_path() {
    let upstream = engine().await;
    let rsa = Signer::rsa("r");
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &jwks(&[&rsa]));
    let keys = format!("  api-keys: [{{ name: alice, digest: '{ALICE_DIGEST}' }}]\n  jwt:\n");
    let gateway =
        Gateway::start_yaml(&from_file(&folder, &upstream).replacen("  jwt:\n", &keys, 1));
    let good = rsa.token("RS256", &claims("canary7f3a"));
    assert_eq!(status(&gateway, &good, CHAT, "m").await, 200);
    assert_eq!(status(&gateway, ALICE, CHAT, "m").await, 200, "a key beside it");
    let before = upstream.count(&Seen::Connected);
    let with = |name: &str, value: Value| {
        let mut claims = claims("canary7f3a");
        claims[name] = value;
        rsa.token("RS256", &claims)
    };
    let none = value!({ "alg": "none", "kid": "r" });
    let unsigned = rsa.sign("RS256", &none, &claims("canary7f3a"));
    let (head_and_claims, _) = unsigned.rsplit_once('.').unwrap();
    // The public key as a secret, in the forms that have been taken for one.
    let public = rsa.jwk();
    let confused = |secret: &str| {
        let header = value!({ "alg": "HS256", "kid": "r" });
        Signer::secret(secret).sign("HS256", &header, &claims("canary7f3a"))
    };
    let (start, signature) = good.rsplit_once('.').unwrap();
    // The last character has bits that say nothing; the first is another one for sure.
    let altered = if signature.starts_with('A') { 'B' } else { 'A' };
    let mut tokens = vec![
        with("exp", value!(in_seconds(-1))),
        with("nbf", value!(in_seconds(600))),
        with("iss", value!("https://other")),
        with("aud", value!("other")),
        with("aud", value!([])),
        with("exp", value!(null)),
        with("sub", value!(7)),
        with("jairouter", value!({ "mdoels": ["m"] })),
        unsigned.clone(),
        format!("{head_and_claims}."),
        format!("{start}."),
        format!("{start}.{altered}{}", &signature[1..]),
        format!("{start}.{signature}."),
        format!("{good}{good}"),
        good.to_uppercase(),
        confused(&public["n"].to_string()),
        confused(public["n"].as_str().unwrap()),
        confused(&public.to_string()),
        Signer::ec("r", "P-256").token("ES256", &claims("canary7f3a")),
        Signer::ed("unknown").token("EdDSA", &claims("canary7f3a")),
        rsa.sign("RS256", &value!({ "alg": "PS256", "kid": "r" }), &claims("canary7f3a")),
        rsa.sign("RS256", &value!({ "alg": "RS256", "kid": "x" }), &claims("canary7f3a")),
        rsa.sign("RS256", &value!({ "alg": "RS256", "crit": ["b64"], "b64": false }), &claims("a")),
        rsa.token("RS256", &value!({ "sub": "x".repeat(9000) })),
        "eyJ..".into(),
        "eyJ.eyJ.eyJ".into(),
        format!("eyJ.{}.x", "A".repeat(20_000)),
    ];
    tokens.dedup();
    assert!(!tokens.contains(&good), "a token that is to be bad is the good one");
    let mut credentials: Vec<String> = tokens.iter().map(|token| bearer(token)).collect();
    for header in [
        // A token is no key.
        format!("x-api-key: {good}\r\n"),
        format!("x-api-key: {good}\r\n{}", bearer(&good)),
        format!("authorization: {good}\r\n"),
        format!("authorization: Basic {good}\r\n"),
        format!("authorization: DPoP {good}\r\n"),
        format!("{}{}", bearer(&good), bearer(&good)),
        format!("{}{}", bearer(&good), bearer(ALICE)),
        format!("cookie: token={good}\r\n"),
    ] {
        credentials.push(header);
    }
    let mut tried = 0;
    for (method, path) in PATHS {
        let mut client = RawClient::connect(gateway.address()).await;
        for headers in &credentials {
            client.send(request(method, path, headers, "")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 401, "{method} {path} {headers}");
            let text = answer.text();
            let says = ["not valid", "more than one", "is needed"].map(|why| text.contains(why));
            assert!(says.contains(&true), "{text}");
            tried += 1;
        }
    }
    assert!(tried >= 300, "{tried}");
    assert_eq!(upstream.count(&Seen::Connected), before);
    let logged = || gateway.log().matches("refused at the door").count();
    until("all are in the log", || logged() >= tried).await;
    let log = gateway.log();
    for why in [
        "the token has expired",
        "not one of those in the configuration",
        "another audience",
        "not valid yet",
        "signature is wrong",
    ] {
        assert!(log.contains(why), "{why}");
    }
    for line in log.lines().filter(|line| line.contains("refused at the door")) {
        assert!(!line.contains("canary7f3a") && !line.contains("eyJ"), "{line}");
    }
}

#[tokio::test]
async fn a_token_of_8_kib_is_taken_and_a_longer_one_is_not() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&shared("", &upstream));
    let token = |padding: usize| {
        let mut claims = claims("carol");
        claims["padding"] = value!("x".repeat(padding));
        Signer::secret(SECRET).token("HS256", &claims)
    };
    let long = token(5900);
    assert!((7900..=8192).contains(&long.len()), "{}", long.len());
    assert_eq!(status(&gateway, &long, CHAT, "m").await, 200);
    let longer = token(6200);
    assert!((8193..9000).contains(&longer.len()), "{}", longer.len());
    assert_eq!(status(&gateway, &longer, CHAT, "m").await, 401);
}

#[tokio::test]
async fn a_token_s_holder_sees_and_asks_what_the_token_says() {
    let upstream = engine().await;
    let gateway = Gateway::start_yaml(&shared("    models: [n]\n", &upstream));
    let secret = Signer::secret(SECRET);
    let plain = secret.token("HS256", &claims("carol"));
    assert_eq!(status(&gateway, &plain, CHAT, "n").await, 200);
    assert_eq!(status(&gateway, &plain, CHAT, "m").await, 403, "the file says which");
    let mut said = claims("dave");
    said["jairouter"] = value!({ "models": ["m*", "e"], "services": ["chat"] });
    let own = secret.token("HS256", &said);
    assert_eq!(status(&gateway, &own, CHAT, "m").await, 200);
    assert_eq!(status(&gateway, &own, CHAT, "n").await, 403);
    assert_eq!(status(&gateway, &own, "/v1/embeddings", "m").await, 403);
    let models = async |token: &str| {
        ask(gateway.address(), request("GET", "/v1/models", &bearer(token), "")).await.text()
    };
    let (plain, own) = (models(&plain).await, models(&own).await);
    assert!(plain.contains(r#""id":"n""#) && !plain.contains(r#""id":"m""#), "{plain}");
    assert!(own.contains(r#""id":"m""#) && !own.contains(r#""id":"n""#), "{own}");
    assert!(!own.contains(r#""id":"e""#), "of another service: {own}");
}

#[tokio::test]
async fn each_holder_has_limits_of_its_own_over_all_its_tokens_and_reloads() {
    let upstream = engine().await;
    let lines = "    requests-per-minute: 2\n";
    let gateway = Gateway::start_yaml(&shared(lines, &upstream));
    let secret = Signer::secret(SECRET);
    let another = |number: i64| {
        let mut claims = claims("carol");
        claims["jti"] = value!(number);
        secret.token("HS256", &claims)
    };
    assert_eq!(status(&gateway, &another(1), CHAT, "m").await, 200);
    let asked = request("POST", CHAT, &bearer(&another(2)), &chat("m", false));
    let answer = ask(gateway.address(), asked).await;
    assert!(answer.head.contains("x-ratelimit-remaining-requests: 0"), "{}", answer.head);
    let asked = request("POST", CHAT, &bearer(&another(3)), &chat("m", false));
    let answer = ask(gateway.address(), asked).await;
    assert_eq!(answer.status, 429);
    assert!(answer.text().contains("your token"), "{}", answer.text());
    let dave = secret.token("HS256", &claims("dave"));
    assert_eq!(status(&gateway, &dave, CHAT, "m").await, 200, "another's is another's");
    gateway.write(&shared(&format!("{lines}    priority: 9\n"), &upstream));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway, &another(1), CHAT, "m").await, 429, "what is spent stays so");
}

// fault: A13
#[tokio::test]
async fn a_key_that_is_taken_out_of_the_file_is_worth_nothing_once_it_is_read_again() {
    let upstream = engine().await;
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let folder = tempfile::tempdir().unwrap();
    write(&folder, &jwks(&[&old]));
    let gateway = Gateway::start_yaml(&from_file(&folder, &upstream));
    let (of_old, of_new) = (old.token("EdDSA", &claims("a")), new.token("EdDSA", &claims("b")));
    assert_eq!(status(&gateway, &of_old, CHAT, "m").await, 200);
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 401);
    // Nobody tells the program: it watches the file.
    write(&folder, &jwks(&[&new]));
    gateway.logged("the configuration is served again").await;
    assert_eq!(status(&gateway, &of_old, CHAT, "m").await, 401, "though it was good before");
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 200);
    // One that is none changes nothing.
    write(&folder, "{}");
    gateway.logged("the configuration stays").await;
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 200);
    // And without the section it is not looked at.
    let keys = format!("  api-keys: [{{ name: alice, digest: '{ALICE_DIGEST}' }}]\n");
    let without = from_file(&folder, &upstream);
    let (before, behind) = without.split_once("  jwt:\n").unwrap();
    let (_, model) = behind.split_once("model:\n").unwrap();
    gateway.write(&format!("{before}{keys}model:\n{model}"));
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 401);
    assert_eq!(status(&gateway, ALICE, CHAT, "m").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_before_anybody_asks_and_rotate_without_a_request_that_waits() {
    let upstream = engine().await;
    let (old, new) = (Signer::ed("old"), Signer::ec("new", "P-256"));
    let (first, then) = (jwks(&[&old]), jwks(&[&new]));
    let issuer = Upstream::serving(move |number, _| {
        let keys = if number == 0 { &first } else { &then };
        vec![Send(json("200 OK", keys))]
    })
    .await;
    let url = format!("{}/keys?v=1", issuer.url());
    let gateway = Gateway::start_yaml(&from_url(&url, "    refresh: 2s\n", &upstream));
    let (of_old, of_new) = (old.token("EdDSA", &claims("a")), new.token("ES256", &claims("b")));
    assert_eq!(status(&gateway, &of_old, CHAT, "m").await, 200, "they are there at once");
    assert!(issuer.requests()[0].starts_with("GET /keys?v=1 HTTP/1.1\r\n"));
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 401);
    // Nobody fetches for that now: the last time is less than a minute ago.
    gateway.logged("the token's key is not in the set").await;
    until("they are fetched again", || issuer.requests().len() >= 2).await;
    gateway.logged("the keys that tokens are checked with").await;
    until("they are others", || {
        gateway.log().contains(r#""message":"the keys that tokens are checked with""#)
    })
    .await;
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 200);
    assert_eq!(status(&gateway, &of_old, CHAT, "m").await, 401, "though it was good before");
    // A configuration that is the same otherwise goes on with the keys that are there.
    gateway.write(&from_url(&url, "    refresh: 2s\n    priority: 1\n", &upstream));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    assert_eq!(status(&gateway, &of_new, CHAT, "m").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_says_nonsense_or_nothing_changes_nothing() {
    let upstream = engine().await;
    let ed = Signer::ed("k");
    let good = jwks(&[&ed]);
    let issuer = Upstream::serving(move |number, _| match number {
        0 => vec![Send(json("200 OK", &good))],
        1 => vec![Send(json("200 OK", "<html>"))],
        2 => vec![Send(json("200 OK", r#"{"keys":[]}"#))],
        3 => vec![Send(json("500 No", "{}"))],
        4 => vec![Send(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        )],
        5 => vec![Send(json("200 OK", &format!(r#"{{"keys":[{}]}}"#, " ".repeat(2 << 20))))],
        6 => vec![Fin],
        _ => vec![Sleep(Duration::from_secs(60))],
    })
    .await;
    let gateway = Gateway::start_yaml(&from_url(&issuer.url(), "    refresh: 1s\n", &upstream));
    let token = ed.token("EdDSA", &claims("a"));
    until("all of it was said", || issuer.requests().len() >= 8).await;
    assert_eq!(status(&gateway, &token, CHAT, "m").await, 200);
    for why in ["it is not JSON", "no public key", "500", "302", "length limit exceeded"] {
        gateway.logged(why).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_or_silent_at_first_lets_nobody_in_and_holds_nothing_up() {
    let upstream = engine().await;
    let ed = Signer::ed("k");
    let token = ed.token("EdDSA", &claims("a"));
    // Who listens later at a port where nobody does now.
    let address = closed_port().await;
    let gateway = Gateway::start_yaml(&from_url(&format!("http://{address}/"), "", &upstream));
    assert_eq!(status(&gateway, &token, CHAT, "m").await, 401);
    gateway.logged("there are no keys yet").await;
    let keys = jwks(&[&ed]);
    let issuer = Upstream::serving_at(address, move |_, _| vec![Send(json("200 OK", &keys))]).await;
    let mut answer = 0;
    for _ in 0..400 {
        answer = status(&gateway, &token, CHAT, "m").await;
        if answer == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(answer, 200, "once it is there");
    drop(issuer);
    let silent = Upstream::serving(|_, _| vec![Sleep(Duration::from_secs(60))]).await;
    let gateway = Gateway::start_yaml(&from_url(&silent.url(), "", &upstream));
    assert_eq!(status(&gateway, &token, CHAT, "m").await, 401);
}

#[tokio::test]
async fn a_token_beside_a_key_goes_to_no_engine_either() {
    let upstream = engine().await;
    let keys = format!("  api-keys: [{{ name: alice, digest: '{ALICE_DIGEST}' }}]\n  jwt:\n");
    let forwards = shared("", &upstream)
        .replacen("  jwt:\n", &keys, 1)
        .replace("models: [m, n]", "models: [m, n], forward-authorization: true");
    let gateway = Gateway::start_yaml(&forwards);
    let secret = Signer::secret(SECRET);
    let mut expired = claims("carol");
    expired["exp"] = value!(in_seconds(-600));
    for (own, forwarded) in [
        (secret.token("HS256", &claims("carol")), false),
        (secret.token("HS256", &expired), false),
        (
            Signer::secret("another's, of which nobody here knows").token("HS256", &claims("x")),
            true,
        ),
    ] {
        let headers = format!("x-api-key: {ALICE}\r\n{}", bearer(&own));
        let asked = request("POST", CHAT, &headers, &chat("m", false));
        assert_eq!(ask(gateway.address(), asked).await.status, 200);
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.contains(&own), forwarded, "{seen}");
    }
}
