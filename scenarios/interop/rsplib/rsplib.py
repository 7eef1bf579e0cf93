#!/usr/bin/env python3
"""The rsplib list: rsplib.py SIGPOOL TRANSPORT FOLDER SHARE [WORD...]

Runs as root in a guest whose kernel has SCTP (`../guest-rsplib`). One line for each thing that must hold: "ok: ..." or
"FAILED: ...". SHARE N/M: each M-th line of those chosen, from the N-th on, 0/1 is all. With words: only the lines whose name has one.
TRANSPORT is who carries our SCTP. What the programs of a line said stays in FOLDER. Status 1 when a line failed.
"""
import os
import subprocess
import sys
import time

import asap_lines
import enrp_lines
from lab import Failed, Lab

# rsplib's own, or the setup's: malformed for Wireshark too.
EXPERT_WARNING = 0x600000


def capture_begin(folder):
    file = os.path.join(folder, "capture.pcap")
    capture = subprocess.Popen(["tcpdump", "-i", "br0", "-U", "-s", "0", "-w", file, "sctp or udp port 9899 or udp port 3863 or udp port 9901"],
                               stderr=subprocess.DEVNULL)
    return file, capture


def chosen(transport, share, words):
    lines = [("ASAP: " + name, line) for name, line in asap_lines.LINES]
    if transport == "kernel":
        lines += [("ENRP: " + name, line) for name, line in enrp_lines.LINES]
    lines = [(name, line) for name, line in lines if not words or any(word in name for word in words)]
    first, each = map(int, share.split("/"))
    return lines[first::each]


def main():
    sigpool, transport, folder, share, *words = sys.argv[1:]
    lab = Lab(sigpool, transport, folder)
    file, capture = capture_begin(folder)
    status = 0
    for name, line in chosen(transport, share, words):
        lab.begin(name)
        title = f"rsplib ({transport}): {name}"
        begin = time.monotonic()
        try:
            text = line(lab)
            print(f"ok: {title}: {text} [{time.monotonic() - begin:.1f} s]", flush=True)
        except (Failed, subprocess.CalledProcessError, OSError, KeyError, ValueError) as error:
            status = 1
            print(f"FAILED: {title}: {type(error).__name__ if not isinstance(error, Failed) else ''}{error}", flush=True)
            for program in lab.programs:
                said = program.said().strip().splitlines()
                print(f"    {program.name} in {program.space} ({'runs' if program.alive() else program.process.poll()}): "
                      + " | ".join(said[-4:])[-600:], flush=True)
        finally:
            lab.end()
    capture.terminate()
    capture.wait()
    return status


if __name__ == "__main__":
    sys.exit(main())
