#!/usr/bin/env python3
"""Ours and rspregistrar side by side: figures.py SIGPOOL FOLDER ASAP-LOAD

Runs as root in a guest whose kernel has SCTP (`../guest-rsplib`). In turn, each alone at the same address: our server, rspregistrar, and
a bare echo with answers as long as theirs, on our backend over the kernel's SCTP. The load is ours for all: 10,000 registrations in 500
pools over one association with 64 outstanding, then resolutions of these pools (3 elements in an answer, rspregistrar's default) with
1 and with 64 outstanding. The guest has one processor, so load and server share it. Status 1 when a bound is passed.
"""
import json
import signal
import subprocess
import sys

from lab import Failed, Lab, Program, address, wait_for

POOLS, PES, ITEMS = 500, 20, 3
SECONDS, ROUNDS = 2, 5
# As long as a resolution's answer with 3 elements that have one address each.
ANSWER_BYTES = 144
# At least so many times rspregistrar, and so much of the echo; half of that on a guest that somebody else's work slows down is a failure.
TARGETS = {"times registrations": 3.0, "times resolutions": 3.0, "of the echo": 0.70}


class Figures:
    def __init__(self, lab, load):
        self.lab, self.load, self.rows = lab, load, {}

    def asap_load(self, space, *words):
        return Program(self.lab, space, "asap_load", [self.load, self.lab.transport, address(space), *map(str, words)])

    def keep(self, who, what, report):
        wrong = report["refused"] + report["wrong"] + report["unasked"]
        if wrong or not report["answered"]:
            raise Failed(f"{who}, {what}: {report}")
        self.rows.setdefault((who, what), []).append(report)

    def server(self, who, start):
        """One server's round: registrations, resolutions."""
        self.lab.begin(f"figures {who}")
        try:
            start()
            elements = self.asap_load("host", "register", address("r1"), POOLS, PES, 64, 120)
            wait_for("all registered", lambda: "registered" in elements.said() or not elements.alive(), 60)
            for outstanding in (1, 64):
                self.keep(who, f"resolution, {outstanding} outstanding", self.resolve(outstanding))
            elements.stop(signal.SIGINT)
            report = json.loads(elements.said().strip().splitlines()[-1])
            if report["answered"] != POOLS * PES:
                raise Failed(f"{who}: {report}")
            self.keep(who, "registration, 64 outstanding", report)
        finally:
            self.lab.end()

    def resolve(self, outstanding):
        lab = self.lab
        lab.space("user")
        done = subprocess.run(["ip", "netns", "exec", "user", lab.sigpool, "resolve-bench", "--transport", lab.transport, "--server",
                               address("r1"), "--pools", str(POOLS), "--items", str(ITEMS), "--outstanding", str(outstanding),
                               "--seconds", str(SECONDS), "--json"], capture_output=True, text=True, timeout=60, check=False)
        if not done.stdout.startswith("{"):
            raise Failed(f"resolve-bench said: {done.stderr.strip()[-300:]}")
        return json.loads(done.stdout)

    def echo(self):
        self.lab.begin("figures echo")
        try:
            echo = self.asap_load("r1", "echo", ANSWER_BYTES)
            echo.listens("3863")
            for outstanding in (1, 64):
                asking = self.asap_load("user", "ask-echo", address("r1"), ANSWER_BYTES, outstanding, SECONDS)
                if asking.process.wait(60) != 0:
                    raise Failed(f"the echo's questions: {asking.said()[-300:]}")
                self.keep("echo", f"resolution, {outstanding} outstanding", json.loads(asking.said().strip().splitlines()[-1]))
        finally:
            self.lab.end()

    def best(self, who, what):
        """Of the rounds: whatever else this machine does only takes away."""
        return max(self.rows[who, what], key=lambda report: report["rate_per_s"])

    def table(self):
        print(f"{'':<32}{'a second':>10}{'p50 us':>10}{'p99 us':>10}   bytes, of all rounds a second")
        for (who, what), reports in sorted(self.rows.items(), key=lambda row: row[0][::-1]):
            best = self.best(who, what)
            rates = " ".join(f"{report['rate_per_s']:.0f}" for report in reports)
            name = f"{what.replace('resolution', 'echo') if who == 'echo' else what}, {who}" if who != "echo" else what.replace("resolution", "echo")
            print(f"{name:<46}{best['rate_per_s']:>8.0f}{best['latency_us']['p50']:>10.0f}{best['latency_us']['p99']:>10.0f}"
                  f"{best['bytes']:>8.0f}   {rates}", flush=True)

    def verdict(self):
        rate = lambda who, what: self.best(who, what)["rate_per_s"]
        registration, many, one = "registration, 64 outstanding", "resolution, 64 outstanding", "resolution, 1 outstanding"
        ratios = {
            "times registrations": rate("ours", registration) / rate("rspregistrar", registration),
            "times resolutions": rate("ours", many) / rate("rspregistrar", many),
            "of the echo": rate("ours", many) / rate("echo", many),
        }
        for what, ratio in ratios.items():
            self.say(f"64 outstanding, {what}", f"{ratio:.2f}", f"at least {TARGETS[what]}", ratio >= TARGETS[what])
        for part in ("p50", "p99"):
            ours, theirs = (self.best(who, one)["latency_us"][part] for who in ("ours", "rspregistrar"))
            self.say(f"1 outstanding, {part}", f"{ours:.0f} us", f"under rspregistrar's {theirs:.0f} us", ours < theirs)
        return any(ratio < TARGETS[what] / 2 for what, ratio in ratios.items())

    @staticmethod
    def say(what, got, target, reached):
        print(f"target   {what:<40}{got:>10}   {target:<34}{'reached' if reached else 'MISSED'}", flush=True)


def main():
    sigpool, folder, load = sys.argv[1:4]
    lab = Lab(sigpool, "kernel", folder)
    figures = Figures(lab, load)

    def ours():
        lab.name_server("r1", server=f"pools_max = {POOLS}\npes_per_client_max = {POOLS * PES}\nkeep_alive_interval_ms = 0")

    def theirs():
        lab.registrar("r1", "-endpointkeepalivetransmissioninterval=600000", "-endpointkeepalivetimeoutinterval=60000", "-loglevel=0")

    try:
        for _ in range(ROUNDS):
            figures.echo()
            figures.server("ours", ours)
            figures.server("rspregistrar", theirs)
    except Failed as error:
        print(f"FAILED: figures: {error}")
        return 1
    figures.table()
    slow = figures.verdict()
    print(("FAILED: " if slow else "ok: ") + "figures beside rspregistrar" + (": under half of a target" if slow else ""))
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
