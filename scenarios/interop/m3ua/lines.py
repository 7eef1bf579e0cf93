"""What must hold between our gateway and other M3UA: osmo-stp as the STP that we are an ASP of, osmo-stp and a plain ASP that come to us."""
import os
import signal
import time

from asp import ACM, AFFECTED, IAM, REL, ROUTING_CONTEXT, Asp, number, who_hears
from lab import Program, address, need, wait_for

GATEWAY, CONTROLLER, PLAIN = "gateway", "host", "pu"
# Routing contexts at the STPs, and of our network side.
OURS, THEIRS, NETWORK = 7, 1, 100


def stp(lab, space="r1", comes=False, outside="0.0.2"):
    """osmo-stp: we are the AS for point code 2, the plain ASP that for 1. `comes`: it is an ASP of ours, else we are one of its.
    `outside`: the point code that lies with us."""
    ports, role, sctp_role, context = ("2905 0", "asp", "client", NETWORK) if comes else ("0 2905", "sg", "server", OURS)
    config = os.path.join(lab.folder, f"{space}-osmo-stp.cfg")
    with open(config, "w", encoding="utf8") as out:
        out.write(f"""log stderr
 logging filter all 1
 logging color 0
 logging timestamp 1
 logging level set-all notice
line vty
 no login
cs7 instance 0
 point-code 0.1.0
 listen m3ua 2905
  local-ip {address(space)}
  accept-asp-connections pre-configured
 asp asp-sg {ports} m3ua
  remote-ip {address(GATEWAY)}
  local-ip {address(space)}
  role {role}
  sctp-role {sctp_role}
 asp asp-plain 0 2905 m3ua
  remote-ip {address(PLAIN)}
  local-ip {address(space)}
  role sg
  sctp-role server
 as as-sg m3ua
  asp asp-sg
  routing-key {context} {outside}
  traffic-mode loadshare
 as as-plain m3ua
  asp asp-plain
  routing-key {THEIRS} 0.0.1
  traffic-mode loadshare
 route-table system
  update route {outside} 7.255.7 linkset as-sg
  update route 0.0.1 7.255.7 linkset as-plain
""")
    program = Program(lab, space, "osmo-stp", ["osmo-stp", "-c", config])
    program.listens("2905")
    return program


def gateway(lab, stps=("r1",), point_code=9):
    """Ours, with one link to each STP, behind which point codes 0 to 7 lie, and a pool. Who comes to us has
    `point_code`."""
    links = ", ".join(f'{{ addresses = ["{address(space)}"] }}' for space in stps)
    linkset = "" if not stps else f"""[[network.linkset]]
name = "stps"
routing_context = {OURS}
routes = [{{ dpc = 0, mask = 3 }}]
links = [{links}]
"""
    sg = lab.daemon(GATEWAY, "sg", f"[network]\npoint_codes = [{point_code}]\n{linkset}")
    lab.daemon(CONTROLLER, "gwc-pe", f'[asap.hunt]\nservers = [{{ addresses = ["{address(GATEWAY)}"] }}]\n')
    wait_for("the pool is available", lambda: sg.state()["pools"][0]["available"])
    return sg


def linkset(sg):
    return sg.state()["network"]["linksets"][0]


def active(sg, count):
    wait_for(f"{count} links are active", lambda: linkset(sg)["links_active"] == count)


def calls_by_an_stp(lab):
    stp(lab)
    sg = gateway(lab)
    active(sg, 1)
    plain = Asp(lab, PLAIN, "r1", THEIRS)
    took = [plain.call(2, cic) for cic in range(1, 21)]
    network = sg.state()["network"]["counters"]
    need(network["received"] == 40 and network["sent"] == 60, f"40 messages in and 60 out, not {network}")
    need(network["malformed"] + network["errors"] == 0, f"nothing is wrong between the two: {network}")
    return f"20 calls through it, {max(took) * 1e3:.0f} ms at most"


