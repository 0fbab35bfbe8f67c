//! One listener per core on one address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections the kernel holds for each listener until they are accepted.
const BACKLOG: i32 = 1024;

/// Listeners that share an address; the kernel spreads connections over them.
#[derive(Debug)]
pub struct Listeners {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
}

impl Listeners {
    /// Listens at this address, this many times. Port 0 is any free one.
    ///
    /// # Errors
    ///
    /// If the address is not to be had; in particular if somebody listens there already.
    pub fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        // Sockets that share a port would take half of another gateway's connections without a
        // word, so it must be free before it is shared.
        let address = listen(address, false)?.local_addr()?;
        let listeners: io::Result<Vec<_>> =
            (0..count.max(1)).map(|_| listen(address, count > 1)).collect();
        Ok(Self { listeners: listeners?, address })
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl IntoIterator for Listeners {
    type Item = TcpListener;
    type IntoIter = std::vec::IntoIter<TcpListener>;

    fn into_iter(self) -> Self::IntoIter {
        self.listeners.into_iter()
    }
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_an_error_and_not_shared() {
        let first = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        assert_eq!(first.listeners.len(), 2);
        assert_ne!(first.address().port(), 0);
        let second = Listeners::bind(first.address(), 2).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }
}
