#!/bin/bash
# Our stack against Linux kernel SCTP over UDP encapsulation, both ways, the kernel with two addresses. Run it inside a kernel that
# has SCTP, as root, for example:
#   cargo build -p sctp --example echo
#   /work/shared/uml/with-kernel-sctp bash sctp/interop/kernel.sh target/debug/examples/echo
# Exit status 0 when every message came back in order and every association ended by SHUTDOWN.
set -euo pipefail
echo_peer=$(realpath "${1:?path of the example echo}"); here=$(dirname "$(realpath "$0")")
ip netns add kernel; ip netns add ours
for i in 0 1; do
  ip link add k$i netns kernel type veth peer name o$i netns ours
  # The kernel leaves the CRC32c of UDP-encapsulated packets to segmentation offload, which a veth never does.
  ip -n kernel link set dev k$i gso_max_size 1500 gso_max_segs 1
  ip -n kernel addr add 10.0.$i.2/24 dev k$i; ip -n ours addr add 10.0.$i.1/24 dev o$i
  ip -n kernel link set k$i up; ip -n ours link set o$i up
done
ip -n kernel link set lo up; ip -n ours link set lo up
ip netns exec kernel sysctl -qw net.sctp.udp_port=9899 net.sctp.encap_port=9899 net.sctp.cookie_hmac_alg=none

echo "--- the kernel connects to us"
ip netns exec ours "$echo_peer" listen 10.0.0.1 & ours=$!
ip netns exec kernel python3 "$here/kernel.py" client
wait $ours
echo "--- we connect to the kernel"
coproc server { ip netns exec kernel python3 "$here/kernel.py" server; }
server_pid=$server_PID; read -r _ <&"${server[0]}"
ip netns exec ours timeout 60 "$echo_peer" connect 10.0.0.2 400 10.0.0.1
wait "$server_pid"