def stp_killed_and_back(lab):
    first = stp(lab)
    sg = gateway(lab)
    active(sg, 1)
    plain = Asp(lab, PLAIN, "r1", THEIRS)
    plain.call(2, 1)
    first.kill()
    begin = time.monotonic()
    active(sg, 0)
    noticed = time.monotonic() - begin
    plain.close()
    stp(lab)
    active(sg, 1)
    plain = Asp(lab, PLAIN, "r1", THEIRS)
    plain.call(2, 2)
    return f"noticed after {noticed * 1e3:.0f} ms, calls again"


def stp_hangs_beside_another(lab):
    stops = stp(lab)
    stp(lab, "r2")
    sg = gateway(lab, ("r1", "r2"))
    active(sg, 2)
    by_first, by_second = Asp(lab, PLAIN, "r1", THEIRS), Asp(lab, PLAIN, "r2", THEIRS)
    # Each SLS comes back by its own link.
    for cic in range(1, 9):
        (by_first if cic % 2 == 0 else by_second).call(2, cic)
    stops.send(signal.SIGSTOP)
    begin = time.monotonic()
    active(sg, 1)
    noticed = time.monotonic() - begin
    for cic in range(1, 9):
        by_second.call(2, cic)
    stops.send(signal.SIGCONT)
    active(sg, 2)
    need(noticed < 1, f"a hung STP was noticed after {noticed:.2f} s")
    need(sg.state()["network"]["counters"]["given_up"] == 1, "it was given up once, by BEAT")
    return f"given up after {noticed * 1e3:.0f} ms though its kernel acknowledges; the other carries all, then it is back"


def destination_gone_and_back(lab):
    stp(lab)
    sg = gateway(lab)
    active(sg, 1)
    plain = Asp(lab, PLAIN, "r1", THEIRS)
    plain.call(2, 1)
    plain.send("ASPIA")
    plain.expect("ASPIA ACK")
    wait_for("DUNA of point code 1 is noted", lambda: "1/0" in linkset(sg)["unavailable"])
    plain.activate()
    wait_for("DAVA of it is noted", lambda: not linkset(sg)["unavailable"])
    plain.call(2, 2)
    return "DUNA and DAVA understood"


def pool_gone_and_back(lab):
    stp(lab)
    sg = lab.daemon(GATEWAY, "sg", f'''[[network.linkset]]
name = "stps"
routing_context = {OURS}
routes = [{{ dpc = 1 }}]
links = [{{ addresses = ["{address("r1")}"] }}]
''')
    wait_for("ASPUP, and no more without a pool", lambda: [peer["state"] for peer in sg.state()["network"]["peers"]] == ["ASP-INACTIVE"])
    plain = Asp(lab, PLAIN, "r1", THEIRS)
    controller = lab.daemon(CONTROLLER, "gwc-pe", f'[asap.hunt]\nservers = [{{ addresses = ["{address(GATEWAY)}"] }}]\n')
    active(sg, 1)
    plain.call(2, 1)
    controller.stop()
    active(sg, 0)
    told = plain.expect("DUNA")
    need(told[AFFECTED][-1] == 2, f"DUNA of point code 2: {told}")
    return "the STP tells its other ASP DUNA when our pool is gone"


def a_plain_asp_comes(lab):
    sg = gateway(lab, ())
    plain = Asp(lab, PLAIN, GATEWAY, NETWORK, point_code=9)
    took = [plain.call(2, cic) for cic in range(1, 21)]
    plain.send("DAUD", number(ROUTING_CONTEXT, NETWORK), number(AFFECTED, 2))
    need(plain.expect("DAVA")[AFFECTED][-1] == 2, "DAUD of 2 is answered with DAVA")
    plain.isup(77, 1, IAM)
    need(plain.expect("DUNA")[AFFECTED][-1] == 77, "a point code of nobody is answered with DUNA")
    need(sg.state()["network"]["counters"]["malformed"] == 0, "nothing is malformed")
    return f"20 calls, {max(took) * 1e3:.0f} ms at most; DAUD answered"


