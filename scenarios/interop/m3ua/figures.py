#!/usr/bin/env python3
"""Ours and osmo-stp side by side in the same failures: figures.py SIGPOOL FOLDER

Three plain ASPs (the kernel's SCTP) serve point code 2, a fourth sends 300 messages a second to it, in 16 SLSs, each with a number. One of
the three is killed (its kernel says ABORT), hangs (its kernel acknowledges), or is cut off. Counted: numbers that none of the other two
got though they were sent after the failure or not read before it, the order within an SLS, and how late the latest one came.
osmo-stp's kernel has the tightest SCTP timers that make sense; it has no BEAT of its own to set.
"""
import os
import socket
import struct
import sys
import threading
import time

from asp import PROTOCOL_DATA, ROUTING_CONTEXT, Asp, number, parameter
from lab import Failed, Lab, Program, address, need, wait_for

GATEWAY, SENDER, SERVERS = "gateway", "pu", ("pe1", "pe2", "pe3")
STP = "r1"
CONTEXT, NETWORK = 7, 100
RATE, BEFORE_S, AFTER_S = 300, 1.0, 8.0
# A user part that Wireshark takes as it is.
SPARE = 12
TIGHT = ("rto_initial=200", "rto_min=100", "rto_max=200", "association_max_retrans=2", "path_max_retrans=1", "hb_interval=500")


class Server(Asp):
    """Notes when it got which number."""

    def __init__(self, *arguments):
        self.got = []
        super().__init__(*arguments)

    def came(self, name, found, stream):
        if name == "DATA":
            label = found[PROTOCOL_DATA]
            self.got.append((struct.unpack_from("!I", label, 12)[0], label[11], time.monotonic()))
        else:
            super().came(name, found, stream)


def osmo(lab, server_spaces=SERVERS):
    spaces = (*server_spaces, SENDER)
    asps = "".join(f" asp asp-{space} 0 2905 m3ua\n  remote-ip {address(space)}\n  local-ip {address(STP)}\n  role sg\n  sctp-role server\n"
                   for space in spaces)
    servers = "".join(f"  asp asp-{space}\n" for space in server_spaces)
    config = os.path.join(lab.folder, "osmo-stp.cfg")
    with open(config, "w", encoding="utf8") as out:
        out.write(f"""log stderr
 logging filter all 1
 logging color 0
 logging level set-all error
line vty
 no login
cs7 instance 0
 point-code 0.1.0
 listen m3ua 2905
  local-ip {address(STP)}
  accept-asp-connections pre-configured
{asps} as as-servers m3ua
{servers}  routing-key {CONTEXT} 0.0.2
  traffic-mode loadshare
 as as-sender m3ua
  asp asp-{SENDER}
  routing-key {NETWORK} 0.1.1
  traffic-mode loadshare
 route-table system
  update route 0.0.2 7.255.7 linkset as-servers
  update route 0.1.1 7.255.7 linkset as-sender
""")
    lab.space(STP)
    for setting in TIGHT:
        os.system(f"ip netns exec {STP} sysctl -qw net.sctp.{setting}")
    Program(lab, STP, "osmo-stp", ["osmo-stp", "-c", config]).listens("2905")
    return STP


def ours(lab, server_spaces=SERVERS):
    listed = ", ".join(f'"{address(space)}"' for space in server_spaces)
    lab.daemon(GATEWAY, "sg", f"""[network]
point_codes = [9]
[[as]]
pool = "GatewayPool"
routing_context = {CONTEXT}
dpc = [2]
asps = [{listed}]
""")
    return GATEWAY


class Load(threading.Thread):
    def __init__(self, asp):
        super().__init__(daemon=True)
        self.asp, self.sent, self.ends = asp, [], False

    def run(self):
        begin = time.monotonic()
        while not self.ends:
            ident = len(self.sent)
            time.sleep(max(0, begin + ident / RATE - time.monotonic()))
            sls = ident % 16
            label = struct.pack("!IIBBBB", 9, 2, SPARE, 2, 0, sls)
            self.sent.append((sls, time.monotonic()))
            self.asp.send("DATA", number(ROUTING_CONTEXT, NETWORK), parameter(PROTOCOL_DATA, label + struct.pack("!I", ident)),
                          stream=1 + sls)


def kill(lab, server):
    server.hang()
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    server.socket.close()


def hang(lab, server):
    server.hang()


def cut(lab, server):
    lab.cut(server.space)
    server.hang()


def measure(lab, who, fault):
    server_space = who(lab)
    servers = [Server(lab, space, server_space, CONTEXT, 2) for space in SERVERS]
    sender = Asp(lab, SENDER, server_space, NETWORK, 9)
    load = Load(sender)
    load.start()
    wait_for("all three have their share", lambda: all(server.got for server in servers) and len(load.sent) > BEFORE_S * RATE)
    fault(lab, servers[0])
    at = time.monotonic()
    read_before = {ident for ident, _, _ in servers[0].got}
    # Only those that live count from here on.
    while time.monotonic() - at < AFTER_S:
        time.sleep(0.05)
    load.ends = True
    load.join()
    living = lambda: {ident: when for server in servers[1:] for ident, _, when in list(server.got)}
    try:
        wait_for("the rest", lambda: read_before | set(living()) >= set(range(len(load.sent))), 3)
    except Failed:
        pass
    came = living()
    lost = [ident for ident in range(len(load.sent)) if ident not in read_before and ident not in came]
    twice = len(read_before & set(came))
    late = max((when - load.sent[ident][1] for ident, when in came.items()), default=0)
    order = sum(disorder(server.got) for server in servers[1:])
    for asp in (*servers[1:], sender):
        asp.close()
    return {"sent": len(load.sent), "lost": len(lost), "twice": twice, "reordered": order, "latest_ms": late * 1e3}


def disorder(got):
    last, count = {}, 0
    for ident, sls, _ in got:
        count += last.get(sls, -1) > ident
        last[sls] = max(ident, last.get(sls, -1))
    return count


def main():
    sigpool, folder = sys.argv[1:3]
    lab = Lab(sigpool, "kernel", folder)
    print(f"{'a server is':<12}{'':<10}{'sent':>7}{'lost':>7}{'twice':>7}{'reordered':>11}{'latest ms':>11}", flush=True)
    status = 0
    for name, fault in (("killed", kill), ("hung", hang), ("cut off", cut)):
        for who, label in ((osmo, "osmo-stp"), (ours, "ours")):
            lab.begin(f"figures {name} {label}")
            try:
                found = measure(lab, who, fault)
                print(f"{name:<12}{label:<10}{found['sent']:>7}{found['lost']:>7}{found['twice']:>7}{found['reordered']:>11}"
                      f"{found['latest_ms']:>11.0f}", flush=True)
                if who is ours:
                    need(found["lost"] == 0 and found["reordered"] == 0 and found["latest_ms"] < 1_000, f"{name}: {found}")
            except (Failed, OSError) as error:
                status = 1
                print(f"FAILED: {name}, {label}: {error}", flush=True)
            finally:
                lab.end()
    print("FAILED: m3ua-figures" if status else "ok: m3ua-figures: none of ours lost, none out of order")
    return status


if __name__ == "__main__":
    sys.exit(main())
