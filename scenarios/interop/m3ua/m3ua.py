#!/usr/bin/env python3
"""The M3UA list: m3ua.py SIGPOOL TRANSPORT FOLDER [WORD...]

Runs as root in a guest whose kernel has SCTP (`../guest-m3ua`). One line for each thing that must hold: "ok: ..." or "FAILED: ...".
TRANSPORT is who carries our SCTP. With words: only the lines whose name has one. Status 1 when a line failed.
"""
import sys

from lab import Lab, capture_begin, run_lines
from lines import LINES


def main():
    sigpool, transport, folder, *words = sys.argv[1:]
    lab = Lab(sigpool, transport, folder)
    _, capture = capture_begin(folder)
    lines = [(name, line) for name, line in LINES if not words or any(word in name for word in words)]
    status = run_lines(lab, f"m3ua ({transport})", lines)
    capture.terminate()
    capture.wait()
    return status


if __name__ == "__main__":
    sys.exit(main())
