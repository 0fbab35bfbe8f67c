//! TLS to an instance.

use std::fmt;
use std::io;
use std::sync::Arc;

use http::uri::Authority;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// TLS on a socket.
pub(super) type Secured = Box<TlsStream<TcpStream>>;

/// Whom to trust at one origin, and who asks there.
pub(super) struct Tls {
    connector: TlsConnector,
    /// The name the certificate has to be of; nothing if none can be.
    name: Option<ServerName<'static>>,
}

impl Tls {
    pub(super) fn new(origin: &Authority, config: Arc<ClientConfig>) -> Self {
        let host = origin.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).ok();
        Self { connector: TlsConnector::from(config), name }
    }

    pub(super) async fn handshake(&self, stream: TcpStream) -> io::Result<Secured> {
        let none =
            || io::Error::new(io::ErrorKind::InvalidInput, "no certificate is of such a name");
        let name = self.name.clone().ok_or_else(none)?;
        self.connector.connect(name, stream).await.map(Box::new)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}
