//! TLS in front of an upstream, with certificates of an authority of the test's own.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::answer::{self, Answer};

/// Who signs certificates that nobody trusts but who is told to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: TempDir,
}

/// A certificate and its key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    /// A new one, whose certificate is a file.
    ///
    /// # Panics
    ///
    /// If there is no room for it.
    pub fn new() -> Self {
        let mut of = CertificateParams::new([]).expect("no name is wrong");
        of.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        of.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("there is chance");
        let certificate = of.self_signed(&key).expect("it is its own");
        let folder = tempfile::tempdir().expect("room for it");
        let write = |name, text: String| std::fs::write(folder.path().join(name), text);
        write("ca.pem", certificate.pem()).expect("room for it");
        let certificate = certificate.der().clone();
        Self { issuer: Issuer::new(of, key), certificate, folder }
    }

    /// The file of its certificate.
    pub fn file(&self) -> String {
        self.path("ca.pem")
    }

    /// Connects there over TLS, as nobody or as whoever has this name.
    ///
    /// # Errors
    ///
    /// If there is no TLS.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: Option<&str>,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.connect_offering(address, name, &[]).await.map(|stream| *stream)
    }

    /// The same, with these protocols to choose from.
    ///
    /// # Errors
    ///
    /// If there is no TLS.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    pub async fn connect_offering(
        &self,
        address: SocketAddr,
        name: Option<&str>,
        protocols: &[&str],
    ) -> io::Result<Box<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it is a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("they are")
            .with_root_certificates(roots);
        let mut config = match name.map(|name| self.identity(name)) {
            Some((certificate, key)) => {
                config.with_client_auth_cert(vec![certificate], key).expect("they are a pair")
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|one| one.as_bytes().to_vec()).collect();
        let server = ServerName::try_from("localhost").expect("it is a name");
        let stream = TcpStream::connect(address).await.expect("it listens");
        let connected = TlsConnector::from(Arc::new(config)).connect(server, stream);
        Box::pin(connected).await.map(Box::new)
    }

    /// Asks there in this way, and reads to the end.
    ///
    /// # Errors
    ///
    /// If there is no TLS, or it ends without saying so.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    pub async fn ask(
        &self,
        address: SocketAddr,
        name: Option<&str>,
        request: &str,
    ) -> io::Result<Answer> {
        let mut stream = self.connect(address, name).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await?;
        answer::parse(&read, true)
            .map(|(answer, _)| answer)
            .ok_or(io::ErrorKind::InvalidData.into())
    }

    /// What accepts TLS as `localhost`, and takes one of these protocols.
    ///
    /// # Panics
    ///
    /// If there is no room for a certificate.
    pub fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let (certificate, key) = self.identity("localhost");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("they are")
            .with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate], key).expect("they are a pair");
        config.alpn_protocols = protocols.iter().map(|one| one.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// The files of a certificate of this name, and of its key.
    ///
    /// # Panics
    ///
    /// If there is no room for them.
    pub fn files(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("there is chance");
        let certificate = self.certificate(name, &key);
        let write = |file: &str, text: String| std::fs::write(self.folder.path().join(file), text);
        let (pem, of) = (format!("{name}.pem"), format!("{name}.key"));
        write(&pem, certificate.pem()).expect("room for it");
        write(&of, key.serialize_pem()).expect("room for it");
        (self.path(&pem), self.path(&of))
    }

    fn path(&self, name: &str) -> String {
        Path::display(&self.folder.path().join(name)).to_string()
    }

    fn certificate(&self, name: &str, key: &KeyPair) -> rcgen::Certificate {
        let of = CertificateParams::new([name.to_owned()]).expect("the name is one");
        of.signed_by(key, &self.issuer).expect("it signs")
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("there is chance");
        let certificate = self.certificate(name, &key).der().clone();
        (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// How a secured upstream behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Well,
    /// It asks who is there, and lets nobody in who has no certificate of its authority's.
    Asks,
    /// Its connections end without a word.
    Cuts,
    /// It accepts connections and says nothing.
    Stalls,
}

/// TLS in front of an upstream. It stops when this is dropped.
pub struct Secured {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Secured {
    /// One of this name, by this authority, before the upstream at this address.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub async fn start(
        authority: &Authority,
        name: &str,
        upstream: SocketAddr,
        manner: Manner,
    ) -> Self {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("they are");
        let config = if manner == Manner::Asks {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.clone()).expect("it is a certificate");
            let provider = Arc::new(ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().expect("it trusts somebody"))
        } else {
            config.with_no_client_auth()
        };
        let (certificate, key) = authority.identity(name);
        let config = config.with_single_cert(vec![certificate], key).expect("they are a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let task = tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                if manner == Manner::Stalls {
                    silent.push(stream);
                } else {
                    drop(tokio::spawn(carry(acceptor.clone(), stream, upstream, manner)));
                }
            }
        });
        Self { address, task }
    }

    /// Its base URL, by its address or as `localhost`.
    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(acceptor: TlsAcceptor, stream: TcpStream, to: SocketAddr, manner: Manner) {
    let Ok(mut secured) = acceptor.accept(stream).await else { return };
    let Ok(mut plain) = TcpStream::connect(to).await else { return };
    if manner != Manner::Cuts {
        let _ = copy_bidirectional(&mut secured, &mut plain).await;
        return;
    }
    let (mut from, mut back) = split(secured);
    let (mut reads, mut writes) = plain.into_split();
    tokio::select! {
        _ = copy(&mut from, &mut writes) => {}
        _ = copy(&mut reads, &mut back) => {}
    }
    // All that was said, and then not the alert that says that it is over.
    let _ = back.flush().await;
}
