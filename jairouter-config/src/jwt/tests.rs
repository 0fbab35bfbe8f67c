//! What is a token, whom it names, and which key it is checked with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use serde_json::{Value, json};

use super::token::{self, Claims};
use super::*;

const SECRET: &[u8] = b"a secret of these tests, 32 bytes";

const NOW: i64 = 1_800_000_000;

/// Signed with the secret, whatever the header says.
fn signed(header: &Value, claims: &str) -> String {
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature.as_ref()))
}

fn read(token: &str, keys: &KeySet) -> Result<Claims, &'static str> {
    let all = Algorithm::ALL.map(|(_, algorithm)| algorithm);
    token::read(token.as_bytes(), &all, keys)
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap()
}

/// The claims of the examples in RFC 7515.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

#[test]
fn the_examples_of_the_rfcs_are_good_and_one_bit_makes_them_bad() {
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let rsa = json!({ "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" });
    let ec = json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
    let of = |key: &Value| {
        let all = Algorithm::ALL.map(|(_, algorithm)| algorithm);
        KeySet::jwks(json!({ "keys": [key] }).to_string().as_bytes(), &all).unwrap()
    };
    for (keys, header, signature) in [
        // RFC 7515, A.1, A.2 and A.3.
        (
            KeySet::secret(bytes(secret)),
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            of(&rsa),
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            of(&ec),
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let token = format!("{header}.{JOE}.{signature}");
        let claims = read(&token, &keys).unwrap();
        assert_eq!(claims["iss"], "joe");
        for part in 0..3 {
            let mut parts: Vec<_> = token.split('.').map(bytes).collect();
            let middle = parts[part].len() / 2;
            parts[part][middle] ^= 1;
            let parts: Vec<_> = parts.iter().map(|part| BASE64.encode(part)).collect();
            assert!(read(&parts.join("."), &keys).is_err(), "{header} {part}");
        }
        for not_one in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            &format!("{token}."),
            &format!("{token}.a"),
            &format!("{token}="),
            &token[1..],
            &token[..token.len() - 4],
        ] {
            assert!(read(not_one, &keys).is_err(), "{not_one}");
        }
    }
    // RFC 8037, A.4, whose payload is no JSON.
    let ed = of(
        &json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
    );
    let key = ed.find(Algorithm::EdDsa, None).unwrap();
    let signature = bytes(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert!(Algorithm::EdDsa.verify(key, message, &signature));
    assert!(!Algorithm::EdDsa.verify(key, &message[1..], &signature));
}

#[test]
fn the_algorithm_has_to_be_one_of_the_list_and_of_the_key_s_kind() {
    let secret = KeySet::secret(SECRET.to_vec());
    let hs = [Algorithm::Hs256];
    let read = |header: Value, keys: &KeySet, algorithms: &[Algorithm]| {
        token::read(signed(&header, "{}").as_bytes(), algorithms, keys)
    };
    assert!(read(json!({ "alg": "HS256" }), &secret, &hs).is_ok());
    assert!(read(json!({ "alg": "HS256", "kid": "any" }), &secret, &hs).is_ok());
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "None" }),
        json!({ "alg": "" }),
        json!({ "alg": "hs256" }),
        json!({ "alg": "HS384" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": ["HS256"] }),
        json!({ "alg": null }),
        json!({}),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!({ "alg": "HS256", "crit": [] }),
        json!({ "alg": "HS256", "kid": 7 }),
        json!({ "alg": "HS256", "kid": "x".repeat(257) }),
    ] {
        assert!(read(header.clone(), &secret, &hs).is_err(), "{header}");
    }
    // A public key is no secret, whatever a header says and even if both kinds were in the list.
    let all = Algorithm::ALL.map(|(_, algorithm)| algorithm);
    let x = BASE64.encode([7; 32]);
    let ed = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x }] }).to_string();
    let ed = KeySet::jwks(ed.as_bytes(), &all).unwrap();
    assert!(read(json!({ "alg": "HS256" }), &ed, &all).is_err());
    for (name, algorithm) in Algorithm::ALL {
        let fits = algorithm == Algorithm::EdDsa;
        assert_eq!(ed.find(algorithm, None).is_ok(), fits, "{name}");
        assert_eq!(secret.find(algorithm, None).is_ok(), algorithm.is_symmetric(), "{name}");
    }
}

#[test]
fn a_key_is_found_by_its_id_or_if_it_is_the_only_one_of_its_kind() {
    let key = |id: &str, byte: u8| json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode([byte; 32]), "kid": id });
    let set = |keys: Value| {
        KeySet::jwks(json!({ "keys": keys }).to_string().as_bytes(), &[Algorithm::EdDsa])
    };
    let two = set(json!([key("a", 1), key("b", 2)])).unwrap();
    let found = |id| two.find(Algorithm::EdDsa, id);
    assert_ne!(found(Some("a")).unwrap(), found(Some("b")).unwrap());
    assert_eq!(found(Some("c")), Err(keys::NoKey::Unknown));
    assert_eq!(found(None), Err(keys::NoKey::Unclear));
    // What is not for signatures, or not whole, is as if it were not there.
    let mut odd = vec![
        json!({ "kty": "oct", "k": BASE64.encode(SECRET) }),
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": BASE64.encode([1; 32]) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "!" }),
        json!(7),
        json!({}),
    ];
    for (name, value) in
        [("use", json!("enc")), ("key_ops", json!(["sign"])), ("alg", json!("ES256"))]
    {
        let mut key = key("a", 1);
        key[name] = value;
        odd.push(key);
    }
    for key in &odd {
        assert!(set(json!([key])).is_err(), "{key}");
    }
    odd.push(key("a", 1));
    assert!(set(json!(odd)).unwrap().find(Algorithm::EdDsa, None).is_ok());
    for json in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
        assert!(KeySet::jwks(json.as_bytes(), &[Algorithm::EdDsa]).is_err(), "{json}");
    }
    assert!(set(json!(vec![key("a", 1); 101])).is_err());
}

