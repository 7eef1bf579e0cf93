#!/usr/bin/env python3
"""The rsplib list: rsplib.py SIGPOOL TRANSPORT FOLDER SHARE [WORD...]

Runs as root in a guest whose kernel has SCTP (`../guest-rsplib`). One line for each thing that must hold: "ok: ..." or
"FAILED: ...". SHARE N/M: each M-th line of those chosen, from the N-th on, 0/1 is all. With words: only the lines whose name has one.
TRANSPORT is who carries our SCTP. What the programs of a line said stays in FOLDER. Status 1 when a line failed.
"""
import sys

import asap_lines
import enrp_lines
from lab import Lab, capture_begin, run_lines


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
    status = run_lines(lab, f"rsplib ({transport})", chosen(transport, share, words))
    capture.terminate()
    capture.wait()
    return status


if __name__ == "__main__":
    sys.exit(main())
