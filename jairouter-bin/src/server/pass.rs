//! Sockets on their way from one process to the next: each message is one byte, and the sockets with it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What tells a process in its environment that its standard input is the other end.
pub(super) const HANDED_OVER: &str = "JAIROUTER_HANDED_OVER";

/// What the new process says once it serves.
pub(super) const READY: u8 = b'r';

/// The most sockets in one message. The kernel takes 253.
pub(super) const MOST: usize = 64;

/// What a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Sockets for callers.
    Callers,
    /// Sockets for operators.
    Operators,
    /// Nothing: but a supervisor holds them all.
    Held,
    /// Nothing: that was all.
    End,
}

impl Part {
    const ALL: [(Self, u8); 4] =
        [(Self::Callers, b'c'), (Self::Operators, b'o'), (Self::Held, b'h'), (Self::End, b'.')];

    fn byte(self) -> u8 {
        Self::ALL.into_iter().find_map(|(part, byte)| (part == self).then_some(byte)).unwrap_or(0)
    }

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(part, own)| (byte == own).then_some(part))
    }
}

/// Sends a part. There are at most [`MOST`] sockets.
pub(super) fn send(to: &UnixStream, part: Part, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    let fit = sockets.len() <= MOST;
    if !fit || !sockets.is_empty() && !with.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("too many sockets for one message"));
    }
    sendmsg(to, &[IoSlice::new(&[part.byte()])], &mut with, SendFlags::empty())?;
    Ok(())
}

/// Waits for the next part.
pub(super) fn receive(from: &UnixStream) -> io::Result<(Part, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [IoSliceMut::new(&mut byte)];
    let received = recvmsg(from, &mut into, &mut with, RecvFlags::empty())?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let sockets = with.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let sockets = sockets.flatten().collect();
    match Part::of(byte[0]) {
        Some(part) => Ok((part, sockets)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks another language")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn sockets_arrive_with_their_part_and_still_listen() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sockets: Vec<_> =
            (0..MOST).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        send(&ours, Part::Callers, &borrowed).unwrap();
        send(&ours, Part::Operators, &borrowed[..1]).unwrap();
        send(&ours, Part::Held, &[]).unwrap();
        send(&ours, Part::End, &[]).unwrap();
        let addresses: Vec<_> = sockets.iter().map(|one| one.local_addr().unwrap()).collect();
        drop((ours, sockets));

        let (part, received) = receive(&theirs).unwrap();
        assert_eq!((part, received.len()), (Part::Callers, MOST));
        let received: Vec<TcpListener> = received.into_iter().map(TcpListener::from).collect();
        for (socket, address) in received.iter().zip(addresses) {
            assert_eq!(socket.local_addr().unwrap(), address);
            TcpStream::connect(address).unwrap();
            socket.accept().unwrap();
        }
        let (part, operators) = receive(&theirs).unwrap();
        assert_eq!((part, operators.len()), (Part::Operators, 1));
        assert_eq!(receive(&theirs).unwrap().0, Part::Held);
        assert_eq!(receive(&theirs).unwrap().0, Part::End);
        assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn more_than_fit_and_what_is_no_part_are_errors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(send(&ours, Part::Callers, &[socket.as_fd(); MOST + 1]).is_err());
        io::Write::write_all(&mut &ours, b"x").unwrap();
        assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
