#!/usr/bin/env python3
"""The kernel's SCTP (lksctp) as peer of ours: kernel.py ADDRESS[,ADDRESS] UDP-PORT [fast]

Does what it is told on standard input, says on standard output what happened. The commands are those of benches/examples/peer.rs
(see ../README.md). One socket of the one-to-many kind. UDP-PORT 0: plain IP protocol 132. `fast`: RTO 100 to 1,000 ms, heartbeats
every 500 ms, two errors a path, as our own defaults are; otherwise what the kernel has.
"""
import os
import select
import socket
import struct
import sys
import time

SCTP = 132
# linux/sctp.h
RTOINFO, INITMSG, NODELAY, PEER_ADDR_PARAMS, EVENTS, RECVRCVINFO = 0, 2, 3, 9, 11, 32
REMOTE_UDP_ENCAPS_PORT, BINDX_ADD, CONNECTX = 132, 100, 110
CMSG_SNDINFO, CMSG_RCVINFO = 2, 3
FLAG_ABORT, FLAG_EOF = 4, 0x200
MSG_NOTIFICATION = 0x8000
ASSOC_CHANGE, PEER_ADDR_CHANGE, SEND_FAILED = 0x8001, 0x8002, 0x8003
COMM_UP, COMM_LOST, RESTART, SHUTDOWN_COMP, CANT_STR = range(5)
ADDRESS_STATES = ["Active", "Inactive", "Removed", "Added", "Primary", "Confirmed", "PotentiallyFailed"]
HEAD = 12


def say(*words):
    print(*words, flush=True)


def address_bytes(address, port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)