def osmo_comes_as_an_asp(lab):
    sg = gateway(lab, (), point_code=1)
    stp(lab, comes=True)
    wait_for("it is active", lambda: [peer["state"] for peer in sg.state()["network"]["peers"]] == ["ASP-ACTIVE"])
    plain = Asp(lab, PLAIN, "r1", THEIRS)
    took = [plain.call(2, cic) for cic in range(1, 21)]
    return f"20 calls of an ASP behind it, {max(took) * 1e3:.0f} ms at most"


def plain_asps_serve(lab):
    """Ordinary ASPs as application servers: from the network comes an ASP too."""
    sg = lab.daemon(GATEWAY, "sg", f"""[network]
point_codes = [9]
[[as]]
pool = "GatewayPool"
routing_context = {THEIRS}
dpc = [2]
asps = ["{address("r1")}", "{address("r2")}"]
""")
    first, second = (Asp(lab, space, GATEWAY, THEIRS, point_code=2) for space in ("r1", "r2"))
    pool = lambda: sg.state()["enrp"]["pools"][0]
    wait_for("both are registered on their behalf", lambda: pool()["selectable"] == 2)
    network = Asp(lab, PLAIN, GATEWAY, NETWORK, point_code=9)
    by = {}
    for group in range(8):
        cic = 32 * group + 1
        network.isup(2, cic, IAM)
        by[cic] = who_hears((first, second), cic, IAM)
        by[cic].isup(9, cic, ACM)
        network.expect_isup(cic, ACM)
    need(set(by.values()) == {first, second}, "each has its share")
    # One leaves as M3UA says: its groups move.
    first.send("ASPIA", number(ROUTING_CONTEXT, THEIRS))
    first.expect("ASPIA ACK")
    wait_for("it is not in the pool any more", lambda: pool()["selectable"] == 1)
    moved = [cic for cic, asp in by.items() if asp is first]
    for cic in moved:
        network.isup(2, cic, REL)
        second.expect_isup(cic, REL)
    # It is back; the other falls silent though its association is up.
    first.activate()
    wait_for("it is in the pool again", lambda: pool()["selectable"] == 2)
    second.hang()
    network.isup(2, 1, REL)
    begin = time.monotonic()
    first.expect_isup(1, REL)
    took = time.monotonic() - begin
    need(took < 1, f"the other one got it after {took:.2f} s")
    wait_for("the hung one is not in the pool", lambda: pool()["selectable"] == 1)
    return f"two plain ASPs shared 8 circuit groups, one left by ASPIA, one hung and what it had went to the other after {took * 1e3:.0f} ms"


def osmo_serves(lab):
    """osmo-stp as the application server: a legacy ASP that is not ours, with another ASP behind it."""
    sg = lab.daemon(GATEWAY, "sg", f"""[network]
routing_context = 200
point_codes = [9]
[[as]]
pool = "GatewayPool"
routing_context = {NETWORK}
dpc = [1]
asps = ["{address("r1")}"]
""")
    stp(lab, comes=True, outside="0.1.1")
    wait_for("it is registered", lambda: [pool["selectable"] for pool in sg.state()["enrp"]["pools"]] == [1])
    behind = Asp(lab, PLAIN, "r1", THEIRS)
    network = Asp(lab, "r2", GATEWAY, 200, point_code=9)
    for cic in (1, 33, 65):
        network.isup(1, cic, IAM)
        behind.expect_isup(cic, IAM)
        behind.isup(9, cic, ACM)
        network.expect_isup(cic, ACM)
    return "osmo-stp is registered in the pool, messages both ways through it"


LINES = [
    ("osmo-stp: we are its ASP, calls of a plain ASP through it", calls_by_an_stp),
    ("osmo-stp: killed and started again", stp_killed_and_back),
    ("osmo-stp: one of two hangs", stp_hangs_beside_another),
    ("osmo-stp: DUNA and DAVA of a destination", destination_gone_and_back),
    ("osmo-stp: our pool is gone and back", pool_gone_and_back),
    ("osmo-stp: comes to us as an ASP", osmo_comes_as_an_asp),
    ("plain ASP: comes to us", a_plain_asp_comes),
    ("plain ASPs: serve as application server, one leaves, one hangs", plain_asps_serve),
    ("osmo-stp: serves as application server", osmo_serves),
]
