//! Addresses at which no connection can be made.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

/// An address where nobody listens.
///
/// # Panics
///
/// If there is no free port.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// An address whose queue of connections is full, so that further ones hear nothing at all.
pub struct Unaccepting {
    address: SocketAddr,
    _sockets: Vec<Socket>,
}

impl Unaccepting {
    /// Listens, never accepts, and fills its own queue.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    pub fn start() -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        listener.listen(0).expect("it is bound");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("it is bound");
        let fill = |_| {
            let socket = socket();
            socket.set_nonblocking(true).expect("it is open");
            // In progress is all that can be said of it, now and later.
            let _ = socket.connect(&address.into());
            socket
        };
        let sockets = (0..8).map(fill).chain([listener]).collect();
        Self { address, _sockets: sockets }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
