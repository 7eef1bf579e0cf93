#!/usr/bin/env python3
"""Messages a second through a relay, over the kernel's SCTP: relay.py SIGPOOL FOLDER LOAD [ROUNDS] [SECONDS]

An ASP of point code 9 sends messages of 40 octets to point code 2, an ordinary ASP behind the relay that sends each back; 64 are
outstanding. In turn: a bare relay (what one association brings goes out on the other one, unread), osmo-stp, ours. All share the guest's
one processor, the two ASPs too. Status 1 when ours is under 70 % of the bare relay, or under 3 times osmo-stp.
"""
import json
import statistics
import subprocess
import sys

from figures import CONTEXT, GATEWAY, NETWORK, SENDER, STP, osmo, ours
from lab import Failed, Lab, Program, address, wait_for

SERVER = "pe1"
OUTSTANDING = 64
OF_BARE, OF_OSMO = 0.7, 3.0


def bare(lab, _servers):
    Program(lab, STP, "relay", [lab.load, "kernel", address(STP), "relay"]).listens("2905")
    return STP


def measure(lab, who, seconds):
    relay = who(lab, (SERVER,))
    only_data = ["--bare"] if who is bare else []
    server = Program(lab, SERVER, "echo", [lab.load, "kernel", address(SERVER), "echo", address(relay), str(CONTEXT), "2", *only_data])
    # Its ASP is active, or at least its association up, before anything is sent to it.
    wait_for("the echo's association", lambda: established(server))
    if who is ours:
        wait_for("its ASP is active", lambda: lab.programs[0].state()["pools"][0]["available"])
    load = Program(lab, SENDER, "load", [lab.load, "kernel", address(SENDER), "load", address(relay), str(NETWORK), "9", *only_data,
                                         "2", str(OUTSTANDING), str(seconds)])
    try:
        load.process.wait(seconds + 20)
    except subprocess.TimeoutExpired:
        raise Failed(f"the load does not end: {load.said()[-300:]}") from None
    lines = [line for line in load.said().splitlines() if line.startswith("{")]
    if not lines:
        raise Failed(f"the load says {load.said()[-300:]}")
    return json.loads(lines[-1])["per_s"]


def established(program):
    with open(f"/proc/{program.process.pid}/net/sctp/assocs", encoding="utf8") as associations:
        return len(associations.readlines()) > 1


def main():
    sigpool, folder, load = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 3.0
    lab = Lab(sigpool, "kernel", folder)
    lab.load = load
    programs = {"bare relay": bare, "osmo-stp": osmo, "ours": ours}
    rates = {name: [] for name in programs}
    for number in range(rounds):
        for name, who in programs.items():
            lab.begin(f"relay {name} {number}")
            try:
                rates[name].append(measure(lab, who, seconds))
            except (Failed, OSError) as error:
                print(f"FAILED: m3ua-relay: {name}: {error}", flush=True)
                return 1
            finally:
                lab.end()
    middle = {name: statistics.median(got) for name, got in rates.items()}
    for name, got in rates.items():
        print(f"{name:<12}{middle[name]:>9,.0f} messages/s relayed (rounds: {', '.join(f'{rate:,.0f}' for rate in got)})")
    of_bare, of_osmo = (middle["ours"] / middle[name] for name in ("bare relay", "osmo-stp"))
    good = of_bare >= OF_BARE and of_osmo >= OF_OSMO
    print(f"{'ok' if good else 'MISSED'}: m3ua-relay: {of_bare:.0%} of the bare relay (at least {OF_BARE:.0%}), "
          f"{of_osmo:.2f} times osmo-stp (at least {OF_OSMO:g})")
    return int(of_bare < OF_BARE / 2 or of_osmo < OF_OSMO / 2)


if __name__ == "__main__":
    sys.exit(main())
