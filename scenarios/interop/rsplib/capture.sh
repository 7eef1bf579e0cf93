#!/usr/bin/env bash
# capture.sh FILE: what our programs sent in a capture of the list must be clean in Wireshark's eyes, and ASAP must be in it.
set -euo pipefail
ours='ip.src in {10.78.0.5, 10.78.0.6, 10.78.0.15, 10.78.0.25, 10.78.0.35}'
bad=$(tshark -r "$1" -Y "$ours && (_ws.malformed || ((asap || enrp) && _ws.expert.severity >= \"Warning\"))" 2>/dev/null | head -n 20)
counts=""
for protocol in asap enrp; do counts+=" $protocol=$(tshark -r "$1" -Y "$ours && $protocol" 2>/dev/null | wc -l)"; done
if [ -n "$bad" ]; then
    echo "FAILED: rsplib's capture: Wireshark complains about what we sent:"
    printf '    %s\n' "$bad"
    exit 1
fi
if [[ $counts == " asap=0"* ]]; then
    echo "FAILED: rsplib's capture: no ASAP of ours in it"
    exit 1
fi
echo "ok: what we sent is clean in Wireshark, packets with$counts"
