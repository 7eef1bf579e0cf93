#!/usr/bin/env python3
"""A kernel's SCTP as peer of sctp/examples/echo.rs: peer.py client|server ADDRESS PORT.

The client checks PPID, stream, order and content of every answer, messages larger than a packet, and a clean end by
SHUTDOWN from either side. The server takes one association and sends every message back. Both print a line for each
check; status 1 when one fails.
"""
import os
import socket
import struct
import sys
import time

SCTP = 132
# linux/sctp.h
SCTP_INITMSG, SCTP_EVENTS, SCTP_NODELAY, SCTP_RECVRCVINFO = 2, 11, 3, 32
CMSG_SNDINFO, CMSG_RCVINFO = 2, 3
MSG_NOTIFICATION = 0x8000
SCTP_ASSOC_CHANGE = 0x8001
COMM_UP, COMM_LOST, SHUTDOWN_COMP = 0, 1, 3
GRACEFUL = [COMM_UP, SHUTDOWN_COMP]
M3UA = 3
STREAMS = 8


def prepared_socket():
    prepared = socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP)
    prepared.settimeout(10)
    prepared.setsockopt(SCTP, SCTP_INITMSG, struct.pack("=HHHH", STREAMS, STREAMS, 0, 0))
    prepared.setsockopt(SCTP, SCTP_NODELAY, 1)
    prepared.setsockopt(SCTP, SCTP_RECVRCVINFO, 1)
    # data_io, association, and more that is not of interest
    prepared.setsockopt(SCTP, SCTP_EVENTS, bytes([0, 1, 0, 0, 0, 0]))
    return prepared


class Association:
    def __init__(self, connected):
        self.socket = connected
        self.notifications = []
        self.end_of_stream = False

    def send(self, data, stream, ppid):
        info = struct.pack("=HH", stream, 0) + struct.pack("!I", ppid) + struct.pack("=Ii", 0, 0)
        self.socket.sendmsg([data], [(SCTP, CMSG_SNDINFO, info)])

    def receive(self):
        """Data with stream and PPID, or None at the end. Notifications are collected on the way.

        The end is the notification: after its own SHUTDOWN the kernel gives no end of stream.
        """
        whole = b""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            data, ancillary, flags, _ = self.socket.recvmsg(1 << 17, 256)
            if flags & MSG_NOTIFICATION:
                kind, = struct.unpack_from("=H", data)
                state = struct.unpack_from("=H", data, 8)[0] if kind == SCTP_ASSOC_CHANGE else None
                self.notifications.append((kind, state))
                if state in (COMM_LOST, SHUTDOWN_COMP):
                    return None
                continue
            if not data:
                # The peer's SHUTDOWN came; the association's end is still to come.
                self.end_of_stream = True
                time.sleep(0.001)
                continue
            whole += data
            if flags & socket.MSG_EOR:
                break
        else:
            raise TimeoutError("neither data nor the association's end")
        stream = ppid = None
        for level, kind, info in ancillary:
            if (level, kind) == (SCTP, CMSG_RCVINFO):
                stream, = struct.unpack_from("=H", info)
                ppid, = struct.unpack_from("!I", info, 8)
        return whole, stream, ppid

    def states(self):
        return [state for kind, state in self.notifications if kind == SCTP_ASSOC_CHANGE]


def counters():
    with open("/proc/net/sctp/snmp") as file:
        return {name: int(value) for name, value in (line.split() for line in file)}


def check(what, right, detail=""):
    print(f"{'ok' if right else 'FAILED'}: {what} {detail}".rstrip())
    if not right:
        sys.exit(1)


def echo(association, count):
    """Messages in windows over all streams; the answers keep each stream's order."""
    begin = time.monotonic()
    waiting = {stream: [] for stream in range(STREAMS)}
    received = 0
    for number in range(count):
        stream = number % STREAMS
        message = struct.pack("!I", number) + os.urandom(196)
        association.send(message, stream, M3UA)
        waiting[stream].append(message)
        if number % 64 == 63 or number == count - 1:
            while received <= number:
                answer, stream, ppid = association.receive()
                if ppid != M3UA or answer != waiting[stream].pop(0):
                    check(f"answer {received}", False, f"stream {stream} ppid {ppid}")
                received += 1
    took = time.monotonic() - begin
    check(f"{count} messages of 200 bytes with PPID 3 on {STREAMS} streams came back in order", received == count,
          f"in {took:.2f} s ({count / took:.0f} a second)")


def connected(address):
    client_socket = prepared_socket()
    client_socket.connect(address)
    return Association(client_socket)


def client(address):
    before = counters()

    begin = time.monotonic()
    first = connected(address)
    check("association up", True, f"in {(time.monotonic() - begin) * 1000:.1f} ms")
    echo(first, 4096)
    for size in (1, 1400, 5000, 60000):
        message = os.urandom(size)
        first.send(message, 5, 11)
        check(f"a message of {size} bytes with PPID 11", first.receive() == (message, 5, 11))
    first.socket.shutdown(socket.SHUT_WR)
    check("SHUTDOWN by the kernel", first.receive() is None and first.states() == GRACEFUL,
          f"notifications {first.notifications}")

    second = connected(address)
    echo(second, 64)
    second.send(b"shutdown", 1, M3UA)
    check("SHUTDOWN by us: the last answer comes first", second.receive() == (b"shutdown", 1, M3UA))
    check("SHUTDOWN by us", second.receive() is None and second.states() == GRACEFUL,
          f"notifications {second.notifications}, end of stream before it: {second.end_of_stream}")

    third = connected(address)
    for number in range(100):
        third.send(b"in flight %d" % number, number % STREAMS, M3UA)
    third.socket.shutdown(socket.SHUT_WR)
    answers = 0
    while third.receive() is not None:
        answers += 1
    check("SHUTDOWN by the kernel with data in flight", third.states() == GRACEFUL, f"{answers} of 100 answers before it")

    after = counters()
    changes = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    check("the kernel counted three shutdowns and no abort",
          changes.get("SctpShutdowns") == 3 and not changes.get("SctpAborteds"))
    check("no packet had a wrong checksum, none was out of the blue",
          not changes.get("SctpChecksumErrors") and not changes.get("SctpOutOfBlues"))
    print("kernel's counters:", ", ".join(f"{name} {value}" for name, value in changes.items()))


def server(address):
    before = counters()
    listener = prepared_socket()
    listener.bind(address)
    listener.listen(1)
    listener.settimeout(30)
    print("listening")
    association = Association(listener.accept()[0])
    count = 0
    while (message := association.receive()) is not None:
        association.send(*message)
        count += 1
    check("SHUTDOWN by us, who connected", association.states()[-1:] == [SHUTDOWN_COMP],
          f"after {count} messages; notifications {association.notifications}")
    after = counters()
    check("no packet had a wrong checksum, no abort", all(after[n] == before[n] for n in ("SctpChecksumErrors", "SctpAborteds")))


role, address = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
{"client": client, "server": server}[role](address)
