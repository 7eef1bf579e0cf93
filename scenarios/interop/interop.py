#!/usr/bin/env python3
"""The interoperation list: interop.py usrsctp|kernel-udp|kernel-raw OUR-PEER THEIR-PEER [WORD]

Starts our peer (benches/examples/peer.rs) and the other stack's, gives both commands, and prints one line for each thing that must
hold: "ok: ..." or "FAILED: ...". With WORD: only the lines whose name has it. Status 1 when a line failed. Both peers know the
same commands (README.md), so one list does for every stack. kernel-*: as root, in the network that `guest` makes.
"""
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

WINDOW_S = 30
STREAMS = 8
M3UA, ASAP = 3, 11


class Failed(Exception):
    pass


class Peer:
    """One program. What it says and nobody waited for yet is in `said`."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, bufsize=1)
        self.lines = queue.Queue()
        self.said, self.log = [], []
        threading.Thread(target=self.read, daemon=True).start()
        self.expect("ready")

    def read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), line.rstrip("\n")))
        self.lines.put((time.monotonic(), "ended"))

    def do(self, line):
        self.log.append("> " + line)
        self.process.stdin.write(line + "\n")

    def expect(self, *starts, seconds=WINDOW_S):
        """The next line that starts with one of `starts`; others stay in `said`."""
        deadline = time.monotonic() + seconds
        for at, line in enumerate(self.said):
            if line.startswith(starts):
                return self.said.pop(at)
        while True:
            try:
                self.at, line = self.lines.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise Failed(f"{self.name} did not say {' or '.join(starts)} in {seconds} s; {self.tail()}") from None
            self.log.append(line)
            if line.startswith(starts):
                return line
            if line.startswith(("error", "ended", "panicked")):
                raise Failed(f"{self.name} said: {line}; {self.tail()}")
            self.said.append(line)

    def tail(self):
        return f"{self.name}'s last lines: " + " | ".join(line for line in self.log if not line.startswith(("count", "> count")))[-600:]

    def ask(self, line, answer):
        self.do(line)
        return self.expect(answer)

    def count(self):
        words = [int(word) for word in self.ask("count", "count ").split()[1:]]
        return dict(zip(("messages", "bytes", "bad", "gap_us", "at_us", "waiting", "unacknowledged"), words))

    def until_count(self, messages, seconds=WINDOW_S):
        """Waits for so many messages, all as they were sent."""
        deadline = time.monotonic() + seconds
        while (got := self.count())["messages"] < messages:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} got {got['messages']} of {messages} messages in {seconds} s; {self.tail()}")
            time.sleep(0.01)
        if got["messages"] != messages or got["bad"]:
            raise Failed(f"{self.name} got {got['messages']} of {messages} messages, {got['bad']} not as sent")
        return got

    def until_sent(self, seconds=WINDOW_S):
        deadline = time.monotonic() + seconds
        while self.count()["waiting"]:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not get rid of its messages in {seconds} s")
            time.sleep(0.01)

    def until_acknowledged(self, seconds=WINDOW_S):
        """Waits until what it sent is acknowledged; ours counts that as waiting, usrsctp does not tell."""
        deadline = time.monotonic() + seconds
        while (now := self.count()).get("unacknowledged") or now["waiting"]:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} has messages without acknowledgement after {seconds} s")
            time.sleep(0.01)

    def closed(self, reason=None, seconds=WINDOW_S):
        line = self.expect("closed ", seconds=seconds)
        if reason and not line.split()[1].startswith(reason):
            raise Failed(f"{self.name} said {line}, not {reason}")
        return line

    def up(self):
        return self.expect("up ").split()[1:]

    def has_not_said(self, *starts):
        while not self.lines.empty():
            _, line = self.lines.get()
            self.log.append(line)
            self.said.append(line)
        wrong = [line for line in self.said if line.startswith(starts)]
        if wrong:
            raise Failed(f"{self.name} said {wrong}")

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Lab:
    """Where the peers are, and what can be done to the network between them."""

    our_name, their_name = "our shell", "the peer"

    def __init__(self, our_program, their_program):
        self.our_program, self.their_program = our_program, their_program
        self.port = 5000
        self.peers = []

    def start(self, ours, addresses=1, config=None):
        peer = Peer(self.our_name if ours else self.their_name, self.command(ours, addresses, config))
        self.peers.append(peer)
        return peer

    def end(self):
        for peer in self.peers:
            peer.kill()
        self.peers = []

    def pair(self, we_connect, ours=1, theirs=1, config=None):
        """Both peers with an association between them: (ours, theirs), and the ports as (client's, server's)."""
        self.port += 2
        us, them = self.start(True, ours, config), self.start(False, theirs)
        self.connect(us, them, we_connect, theirs if we_connect else ours)
        return us, them

    def connect(self, us, them, we_connect, addresses=1, listening=False):
        client, server = (us, them) if we_connect else (them, us)
        if not listening:
            server.ask(f"listen {self.port}", "listening")
        client.do(self.connect_line(we_connect, self.port + 1, self.port, addresses))
        return client.up(), server.up()

    def connect_line(self, we_connect, own_port, peer_port, addresses=1):
        target, udp = self.target(not we_connect, addresses)
        return f"connect {own_port} {peer_port} {target} {udp}"


class Usrsctp(Lab):
    """On loopback, over UDP encapsulation; needs no rights. usrsctp takes its UDP port on all addresses, so it has one of its own."""

    their_name = "usrsctp"
    paths = False

    def command(self, ours, addresses, config):
        if ours:
            return [self.our_program, ",".join(f"127.98.0.{n + 1}" for n in range(addresses)), "9899", json.dumps(config or {})]
        return [self.their_program, "127.0.0.1", "9900"]

    def target(self, ours, addresses):
        return (",".join(f"127.98.0.{n + 1}" for n in range(addresses)), 9899) if ours else ("127.0.0.1", 9900)

    def vanish(self, peer):
        peer.kill()

    def silence(self, peer):
        peer.process.send_signal(signal.SIGSTOP)


def run(*command):
    subprocess.run(command, check=True)


class Kernel(Lab):
    """Two network namespaces, `ours` and `theirs`, joined by two links: 10.98.1.0/24 and 10.98.2.0/24; .1 is ours, .2 theirs."""

    their_name = "the kernel"
    paths = True

    def __init__(self, our_program, their_program, raw):
        super().__init__(our_program, their_program)
        self.raw = raw

    def command(self, ours, addresses, config):
        if ours:
            own = ",".join(f"10.98.{n + 1}.1" for n in range(addresses))
            program = ["ip", "netns", "exec", "ours"]
            if self.raw:
                # Our backend refuses to work beside a kernel's SCTP, which it sees in /proc; `guest` keeps that one quiet.
                program += ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
            return [*program, self.our_program, own, "9899", json.dumps(config or {}), "raw" if self.raw else "udp"]
        own = ",".join(f"10.98.{n + 1}.2" for n in range(addresses))
        return ["ip", "netns", "exec", "theirs", "python3", "-u", self.their_program, own, "0" if self.raw else "9899", "fast"]

    def target(self, ours, addresses):
        host = 1 if ours else 2
        return ",".join(f"10.98.{n + 1}.{host}" for n in range(addresses)), 9899

    def loss(self, percent, *links):
        """On links 1 and 2, both ways. 100: cut."""
        for link in links or (1, 2):
            for space in ("ours", "theirs"):
                self.cut(space, link, percent)

    @staticmethod
    def cut(space, link, percent):
        run("tc", "-n", space, "qdisc", "replace", "dev", f"{space}{link}", "root", "netem", "limit", "10000", "loss", f"{percent}%")

    def vanish(self, peer):
        """Without a word to the other end."""
        if peer.name == self.our_name:
            peer.kill()
            return
        self.loss(100)
        peer.do("abort")
        peer.closed()
        peer.do("quit")
        peer.process.wait(10)
        self.loss(0)

    def silence(self, peer):
        # Of one link, and one way: the other end hears us, and no answer of its comes through. One command, because it takes time.
        self.cut("theirs", 1, 100)

    def end(self):
        self.loss(0)
        super().end()


# The lines. Each takes the lab and says what to add to the line.


def exchange(us, them, count, size, ppid=M3UA, streams=STREAMS):
    for peer in (us, them):
        peer.ask("reset", "done")
    for peer in (us, them):
        peer.do(f"send {count} {size} {streams} {ppid}")
    for peer in (us, them):
        peer.until_count(count)


def messages(lab, we_connect, ours=1, theirs=1):
    us, them = lab.pair(we_connect, ours, theirs)
    begin = time.monotonic()
    exchange(us, them, 4096, 200)
    took = time.monotonic() - begin
    for size in (1, 1400, 5000, 60000):
        exchange(us, them, 10, size, ASAP)
    return f"2 x 4,096 in {took:.2f} s"


def addresses(lab, we_connect, ours, theirs):
    lab.port += 2
    us, them = lab.start(True, ours), lab.start(False, theirs)
    ups = lab.connect(us, them, we_connect, theirs if we_connect else ours)
    ours_up, theirs_up = ups if we_connect else reversed(ups)
    seen = [len(ours_up[2].split(",")), len(theirs_up[2].split(","))]
    if seen != [theirs, ours]:
        raise Failed(f"we know {ours_up[2]}, {lab.their_name} knows {theirs_up[2]}")
    deadline = time.monotonic() + WINDOW_S
    while (active := us.ask("paths", "paths ").count("=Active")) < theirs:
        if time.monotonic() > deadline:
            raise Failed(f"{active} of {theirs} paths are active: {us.ask('paths', 'paths ')}")
        time.sleep(0.05)
    exchange(us, them, 256, 200)
    return f"we know {theirs}, {lab.their_name} knows {ours}"


def shutdown(lab, we_connect, by_us, times=20):
    lab.port += 2
    us, them = lab.start(True), lab.start(False)
    slowest = 0
    for number in range(times):
        lab.connect(us, them, we_connect, listening=number > 0)
        for peer in (us, them):
            peer.ask("reset", "done")
        # Its messages are in flight, or still in its queue, when it is told to end.
        ender, other = (us, them) if by_us else (them, us)
        ender.do(f"send 100 200 {STREAMS} {M3UA}")
        if not by_us:
            ender.until_sent()
        begin = time.monotonic()
        ender.do("shutdown")
        for peer in (ender, other):
            line = peer.closed("Shutdown")
            if line.split()[2] != "0":
                raise Failed(f"{peer.name} said {line}")
            slowest = max(slowest, peer.at - begin)
        other.until_count(100)
    return f"{times} of {times}, with 100 messages on their way each time; slowest {slowest * 1000:.0f} ms"


def abort(lab, we_connect, by_us):
    us, them = lab.pair(we_connect)
    exchange(us, them, 64, 200)
    (us if by_us else them).do("abort")
    said = us.closed("LocalAbort" if by_us else "PeerAbort"), them.closed("Lost")
    return f"we: {said[0].split()[1]}"


def restart(lab, we_connect, ours):
    """The side named goes without a word, comes back with the same ports, and connects."""
    # Neither a heartbeat nor a retransmission of the side that stays comes between: one that knows nothing yet would answer it with
    # ABORT, rightly. (The SACK of the last message is late by up to 200 ms; a side killed before that never sends it.)
    us, them = lab.pair(we_connect, config={"heartbeat_interval_ms": 30000})
    exchange(us, them, 64, 200)
    (them if ours else us).until_acknowledged()
    own_port, peer_port = (lab.port + 1, lab.port) if ours == we_connect else (lab.port, lab.port + 1)
    lab.vanish(us if ours else them)
    back = lab.start(ours)
    # As a server it accepts others too; what was a client must take a new association from an INIT as well (RFC 9260 5.2.2).
    back.do(lab.connect_line(ours, own_port, peer_port))
    stays = them if ours else us
    said = stays.closed("Restarted")
    stays.up()
    back.up()
    us, them = (back, them) if ours else (us, back)
    exchange(us, them, 64, 200)
    them.do("shutdown")
    us.closed("Shutdown")
    them.closed("Shutdown")
    return f"{stays.name} said {said.split()[1]}"


# Milliseconds in which a silent peer is to be found, with heartbeats every 100 ms.
SILENT_MS = 400


def silence(lab, sending):
    config = {"heartbeat_interval_ms": 100, "supervision_ms": 200}
    took = []
    # Counted from before the command that cuts. In the guest that alone may take 100 ms, and on a busy machine our process is late.
    while not took or (took[-1] > SILENT_MS and len(took) < 5):
        lab.end()
        us, them = lab.pair(True, config=config)
        exchange(us, them, 64, 200)
        if sending:
            us.do(f"send 1000000 200 {STREAMS} {M3UA} 500")
        # Some heartbeats come back first.
        time.sleep(0.3)
        begin = time.monotonic()
        lab.silence(them)
        us.closed("Silent")
        took.append((us.at - begin) * 1000)
    text = "after " + ", ".join(f"{ms:.0f}" for ms in took) + " ms (heartbeats every 100 ms, supervision 200 ms)"
    if took[-1] > SILENT_MS:
        raise Failed(f"{text}; at most {SILENT_MS} ms is wanted")
    return text


def killed(lab):
    """The process at the other end is gone, its host is not: ICMP says so at the next packet."""
    us, them = lab.pair(True)
    exchange(us, them, 64, 200)
    begin = time.monotonic()
    them.kill()
    us.do(f"send 1 200 {STREAMS} {M3UA}")
    us.closed("Unreachable")
    return f"after {(us.at - begin) * 1000:.1f} ms"


def refused(lab, we_connect):
    """Nobody listens on that port: ABORT, at once."""
    lab.port += 2
    us, them = lab.start(True), lab.start(False)
    # A port of its own makes the other end's stack look at packets at all.
    (them if we_connect else us).ask(f"listen {lab.port + 100}", "listening")
    begin = time.monotonic()
    client = us if we_connect else them
    client.do(lab.connect_line(we_connect, lab.port + 1, lab.port))
    said = client.closed()
    took = client.at - begin
    if took > 0.5:
        raise Failed(f"{said} after {took * 1000:.0f} ms")
    return f"{client.name} said {said.split()[1]}"


def loss(lab, percent):
    us, them = lab.pair(True)
    lab.loss(percent)
    begin = time.monotonic()
    exchange(us, them, 2000, 200)
    return f"2 x 2,000 in {time.monotonic() - begin:.2f} s"


def path_cut(lab, we_connect):
    """Both links in turn, under traffic both ways."""
    us, them = lab.pair(we_connect, 2, 2)
    exchange(us, them, 64, 200)
    gaps = []
    for link in (1, 2):
        for peer in (us, them):
            peer.ask("reset", "done")
        rate, seconds = 500, 6
        for peer in (us, them):
            peer.do(f"send {rate * seconds} 200 {STREAMS} {M3UA} {rate}")
        wait_for(lambda: us.count()["messages"] > rate and them.count()["messages"] > rate, "no traffic")
        lab.loss(100, link)
        us.expect(f"path 10.98.{link}.2 PotentiallyFailed", f"path 10.98.{link}.2 Inactive", seconds=5)
        wait_for(lambda: us.count()["messages"] > 3 * rate and them.count()["messages"] > 3 * rate, "traffic stopped")
        lab.loss(0, link)
        us.expect(f"path 10.98.{link}.2 Active", seconds=10)
        got = [them.until_count(rate * seconds), us.until_count(rate * seconds)]
        gaps += [count["gap_us"] / 1000 for count in got]
        for peer in (us, them):
            peer.has_not_said("closed")
    ours, theirs = max(gaps[0::2]), max(gaps[1::2])
    if ours > 600:
        raise Failed(f"our messages stopped for {ours:.0f} ms")
    return f"none of 12,000 lost; longest gap in what we sent {ours:.0f} ms, in what the kernel sent {theirs:.0f} ms"


def wait_for(done, what):
    deadline = time.monotonic() + WINDOW_S
    while not done():
        if time.monotonic() > deadline:
            raise Failed(what)
        time.sleep(0.02)


def lines(lab):
    """(what must hold, function)"""
    they = lab.their_name
    both = ((True, f"we connect to {they}"), (False, f"{they} connects to us"))
    for we, how in both:
        yield f"{how}: messages of 1 to 60,000 bytes both ways, in order, right streams and PPIDs", lambda we=we: messages(lab, we)
    for ours, theirs in ((2, 1),) if not lab.paths else ((1, 2), (2, 1), (2, 2)):
        for we, how in both:
            yield (f"{how}: we have {ours} address{'es' * (ours - 1)}, {they} {theirs}",
                   lambda we=we, ours=ours, theirs=theirs: addresses(lab, we, ours, theirs))
    if lab.paths:
        for we, how in both:
            yield f"{how}: one of two paths cut, restored, then the other", lambda we=we: path_cut(lab, we)
        yield "1 % of packets lost: all messages, in order", lambda: loss(lab, 1)
    for we, how in both:
        for by_us in (True, False):
            yield f"{how}: SHUTDOWN by {'us' if by_us else they}", lambda we=we, by_us=by_us: shutdown(lab, we, by_us)
    for we, how in both:
        for ours in (True, False):
            yield f"{how}: restart of {'ours' if ours else they}", lambda we=we, ours=ours: restart(lab, we, ours)
    for we, how in both:
        for by_us in (True, False):
            yield f"{how}: ABORT by {'us' if by_us else they}", lambda we=we, by_us=by_us: abort(lab, we, by_us)
    for we, how in both:
        yield f"{how}: nobody listens", lambda we=we: refused(lab, we)
    for sending in (False, True):
        yield f"{they} falls silent, we are {'sending' if sending else 'idle'}", lambda sending=sending: silence(lab, sending)
    if not lab.paths:
        yield f"{they}'s process is killed", lambda: killed(lab)


def main():
    what, our_program, their_program, *words = sys.argv[1:]
    lab = Usrsctp(our_program, their_program) if what == "usrsctp" else Kernel(our_program, their_program, what == "kernel-raw")
    failed = count = 0
    for name, line in lines(lab):
        if not all(word in name for word in words):
            continue
        count += 1
        try:
            print(f"ok: {what}: {name} ({line()})", flush=True)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"FAILED: {what}: {name}: {error}", flush=True)
        finally:
            lab.end()
    print(f"{what}: {count - failed} of {count} lines passed", flush=True)
    return 1 if failed or not count else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
