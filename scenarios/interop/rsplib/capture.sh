#!/usr/bin/env bash
# capture.sh FILE...: what our programs sent in captures of the list must be clean in Wireshark's eyes, and ASAP must be in it.
set -euo pipefail
ours='ip.src in {10.78.0.5, 10.78.0.6, 10.78.0.15, 10.78.0.25, 10.78.0.35}'
ours_bad="$ours && (_ws.malformed || ((asap || enrp) && _ws.expert.severity >= \"Warning\"))"
# One pass: a line for each packet of ours that has ASAP or ENRP, or is bad.
count() { awk -v word="$1" 'index($0, word) { n++ } END { print n + 0 }' <<<"$packets"; }
packets=""
bad=""
for file in "$@"; do
    packets+=$(tshark -r "$file" -Y "$ours && (asap || enrp)" -T fields -e frame.protocols 2>/dev/null)$'\n'
    bad+=$(tshark -r "$file" -Y "$ours_bad" 2>/dev/null | head -n 20)
done
if [ -n "$bad" ]; then
    echo "FAILED: rsplib's captures: Wireshark complains about what we sent:"
    printf '    %s\n' "$bad"
    exit 1
fi
if [ "$(count asap)" = 0 ]; then
    echo "FAILED: rsplib's captures: no ASAP of ours in them"
    exit 1
fi
echo "ok: what we sent is clean in Wireshark, packets with asap=$(count asap) enrp=$(count enrp)"
