#!/usr/bin/env bash
# capture.sh FILE...: what our gateway sent in captures of the list must be clean in Wireshark's eyes, and M3UA must be in it.
set -euo pipefail
ours='ip.src == 10.78.0.35'
bad="" messages=0
for file in "$@"; do
    bad+=$(tshark -r "$file" -Y "$ours && (_ws.malformed || (m3ua && _ws.expert.severity >= \"Warning\"))" 2>/dev/null | head -n 20)
    messages=$((messages + $(tshark -r "$file" -Y "$ours && m3ua" 2>/dev/null | wc -l)))
done
if [ -n "$bad" ]; then
    echo "FAILED: m3ua's captures: Wireshark complains about what we sent:"
    printf '    %s\n' "$bad"
    exit 1
fi
if [ "$messages" = 0 ]; then
    echo "FAILED: m3ua's captures: no M3UA of ours in them"
    exit 1
fi
echo "ok: what we sent is clean in Wireshark, packets with m3ua=$messages"