fn door(lines: &str) -> Door {
    let yaml = format!(
        "security:\n  jwt:\n    algorithms: [HS256]\n    secret: {}\n{lines}model: {{ services: {{ chat: {{ \
         instances: [{{ base-url: 'http://h' }}] }} }} }}\n",
        str::from_utf8(SECRET).unwrap()
    );
    let config = config::load(&yaml, &|_| None).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let jwt = config.security.jwt.unwrap();
    let config::KeySource::Known(set) = &jwt.source else { panic!("it is a secret") };
    let current = Arc::new(Current::new(Some(Arc::clone(set))));
    Door::new(Arc::clone(&jwt), current, Arc::default(), Arc::default())
}

fn admitted(door: &Door, claims: &Value, now: i64) -> Result<Arc<Key>, &'static str> {
    let token = signed(&json!({ "alg": "HS256" }), &claims.to_string());
    let digest = crate::keys::digest(&token);
    let now = Timestamp::from_second(now).unwrap();
    door.admit(token.as_bytes(), &digest, now).map_err(|denied| match denied {
        Denied::Bad(why) => why,
        Denied::Full => "full",
    })
}

#[test]
fn a_token_is_taken_in_its_time_from_its_issuer_for_its_audience() {
    let door = door("    issuer: https://a\n    audience: [us, them]\n    leeway: 10s\n");
    let good = json!({ "sub": "alice", "iss": "https://a", "aud": "us", "exp": NOW + 60, "nbf": NOW - 60 });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for claims in [
        good.clone(),
        with("aud", json!(["x", "them"])),
        with("exp", json!(NOW - 9)),
        with("exp", json!(NOW as f64 + 0.5)),
        with("nbf", json!(NOW + 9)),
        with("jairouter", json!({})),
    ] {
        assert_eq!(
            admitted(&door, &claims, NOW).map(|key| key.settings.name.clone()).as_deref(),
            Ok("alice"),
            "{claims}"
        );
    }
    for (name, value) in [
        ("exp", json!(NOW - 10)),
        ("exp", json!("2030")),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("nbf", json!(NOW + 11)),
        ("nbf", json!("now")),
        ("iss", json!("https://a/")),
        ("iss", json!("https://b")),
        ("iss", json!(null)),
        ("iss", json!(["https://a"])),
        ("aud", json!("we")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("aud", json!({ "us": 1 })),
        ("aud", json!(["US"])),
        ("sub", json!("")),
        ("sub", json!(null)),
        ("sub", json!(7)),
        ("sub", json!("a\nb")),
        ("sub", json!("x".repeat(257))),
        ("jairouter", json!("all")),
        ("jairouter", json!({ "models": "m" })),
        ("jairouter", json!({ "model": ["m"] })),
        ("jairouter", json!({ "services": ["all"] })),
        ("jairouter", json!({ "concurrency": 0 })),
        ("jairouter", json!({ "requests-per-minute": -1 })),
        ("jairouter", json!({ "priority": 256 })),
        ("jairouter", json!(null)),
    ] {
        let claims = with(name, value);
        assert!(admitted(&door, &claims, NOW).is_err(), "{claims}");
    }
    for missing in ["exp", "iss", "aud", "sub"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(missing);
        assert!(admitted(&door, &claims, NOW).is_err(), "{missing}");
    }
}

#[test]
fn a_token_that_was_good_is_remembered_until_its_time_is_over() {
    let door = door("    leeway: 0\n");
    let claims = json!({ "sub": "alice", "exp": NOW + 60, "nbf": NOW });
    let first = admitted(&door, &claims, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &admitted(&door, &claims, NOW + 59).unwrap()), "it is remembered");
    assert_eq!(admitted(&door, &claims, NOW + 60).err(), Some("the token has expired"));
    assert_eq!(admitted(&door, &claims, NOW - 1).err(), Some("the token is not valid yet"));
    // By other keys it is another matter.
    door.current.replace(Arc::new(KeySet::secret(vec![7; 32])));
    assert_eq!(admitted(&door, &claims, NOW).err(), Some("the token's signature is wrong"));
    for number in 0..3 * REMEMBERED {
        let claims = json!({ "sub": number.to_string(), "exp": NOW + 60 });
        assert!(admitted(&door, &claims, NOW).is_err());
    }
    assert_eq!(door.good.len(), REMEMBERED);
}

#[test]
fn a_token_says_its_holder_s_rights_and_the_file_what_it_does_not_say() {
    let door = door(
        "    rights-claim: rights\n    models: [m]\n    priority: 3\n    requests-per-minute: 10\n",
    );
    let rights = |claim: Option<Value>| {
        let mut claims = json!({ "sub": "alice", "exp": NOW + 60 });
        if let Some(claim) = claim {
            claims["rights"] = claim;
        }
        admitted(&door, &claims, NOW).unwrap().settings.rights.clone()
    };
    let plain = rights(None);
    assert_eq!((plain.models.as_deref(), plain.priority), (Some(&["m".to_owned()][..]), 3));
    let own = rights(Some(json!({
        "models": ["a*"], "services": ["chat"], "requests_per_minute": "unlimited", "tokensPerMinute": 7, "concurrency": 2,
    })));
    assert_eq!(own.models.as_deref(), Some(&["a*".to_owned()][..]));
    assert_eq!(own.services.as_deref(), Some(&[ServiceType::Chat][..]));
    let limits = (own.requests_per_minute, own.tokens_per_minute, own.concurrency, own.priority);
    assert_eq!(limits, (None, Some(7), Some(2), 3));
}
