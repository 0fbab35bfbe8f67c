//! [`KeySet`]: what tokens are checked with, from a secret or from a JWKS (RFC 7517).

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::{Algorithm, Material};

/// The most keys of a set.
const MOST_KEYS: usize = 100;

/// The longest key id, in bytes.
pub(super) const LONGEST_ID: usize = 256;

/// Keys, each for the algorithms of its kind.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    /// That of this set and of no other: what was found good by one says nothing of another.
    number: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only one it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// None has the id that it names.
    Unknown,
    /// It names none, and there are several, or none of the kind.
    Unclear,
}

impl KeySet {
    fn new(keys: Vec<Key>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Self { keys, number: NUMBERS.fetch_add(1, Ordering::Relaxed) }
    }

    /// One secret.
    pub(crate) fn secret(secret: Vec<u8>) -> Self {
        Self::new(vec![Key { id: None, algorithm: None, material: Material::Secret(secret) }])
    }

    /// The keys of a JWKS that one of these algorithms can use. Others may be there, and are not for us.
    ///
    /// # Errors
    ///
    /// If it is none, or has no such key.
    pub(crate) fn jwks(json: &[u8], algorithms: &[Algorithm]) -> Result<Self, &'static str> {
        let json: Value = serde_json::from_slice(json).map_err(|_| "it is not JSON")?;
        let list = json.get("keys").and_then(Value::as_array).ok_or("it has no list of 'keys'")?;
        if list.len() > MOST_KEYS {
            return Err("it has more than 100 keys");
        }
        let keys = list.iter().filter_map(key);
        let usable = |key: &Key| {
            let mut takes = algorithms.iter().filter(|one| one.takes(&key.material));
            takes.any(|one| key.algorithm.is_none_or(|only| only == *one))
        };
        let keys: Vec<_> = keys.filter(usable).collect();
        match keys.is_empty() {
            true => Err("it has no public key for any of the algorithms"),
            false => Ok(Self::new(keys)),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is newer, and made of other keys.
    pub(super) fn succeeds(&self, other: &Self) -> bool {
        self.number > other.number && self.keys != other.keys
    }

    /// The key for a token by this algorithm, with the id that it names.
    pub(super) fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Result<&Material, NoKey> {
        let fits = |key: &&Key| {
            algorithm.takes(&key.material) && key.algorithm.is_none_or(|only| only == algorithm)
        };
        if let [Key { material: secret @ Material::Secret(_), .. }] = &*self.keys {
            // There is one, whatever its issuer calls it.
            return if algorithm.takes(secret) { Ok(secret) } else { Err(NoKey::Unclear) };
        }
        match id {
            Some(id) => {
                let mut named = self.keys.iter().filter(|key| key.id.as_deref() == Some(id));
                let is_there = named.clone().next().is_some();
                match named.find(fits) {
                    Some(key) => Ok(&key.material),
                    None if is_there => Err(NoKey::Unclear),
                    None => Err(NoKey::Unknown),
                }
            }
            None => {
                let mut fitting = self.keys.iter().filter(fits);
                match (fitting.next(), fitting.next()) {
                    (Some(key), None) => Ok(&key.material),
                    _ => Err(NoKey::Unclear),
                }
            }
        }
    }
}

/// A key that signatures can be checked with, if it is one.
fn key(json: &Value) -> Option<Key> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let is_for_signatures = text("use").is_none_or(|of| of == "sig")
        && json.get("key_ops").and_then(Value::as_array).is_none_or(|operations| {
            operations.iter().any(|operation| operation.as_str() == Some("verify"))
        });
    if !is_for_signatures {
        return None;
    }
    let algorithm = match text("alg") {
        Some(name) => Some(Algorithm::named(name)?),
        None => None,
    };
    let id = text("kid").map(str::to_owned);
    if id.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
        return None;
    }
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        // Uncompressed, as ring has it.
        (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (n, e) = (without_zeros(&bytes("n")?), without_zeros(&bytes("e")?));
            // 2048 to 8192 bits.
            let is_usual = (256..=1024).contains(&n.len()) && (1..=5).contains(&e.len());
            is_usual.then_some(Material::Rsa { n, e })?
        }
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x")?;
            (x.len() == 32).then_some(Material::Ed25519(x))?
        }
        // A secret that is fetched, or a curve that nobody here knows.
        _ => return None,
    };
    Some(Key { id, algorithm, material })
}

/// Some write a sign byte, which ring does not take.
fn without_zeros(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}
