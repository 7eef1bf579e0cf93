"""The kernel's side of kernel.sh: `client` sends to 10.0.0.1 and checks the echo, `server` echoes one association."""
import socket, struct, sys, time

SOL_SCTP, SCTP_SNDINFO, SCTP_RCVINFO, SCTP_RECVRCVINFO, IPPROTO_SCTP = 132, 2, 3, 32, 132
PORT, MESSAGES, SIZES, PPIDS = 2905, 300, [1, 200, 1400, 9000], [3, 11]


def send(sock, stream, ppid, data):
    info = struct.pack("HHIII", stream, 0, socket.htonl(ppid), 0, 0)
    sock.sendmsg([data], [(SOL_SCTP, SCTP_SNDINFO, info)])


def receive(sock):
    """Stream, PPID and data of one message; None at the end."""
    data = b""
    while True:
        part, ancillary, flags, _ = sock.recvmsg(70000, 1024)
        if not part:
            return None
        data += part
        if flags & socket.MSG_EOR:
            break
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_SCTP, SCTP_RCVINFO):
            stream, _, _, _, ppid = struct.unpack("HHHHI", value[:12])
            return stream, socket.ntohl(ppid), data
    raise RuntimeError("no SCTP_RCVINFO")


def prepared(sock):
    sock.setsockopt(SOL_SCTP, SCTP_RECVRCVINFO, struct.pack("i", 1))
    sock.settimeout(20)
    return sock


def client():
    sock = prepared(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP))
    sock.connect(("10.0.0.1", PORT))
    expected = {}
    for i in range(MESSAGES):
        message = (i % 5, PPIDS[i % 2], bytes([i & 255]) * SIZES[i % 4])
        send(sock, *message)
        expected.setdefault(message[0], []).append(message)
        if i % 10 == 9:
            for _ in range(10):
                got = receive(sock)
                assert got == expected[got[0]].pop(0), "order or content within a stream"
    assert not any(expected.values())
    sock.close()
    end = time.time() + 10
    while len(open("/proc/net/sctp/assocs").read().splitlines()) > 1:
        assert time.time() < end, "the kernel still has the association"
        time.sleep(0.01)
    print(f"{MESSAGES} echoed in order, association gone")


def server():
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP)
    listener.bind(("0.0.0.0", PORT))
    listener.listen(5)
    listener.settimeout(60)
    print("listening", flush=True)
    sock = prepared(listener.accept()[0])
    while (message := receive(sock)) is not None:
        send(sock, *message)


{"client": client, "server": server}[sys.argv[1]]()