class Peer:
    def __init__(self, own, udp_port, fast):
        self.own, self.udp_port = own, udp_port
        self.assoc = 0
        self.bound = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, SCTP)
        self.set(INITMSG, struct.pack("=HHHH", 17, 64, 0, 0))
        self.set(NODELAY, 1)
        self.set(RECVRCVINFO, 1)
        # data_io, association, address, send_failure
        self.set(EVENTS, bytes([0, 1, 1, 1, 0, 0]))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        if fast:
            self.set(RTOINFO, struct.pack("=iIII", 0, 200, 1000, 100))
            # association, any address, HB interval, errors, MTU, SACK delay, flags (heartbeats on), flow label, DSCP
            self.set(PEER_ADDR_PARAMS, struct.pack("=i128sIHIIIIBx", 0, address_bytes("0.0.0.0", 0).ljust(128, b"\0"),
                                                   500, 2, 0, 0, 1, 0, 0)[:156])
        self.socket.setblocking(False)
        self.parts = b""
        self.failed = 0
        self.next = 0
        self.sending = None
        self.reset()

    def set(self, option, value):
        self.socket.setsockopt(SCTP, option, value)

    def reset(self):
        self.messages = self.bytes = self.bad = self.last = self.gap = 0
        self.streams = {}

    def bind(self, port):
        if self.bound:
            return
        self.bound = True
        self.set(BINDX_ADD, b"".join(address_bytes(address, port) for address in self.own))

    # commands

    def command(self, line):
        words = line.split()
        numbers = [int(word) for word in words[1:] if word.isdigit()]
        match words[0]:
            case "listen":
                self.bind(numbers[0])
                self.socket.listen(16)
                say("listening")
            case "connect":
                if self.udp_port:
                    udp_port = numbers[2] if len(numbers) > 2 else self.udp_port
                    self.set(REMOTE_UDP_ENCAPS_PORT, struct.pack("=ii128s", 0, 0, address_bytes("0.0.0.0", 0).ljust(128, b"\0"))
                             + struct.pack("!H", udp_port) + bytes(6))
                self.bind(numbers[0])
                try:
                    self.set(CONNECTX, b"".join(address_bytes(address, numbers[1]) for address in words[3].split(",")))
                except BlockingIOError:
                    pass
            case "send":
                count, size, streams, ppid = numbers[:4]
                self.sending = [count, size, streams, ppid, numbers[4] if len(numbers) > 4 else 0, 0, time.monotonic()]
            case "stop":
                self.sending = None
            case "shutdown":
                self.send(b"", 0, 0, FLAG_EOF)
            case "abort":
                self.send(b"", 0, 0, FLAG_ABORT)
            case "count":
                say("count", self.messages, self.bytes, self.bad, int(self.gap * 1e6), int(time.monotonic() * 1e6),
                    int(self.sending is not None), self.unacknowledged())
            case "reset":
                self.reset()
                say("done")
            case "quit":
                sys.exit(0)
            case other:
                say("error no such command:", other)

    def send(self, data, stream, ppid, flags=0):
        info = struct.pack("=HH", stream, flags) + struct.pack("!I", ppid) + struct.pack("=Ii", 0, self.assoc)
        self.socket.sendmsg([data], [(SCTP, CMSG_SNDINFO, info)])

    def send_due(self):
        """Sends what is due; how long to wait for the next."""
        if not self.sending:
            return None
        left, size, streams, ppid, rate, sent, begin = self.sending
        while left:
            if rate and sent >= (time.monotonic() - begin) * rate:
                self.sending = [left, size, streams, ppid, rate, sent, begin]
                return max(0.0005, begin + (sent + 1) / rate - time.monotonic())
            stream = sent % streams
            number = self.next & 0xffffffff
            head = struct.pack("!IIHH", number, ppid, stream, 0)
            message = b"\x5a" * size if size < HEAD else head + bytes([number & 0xff]) * (size - HEAD)
            try:
                self.send(message, stream, ppid)
            except BlockingIOError:
                self.sending = [left, size, streams, ppid, rate, sent, begin]
                return 0.002
            self.next += 1
            sent += 1
            left -= 1
        self.sending = None
        return None

    # what comes

    def receive(self):
        while True:
            try:
                data, ancillary, flags, _ = self.socket.recvmsg(1 << 17, 256)
            except BlockingIOError:
                return
            if flags & MSG_NOTIFICATION:
                self.notification(data)
                continue
            self.parts += data
            if not flags & socket.MSG_EOR:
                continue
            message, self.parts = self.parts, b""
            for level, kind, info in ancillary:
                if (level, kind) == (SCTP, CMSG_RCVINFO):
                    self.take(message, struct.unpack_from("=H", info)[0], struct.unpack_from("!I", info, 8)[0])

    def take(self, message, stream, ppid):
        now = time.monotonic()
        if self.last:
            self.gap = max(self.gap, now - self.last)
        self.last = now
        self.messages += 1
        self.bytes += len(message)
        if len(message) < HEAD:
            right = message == b"\x5a" * len(message)
        else:
            number, its_ppid, its_stream, _ = struct.unpack_from("!IIHH", message)
            right = (number > self.streams.get(stream, -1) and (its_ppid, its_stream) == (ppid, stream)
                     and message[HEAD:] == bytes([number & 0xff]) * (len(message) - HEAD))
            self.streams[stream] = number
        self.bad += not right

    def notification(self, data):
        kind, = struct.unpack_from("=H", data)
        if kind == SEND_FAILED:
            self.failed += 1
        elif kind == PEER_ADDR_CHANGE:
            state, = struct.unpack_from("=i", data, 136)
            say("path", socket.inet_ntoa(data[12:16]), ADDRESS_STATES[state])
        elif kind == ASSOC_CHANGE:
            state, error, outbound, inbound, assoc = struct.unpack_from("=HHHHi", data, 8)
            if state in (COMM_UP, RESTART):
                if state == RESTART:
                    say("closed Restarted 0 0")
                self.assoc = assoc
                self.streams = {}
                say("up", outbound, inbound, ",".join(self.peer_addresses()))
                return
            self.sending = None
            self.assoc = 0
            name = {COMM_LOST: f"Lost({error})", SHUTDOWN_COMP: "Shutdown", CANT_STR: "ConnectFailed"}[state]
            say("closed", name, self.failed, 0)
            self.failed = 0

    def own_line(self):
        """Of /proc/net/sctp/assocs; Python's getsockopt cannot give the association's number. ASSOC SOCK STY SST ST HBKT ASSOC-ID TX_QUEUE
        RX_QUEUE ...  LADDRS <-> RADDRS ... Empty: none."""
        with open("/proc/net/sctp/assocs", encoding="ascii") as file:
            return next((line for line in file.readlines()[1:] if int(line.split()[6]) == self.assoc), "")

    def peer_addresses(self):
        remote = self.own_line().partition("<->")[2].split()
        return [word.lstrip("*") for word in remote if word.lstrip("*").count(".") == 3]

    def unacknowledged(self):
        """Bytes sent or to be sent that the peer has not acknowledged."""
        return int((self.own_line().split() or [0] * 8)[7])

    def run(self):
        say("ready")
        os.set_blocking(0, False)
        commands = b""
        while True:
            wait = self.send_due()
            ready, _, _ = select.select([0, self.socket], [], [], wait)
            if self.socket in ready:
                self.receive()
            if 0 in ready:
                more = os.read(0, 4096)
                if not more:
                    return
                commands += more
                *lines, commands = commands.split(b"\n")
                for line in lines:
                    try:
                        self.command(line.decode())
                    except OSError as error:
                        say("error", line.decode(), error)


if __name__ == "__main__":
    Peer(sys.argv[1].split(","), int(sys.argv[2]), "fast" in sys.argv[3:]).run()
