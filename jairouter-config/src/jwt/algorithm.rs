//! The algorithms a token may be signed by, each for one kind of key.

use ring::hmac;
use ring::signature::{self, UnparsedPublicKey};

/// A signature algorithm of JWS (RFC 7518, section 3.1; RFC 8037). There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, with SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// RSA, PSS, with SHA-384.
    Ps384,
    /// RSA, PSS, with SHA-512.
    Ps512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// What a signature is checked with. Each algorithm takes one kind, so that nobody can pass a public key
/// off as a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    Secret(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Algorithm {
    /// All of them, by the names that tokens and the configuration have for them.
    pub const ALL: [(&'static str, Self); 12] = [
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    /// That of exactly this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Whether whoever can check a token could have made it.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// The fewest bytes of a secret: as many as the hash has (RFC 7518, section 3.2).
    pub const fn shortest_secret(self) -> usize {
        match self {
            Self::Hs512 => 64,
            Self::Hs384 => 48,
            _ => 32,
        }
    }

    /// Whether it goes with this kind of key.
    pub(super) fn takes(self, material: &Material) -> bool {
        match material {
            Material::Secret(_) => self.is_symmetric(),
            Material::Rsa { .. } => matches!(
                self,
                Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512
            ),
            Material::P256(_) => self == Self::Es256,
            Material::P384(_) => self == Self::Es384,
            Material::Ed25519(_) => self == Self::EdDsa,
        }
    }

    /// Whether this key has signed this message so.
    pub(super) fn verify(self, material: &Material, message: &[u8], signed: &[u8]) -> bool {
        match material {
            Material::Secret(secret) => {
                let hash = match self {
                    Self::Hs256 => hmac::HMAC_SHA256,
                    Self::Hs384 => hmac::HMAC_SHA384,
                    Self::Hs512 => hmac::HMAC_SHA512,
                    _ => return false,
                };
                hmac::verify(&hmac::Key::new(hash, secret), message, signed).is_ok()
            }
            Material::Rsa { n, e } => {
                let parameters = match self {
                    Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                let key = signature::RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signed).is_ok()
            }
            Material::P256(point) | Material::P384(point) | Material::Ed25519(point) => {
                let kind: &'static dyn signature::VerificationAlgorithm = match self {
                    Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Self::EdDsa => &signature::ED25519,
                    _ => return false,
                };
                self.takes(material)
                    && UnparsedPublicKey::new(kind, point).verify(message, signed).is_ok()
            }
        }
    }
}

/// Never prints a key.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Rsa { .. } => "Rsa",
            Self::P256(_) => "P256",
            Self::P384(_) => "P384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}
