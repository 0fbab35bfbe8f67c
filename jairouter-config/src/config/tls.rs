//! `tls`: whom an instance's connections trust, and who asks there; and who the program is to callers.

use std::fmt;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::reader::Field;
use super::types::Http2;

/// The largest file of certificates or of a key, in bytes.
const LARGEST: u64 = 1 << 20;

/// How connections to an instance are made safe. Two that are made of the same are equal.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// What it was made of, but for the system's certificates.
    of: Vec<u8>,
}

impl Tls {
    /// The certificates that this system trusts, as they were when they were first asked for.
    ///
    /// # Errors
    ///
    /// If there are none, as text.
    pub fn of_the_system() -> Result<Arc<Self>, String> {
        static SYSTEM: OnceLock<Result<Arc<Tls>, String>> = OnceLock::new();
        SYSTEM.get_or_init(|| Tls::new(&[], None, Vec::new()).map(Arc::new)).clone()
    }

    fn new(
        ca: &[CertificateDer<'static>],
        client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        of: Vec<u8>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        // One that cannot be read is one less to trust.
        let (_, _) = roots.add_parsable_certificates(of_this_system().iter().cloned());
        for certificate in ca {
            roots.add(certificate.clone()).map_err(|error| error.to_string())?;
        }
        if roots.is_empty() {
            return Err("this system trusts no certificate; name a 'ca' under 'tls'".into());
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let mut config = match client {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), of })
    }

    /// As rustls has it, with what an instance may choose from.
    pub fn config(&self, http2: Http2) -> Arc<ClientConfig> {
        let protocols: &[&[u8]] = match http2 {
            Http2::Never => return Arc::clone(&self.config),
            Http2::Offered => &[b"h2", b"http/1.1"],
            Http2::Always => &[b"h2"],
        };
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of
    }
}

impl Eq for Tls {}

impl Hash for Tls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.hash(state);
    }
}

/// Never prints what it was made of: there may be a key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Reads `tls`. As a whole: what it does not say is the default.
pub(super) fn tls(field: &Field<'_>) -> Option<Arc<Tls>> {
    let mut map = field.map()?.strict();
    let mut of = Vec::new();
    let ca = map.take("ca").map(|field| certificates(&field, &mut of));
    let chain = map.take("client-certificate").map(|field| certificates(&field, &mut of));
    let key = map.take("client-key").map(|field| {
        let key = file(&field, &mut of)?;
        let read =
            |_: &str| PrivateKeyDer::from_pem_slice(&key).map_err(|_| "no key is in it".into());
        field.parse(read)
    });
    if chain.is_some() != key.is_some() {
        map.error("'client-certificate' and 'client-key' go together");
        return None;
    }
    map.finish();
    let client = match (chain, key) {
        (Some(chain), Some(key)) => Some((chain?, key?)),
        _ => None,
    };
    let ca = ca.unwrap_or_else(|| Some(Vec::new()))?;
    Tls::new(&ca, client, of).map(Arc::new).map_err(|error| field.error(error)).ok()
}

/// What this system trusts, as it was when it was first asked for.
fn of_this_system() -> &'static [CertificateDer<'static>] {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    SYSTEM.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

/// Who the program is to callers, and whether it asks who they are.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
}

impl Identity {
    /// As rustls has it, with HTTP/2 among what callers may choose from or without.
    pub fn config(&self, http2: bool) -> Arc<ServerConfig> {
        if !http2 {
            return Arc::clone(&self.config);
        }
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Arc::new(config)
    }
}

/// Never prints what it was made of: there is a key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Reads `server.tls`.
pub(super) fn identity(field: &Field<'_>) -> Option<Arc<Identity>> {
    let mut map = field.map()?.strict();
    let mut of = Vec::new();
    let mut required = |key: &'static str| {
        let field = map.take(key);
        if field.is_none() {
            map.error(format!("there is no '{key}'"));
        }
        field
    };
    let (chain, key) = (required("certificate"), required("key"));
    let callers = map.take("client-ca").map(|field| certificates(&field, &mut of));
    map.finish();
    let (chain, key) = (certificates(&chain?, &mut of), private_key(&key?, &mut of));
    let callers = match callers {
        Some(callers) => Some(callers?),
        None => None,
    };
    let config = server_config(chain?, key?, callers.as_deref());
    config
        .map(|config| Arc::new(Identity { config: Arc::new(config) }))
        .map_err(|error| field.error(error))
        .ok()
}

/// What speaks TLS with callers: with those alone whom `callers` have signed, if there are such.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    callers: Option<&[CertificateDer<'static>]>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match callers {
        Some(callers) => {
            let mut roots = RootCertStore::empty();
            for certificate in callers {
                roots.add(certificate.clone()).map_err(|error| error.to_string())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn private_key(field: &Field<'_>, of: &mut Vec<u8>) -> Option<PrivateKeyDer<'static>> {
    let pem = file(field, of)?;
    field.parse(|_| PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "no key is in it".into()))
}

/// The certificates in a file, at least one.
fn certificates(field: &Field<'_>, of: &mut Vec<u8>) -> Option<Vec<CertificateDer<'static>>> {
    let pem = file(field, of)?;
    field.parse(|_| {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err("no certificate is in it: PEM is expected".into()),
        }
    })
}

pub(super) fn file(field: &Field<'_>, of: &mut Vec<u8>) -> Option<Vec<u8>> {
    let bytes = field.parse(|path| {
        let path = Path::new(path);
        field.reader.reads(path);
        read(path).map_err(|error| format!("the file cannot be read: {error}"))
    })?;
    // What it is used for, and not only what it is.
    of.extend_from_slice(field.path.rsplit('.').next().unwrap_or_default().as_bytes());
    of.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    of.extend_from_slice(&bytes);
    Some(bytes)
}

/// A file, and nothing that never ends or never begins.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        0..=LARGEST => Ok(bytes),
        _ => Err(io::Error::other("it is larger than 1 MiB")),
    }
}
