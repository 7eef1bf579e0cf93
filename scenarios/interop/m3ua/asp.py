"""A plain M3UA ASP over the kernel's SCTP that knows nothing of RSerPool, and as much ISUP as a call needs (RFC 4666, Q.763)."""
import contextlib
import ctypes
import os
import select
import socket
import struct
import threading
import time

from lab import Failed, address

SCTP = 132
# linux/sctp.h
INITMSG, NODELAY, RECVRCVINFO = 2, 3, 32
CMSG_SNDINFO, CMSG_RCVINFO = 2, 3
M3UA_PPID = 3
NAMES = {(0, 0): "ERR", (0, 1): "NTFY", (1, 1): "DATA", (2, 1): "DUNA", (2, 2): "DAVA", (2, 3): "DAUD", (2, 4): "SCON", (2, 5): "DUPU",
         (2, 6): "DRST", (3, 1): "ASPUP", (3, 2): "ASPDN", (3, 3): "BEAT", (3, 4): "ASPUP ACK", (3, 5): "ASPDN ACK", (3, 6): "BEAT ACK",
         (4, 1): "ASPAC", (4, 2): "ASPIA", (4, 3): "ASPAC ACK", (4, 4): "ASPIA ACK"}
CODES = {name: code for code, name in NAMES.items()}
INFO, ROUTING_CONTEXT, HEARTBEAT, TRAFFIC_MODE, ERROR_CODE, ASP_ID, AFFECTED, PROTOCOL_DATA = 4, 6, 9, 11, 12, 17, 18, 0x210
IAM, ACM, REL, ANM, RLC = 1, 6, 12, 9, 16
# What follows the message type. IAM: nature of connection, forward call indicators, category, 3.1 kHz; called number 12345.
# ACM: backward call indicators. REL: cause 16, normal clearing.
REST = {IAM: bytes([0, 0x60, 0, 10, 3, 2, 0, 5, 0x83, 0x10, 0x21, 0x43, 0x05]), ACM: bytes([0x16, 0x14, 0]),
        REL: bytes([2, 0, 2, 0x82, 0x90]), ANM: bytes(1), RLC: bytes(1)}


def parameter(tag, value):
    return struct.pack("!HH", tag, 4 + len(value)) + value + bytes(-len(value) % 4)


def number(tag, value):
    return parameter(tag, struct.pack("!I", value))


def encode(name, *parameters):
    body = b"".join(parameters)
    return struct.pack("!BBBBI", 1, 0, *CODES[name], 8 + len(body)) + body


def decode(octets):
    """Name and parameters."""
    _, _, kind, kind_of, length = struct.unpack_from("!BBBBI", octets)
    if length != len(octets):
        raise Failed(f"an M3UA message of {len(octets)} octets says that it has {length}")
    found, at = {}, 8
    while at < length:
        tag, size = struct.unpack_from("!HH", octets, at)
        found[tag] = octets[at + 4:at + size]
        at += (size + 3) & ~3
    return NAMES.get((kind, kind_of), f"{kind}/{kind_of}"), found


CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    if LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def socket_in(space, kind):
    """A socket of another network namespace."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{space}", os.O_RDONLY)
    try:
        enter(there)
        return socket.socket(socket.AF_INET, kind, SCTP)
    finally:
        enter(own)
        os.close(own)
        os.close(there)


class Asp:
    """In a namespace of the lab, up to ACTIVE at once. Point code 1 unless told otherwise."""

    def __init__(self, lab, space, server, context, point_code=1, asp_id=None):
        lab.space(space)
        self.space, self.point_code, self.context, self.name = space, point_code, context, f"ASP in {space}"
        self.inbox, self.news, self.hangs = [], threading.Condition(), False
        self.socket = socket_in(space, socket.SOCK_STREAM)
        self.socket.setsockopt(SCTP, INITMSG, struct.pack("=HHHH", 17, 17, 0, 0))
        self.socket.setsockopt(SCTP, NODELAY, 1)
        self.socket.setsockopt(SCTP, RECVRCVINFO, 1)
        self.socket.bind((address(space), 0))
        self.socket.settimeout(5)
        self.socket.connect((address(server), 2905))
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        self.send("ASPUP", *([] if asp_id is None else [number(ASP_ID, asp_id)]))
        self.expect("ASPUP ACK")
        self.activate()

    def activate(self):
        self.send("ASPAC", number(TRAFFIC_MODE, 2), number(ROUTING_CONTEXT, self.context))
        self.expect("ASPAC ACK")

    def send(self, name, *parameters, stream=0):
        info = struct.pack("=HHIIi", stream, 0, socket.htonl(M3UA_PPID), 0, 0)
        self.socket.sendmsg([encode(name, *parameters)], [(SCTP, CMSG_SNDINFO, info)])

    def listen(self):
        """Until the association ends or it hangs."""
        while not self.hangs:
            self.read()

    def read(self):
        """Keeps what comes next, if it comes soon; answers BEAT."""
        if not select.select([self.socket], [], [], 0.02)[0]:
            return
        try:
            octets, control, _, _ = self.socket.recvmsg(70_000, 256)
        except OSError:
            octets = b""
        if not octets:
            self.hangs = True
            return
        name, found = decode(octets)
        info = next((data for level, kind, data in control if (level, kind) == (SCTP, CMSG_RCVINFO)), bytes(2))
        if name == "BEAT":
            # The association may end meanwhile: the next read tells.
            with contextlib.suppress(OSError):
                self.send("BEAT ACK", *([parameter(HEARTBEAT, found[HEARTBEAT])] if HEARTBEAT in found else []))
            return
        with self.news:
            self.came(name, found, struct.unpack_from("=H", info)[0])
            self.news.notify_all()

    def came(self, name, found, stream):
        self.inbox.append((name, found, stream))

    def hang(self):
        """It reads no more, though its kernel acknowledges."""
        self.hangs = True
        self.thread.join()

    def take(self, name, fits):
        kept = next((it for it in self.inbox if it[0] == name and fits(it[1])), None)
        if kept:
            self.inbox.remove(kept)
        return kept

    def expect(self, name, seconds=5, fits=lambda found: True):
        """The next message of this name; others are kept."""
        with self.news:
            deadline = time.monotonic() + seconds
            while not (taken := self.take(name, fits)):
                if not self.news.wait(deadline - time.monotonic()):
                    raise Failed(f"{self.name}: no {name} in {seconds} s; there were {[it[0] for it in self.inbox]}")
            return taken[1]

    def close(self):
        self.hang()
        self.socket.close()

    # ISUP.

    def isup(self, destination, cic, kind):
        sls = cic & 15
        label = struct.pack("!IIBBBB", self.point_code, destination, 5, 2, 0, sls)
        data = label + struct.pack("<HB", cic, kind) + REST[kind]
        self.send("DATA", number(ROUTING_CONTEXT, self.context), parameter(PROTOCOL_DATA, data), stream=1 + sls)

    def expect_isup(self, cic, kind, seconds=5):
        def fits(found):
            data = found[PROTOCOL_DATA]
            return data[8] == 5 and struct.unpack_from("<HB", data, 12) == (cic, kind)

        return self.expect("DATA", seconds, fits)[PROTOCOL_DATA]

    def call(self, destination, cic, seconds=5):
        """A whole call, begun and ended here; its time."""
        begin = time.monotonic()
        self.isup(destination, cic, IAM)
        answer = self.expect_isup(cic, ACM, seconds)
        if struct.unpack_from("!II", answer) != (destination, self.point_code):
            raise Failed(f"{self.name}: ACM has the label {struct.unpack_from('!II', answer)}")
        self.expect_isup(cic, ANM, seconds)
        self.isup(destination, cic, REL)
        self.expect_isup(cic, RLC, seconds)
        return time.monotonic() - begin


def who_hears(asps, cic, kind, seconds=5):
    """The one of them that gets this message."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for asp in asps:
            try:
                asp.expect_isup(cic, kind, 0.01)
                return asp
            except Failed:
                pass
    raise Failed(f"nobody got {kind} of CIC {cic} in {seconds} s")
