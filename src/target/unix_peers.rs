//! What a unix socket is connected to: of all that is told of sockets, only the diagnostics of the
//! kernel have it (sock_diag(7)).

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags, UnixRequest};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

/// Asks the kernel, for sockets of our own network namespace.
pub(super) struct UnixPeers {
    socket: Socket,
}

/// `INET_DIAG_NOCOOKIE` of `linux/inet_diag.h`: whichever socket has the number now.
const ANY_COOKIE: [u8; 8] = [0xff; 8];

/// Room for one answer, which has a few attributes of some bytes.
const ANSWER: usize = 4096;

impl UnixPeers {
    /// `None` where the kernel does not answer such questions.
    pub fn new() -> Option<Self> {
        let socket = Socket::new(NETLINK_SOCK_DIAG).ok()?;
        socket.connect(&SocketAddr::new(0, 0)).ok()?;
        // The kernel answers before the question's sending returns.
        socket.set_non_blocking(true).ok()?;
        Some(Self { socket })
    }

    /// The inode of the socket that socket `inode` is connected to.
    pub fn peer(&self, inode: u64) -> Option<u64> {
        let request = UnixRequest {
            state_flags: StateFlags::empty(),
            inode: u32::try_from(inode).ok()?,
            show_flags: ShowFlags::PEER,
            cookie: ANY_COOKIE,
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let mut question =
            NetlinkMessage::new(header, SockDiagMessage::UnixRequest(request).into());
        question.finalize();
        let mut bytes = vec![0; question.buffer_len()];
        question.serialize(&mut bytes);
        self.socket.send(&bytes, 0).ok()?;
        let mut answer = Vec::with_capacity(ANSWER);
        self.socket.recv(&mut answer, 0).ok()?;
        let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer).ok()?;
        match answer.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::UnixResponse(response))
                if response.header.inode == u32::try_from(inode).ok()? =>
            {
                response.peer().map(u64::from)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::UnixPeers;

    fn inode(socket: &UnixStream) -> u64 {
        use std::os::fd::AsRawFd;
        std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino()
    }

    #[test]
    fn the_ends_of_a_pair_are_each_others_peers() {
        let (one, other) = UnixStream::pair().unwrap();
        let peers = UnixPeers::new().unwrap();
        assert_eq!(peers.peer(inode(&one)), Some(inode(&other)));
        assert_eq!(peers.peer(inode(&other)), Some(inode(&one)));
        assert_eq!(peers.peer(0), None);
        assert_eq!(peers.peer(u64::MAX), None);
    }
}
