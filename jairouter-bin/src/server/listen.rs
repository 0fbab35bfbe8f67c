//! One listener per core on one address.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections the kernel holds for each listener until they are accepted.
const BACKLOG: i32 = 1024;

/// Listeners of callers, for a number of workers; the kernel spreads connections over them.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<TcpListener>,
    address: SocketAddr,
    workers: usize,
    held: bool,
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
        let sockets: io::Result<Vec<_>> =
            (0..count.max(1)).map(|_| listen(address, count > 1)).collect();
        Ok(Self { sockets: sockets?, address, workers: count.max(1), held: false })
    }

    /// These, which listen already. `held` says that somebody else keeps them open when this process ends.
    ///
    /// # Errors
    ///
    /// If there is none, or it does not say where it listens.
    pub fn inherited(sockets: Vec<TcpListener>, workers: usize, held: bool) -> io::Result<Self> {
        let first = sockets.first().ok_or_else(|| io::Error::other("there is no socket"))?;
        let address = first.local_addr()?;
        Ok(Self { sockets, address, workers: workers.max(1), held })
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether they stay open when this process ends.
    pub(super) fn are_held(&self) -> bool {
        self.held
    }

    /// What each worker listens to: all of them together to every one, since a socket that nobody accepts
    /// from would keep its callers waiting.
    pub(super) fn shares(&self) -> io::Result<Vec<Vec<TcpListener>>> {
        let mut shares: Vec<_> = (0..self.workers).map(|_| Vec::new()).collect();
        for turn in 0..self.workers.max(self.sockets.len()) {
            let socket = &self.sockets[turn % self.sockets.len()];
            shares[turn % self.workers].push(socket.try_clone()?);
        }
        Ok(shares)
    }

    pub(super) fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
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
        assert_eq!(first.sockets.len(), 2);
        assert_ne!(first.address().port(), 0);
        let second = Listeners::bind(first.address(), 2).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn every_socket_is_somebody_s_and_everybody_has_one() {
        for (sockets, workers) in [(1, 1), (1, 4), (3, 2), (2, 3), (5, 5), (7, 3)] {
            let given: Vec<_> =
                (0..sockets).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
            let mut unserved: Vec<_> = given.iter().map(|one| one.local_addr().unwrap()).collect();
            let shares = Listeners::inherited(given, workers, true).unwrap().shares().unwrap();
            assert_eq!(shares.len(), workers);
            for share in shares {
                assert!(!share.is_empty(), "{sockets} sockets for {workers}");
                for one in share {
                    unserved.retain(|address| *address != one.local_addr().unwrap());
                }
            }
            assert_eq!(unserved, [], "{sockets} sockets for {workers}");
        }
        assert!(Listeners::inherited(Vec::new(), 1, true).is_err());
    }
}
