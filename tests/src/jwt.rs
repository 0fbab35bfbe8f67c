//! An issuer of tokens: its keys, as a JWKS, and tokens signed by them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// A key of an issuer's.
pub struct Signer {
    /// What it is called.
    pub id: String,
    key: Key,
}

enum Key {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>, &'static str),
    Ed(Box<Ed25519KeyPair>),
}

/// The seconds since 1970, and these.
///
/// # Panics
///
/// If it is before then.
pub fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    now.as_secs().cast_signed() + seconds
}

/// What a token says that is good for an hour, of the issuer and for the audience of these tests.
pub fn claims(holder: &str) -> Value {
    json!({ "sub": holder, "iss": "https://issuer", "aud": ["other", "gateway"], "exp": in_seconds(3600) })
}

/// Those of a JWKS.
pub fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

impl Signer {
    /// One that shares this.
    pub fn secret(secret: &str) -> Self {
        Self { id: "secret".to_owned(), key: Key::Secret(secret.as_bytes().to_vec()) }
    }

    /// The one RSA key there is for tests.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn rsa(id: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("rsa.pem")).expect("it is PEM");
        let key = RsaKeyPair::from_pkcs8(key.secret_der()).expect("it is a key");
        Self { id: id.to_owned(), key: Key::Rsa(Box::new(key)) }
    }

    /// A new one on this curve, P-256 or P-384.
    ///
    /// # Panics
    ///
    /// If there is no chance.
    pub fn ec(id: &str, curve: &'static str) -> Self {
        let algorithm = match curve {
            "P-256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
            _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let chance = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &chance).expect("there is chance");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &chance).expect("a key");
        Self { id: id.to_owned(), key: Key::Ec(Box::new(key), curve) }
    }

    /// A new one of Ed25519.
    ///
    /// # Panics
    ///
    /// If there is no chance.
    pub fn ed(id: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("chance");
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("it is a key");
        Self { id: id.to_owned(), key: Key::Ed(Box::new(key)) }
    }

    /// Its public half.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Secret(_) => panic!("a secret is not told"),
            Key::Rsa(key) => {
                let public: rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "kid": self.id, "use": "sig", "n": encoded(public.n), "e": encoded(public.e) })
            }
            Key::Ec(key, curve) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "kid": self.id, "crv": curve, "x": encoded(x), "y": encoded(y) })
            }
            Key::Ed(key) => {
                json!({ "kty": "OKP", "kid": self.id, "crv": "Ed25519", "x": encoded(key.public_key()) })
            }
        }
    }

    /// A token by this algorithm that says this.
    pub fn token(&self, algorithm: &str, claims: &Value) -> String {
        self.sign(algorithm, &json!({ "alg": algorithm, "kid": self.id, "typ": "JWT" }), claims)
    }

    /// The same with this header, whatever it says.
    ///
    /// # Panics
    ///
    /// If the key is of another kind.
    pub fn sign(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signed = match &self.key {
            Key::Secret(secret) => {
                let hash = match algorithm {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                hmac::sign(&hmac::Key::new(hash, secret), message.as_bytes()).as_ref().to_vec()
            }
            Key::Rsa(key) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signed = vec![0; key.public().modulus_len()];
                let message = message.as_bytes();
                key.sign(padding, &SystemRandom::new(), message, &mut signed).expect("it signs");
                signed
            }
            Key::Ec(key, _) => {
                let signed = key.sign(&SystemRandom::new(), message.as_bytes());
                signed.expect("it signs").as_ref().to_vec()
            }
            Key::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encoded(signed))
    }
}
