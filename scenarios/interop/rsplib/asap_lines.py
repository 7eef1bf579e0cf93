"""The ASAP lines of the list: ours at rspregistrar, rsplib's at our server. Each takes the lab and says what to add to the line."""
import signal
import time

from lab import SERVER_IDS, Failed, address, elements, need, wait_for

# rspserver's -policy, and what our server must make of it.
POLICIES = [
    ("RoundRobin", "round robin"),
    ("WeightedRoundRobin:7", "weighted round robin, weight 7"),
    ("Random", "random"),
    ("WeightedRandom:9", "weighted random, weight 9"),
    ("Priority:5", "priority 5"),
    ("LeastUsed", "least used, load 0.0 %"),
    ("LeastUsedDegradation:0.5", "least used with degradation, load 0.0 %, degradation 50.0 %"),
    ("PriorityLeastUsed:0.25", "priority least used, load 0.0 %, degradation 25.0 %"),
    ("RandomizedLeastUsed", "randomized least used, load 0.0 %"),
]


# Our pool elements and pool users at rspregistrar.


def register(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=2, pes=3)
    wait_for("all registered", lambda: population.registered() == 6)
    table = lab.dump("r1")
    need(sorted(table) == ["pop-000", "pop-001"], f"it has the pools {sorted(table)}")
    for handle, pool in table.items():
        need(len(pool) == 3, f"it has {len(pool)} elements in {handle}")
        for element in pool.values():
            need(element["home"] == SERVER_IDS["r1"] and element["user"].startswith(address("host") + ":"), f"it has {element}")
    ports = sorted(int(element["user"].split(":")[1]) for element in elements(table).values())
    need(ports == list(range(10_000, 10_006)), f"it has the ports {ports}")
    return "6 elements in 2 pools, as registered"


def keep_alive(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=1, pes=3)
    wait_for("10 keep-alives each", lambda: population.counters()["keep_alives"] >= 30, 30)
    counters = population.counters()
    need(population.registered() == 3 and counters["servers_lost"] == 0, f"{population.state()}")
    need(len(elements(lab.dump("r1"))) == 3, "they are not in its table")
    return f"{counters['keep_alives']} answered"


def register_again(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=1, pes=2, more='policy = "least-used"\nre_registrations_per_s = 10')
    wait_for("20 granted", lambda: population.counters()["registrations_granted"] >= 20)
    loads = [element["load"] for element in elements(lab.dump("r1")).values()]

    def changed():
        pool = lab.dump("r1")["pop-000"]
        need(len(pool) == 2 and all(e["policy"] == "LeastUsed" for e in pool.values()), f"it has {pool}")
        return sorted(e["load"] for e in pool.values()) != sorted(loads)

    wait_for("other loads in its table", changed)
    need(population.counters()["registrations_refused"] == 0, "refused")
    return f"{population.counters()['registrations_granted']} granted, loads change in its table"


def leave(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=2, pes=2)
    wait_for("all registered", lambda: population.registered() == 4)
    status = population.stop()
    need(status == 0, f"exit status {status}")
    need(lab.dump("r1") == {}, f"it still has {lab.dump('r1')}")
    return "gone from its table, exit status 0"


def killed(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=1, pes=3)
    wait_for("all registered", lambda: population.registered() == 3)
    population.kill()
    begin = time.monotonic()
    wait_for("gone from its table", lambda: lab.dump("r1") == {} or None)
    return f"gone after {time.monotonic() - begin:.1f} s"


def hang(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=1, pes=3)
    wait_for("all registered", lambda: population.registered() == 3)
    population.send(signal.SIGSTOP)
    wait_for("gone from its table", lambda: lab.dump("r1") == {} or None)
    population.send(signal.SIGCONT)
    wait_for("back in its table", lambda: len(elements(lab.dump("r1"))) == 3)
    wait_for("they know it", lambda: population.registered() == 3)
    return "removed while stopped, registered again after"


def registrar_killed(lab):
    registrars = {space: lab.registrar(space) for space in ("r1", "r2")}
    population = lab.population(["r1", "r2"], pools=1, pes=5)
    wait_for("all registered", lambda: population.registered() == 5)

    def homes(space):
        return [element["home"] for element in elements(lab.dump(space)).values()]

    # Whichever answered first; no other than these two.
    victim = "r1" if SERVER_IDS["r1"] in homes("r1") else "r2"
    other = "r2" if victim == "r1" else "r1"
    registrars[victim].kill()
    begin = time.monotonic()
    wait_for("all at the other", lambda: homes(other) == [SERVER_IDS[other]] * 5)
    took = time.monotonic() - begin
    wait_for("they know it", lambda: population.registered() == 5)
    return f"all at the other after {took:.1f} s"


def resolve(lab):
    lab.registrar()
    theirs = [lab.pool_element(space, "echo", ["r1"]) for space in ("pe1", "pe2")]
    wait_for("both registered", lambda: len(elements(lab.dump("r1"))) == len(theirs))
    report = lab.resolve("r1", "EchoPool")
    need((report["answered"], report["refused"], report["wrong"]) == (20, 0, 0) and report["elements"] == 2, f"{report}")
    return f"20 of 20, 2 elements each, p50 {report['latency_us']['p50']:.0f} us"


def items(lab):
    lab.registrar()
    population = lab.population(["r1"], pools=1, pes=7)
    wait_for("all registered", lambda: population.registered() == 7)
    got = [lab.resolve("r1", "pop-000", items=items)["elements"] for items in (None, 1, 5, 100, 0xffffffff)]
    # Three is rsplib's own choice.
    need(got == [3, 1, 5, 7, 7], f"{got} elements")
    return "unasked, 1, 5, 100, all: 3, 1, 5, 7, 7 of 7"


def unknown(lab):
    lab.registrar()
    report = lab.resolve("r1", "Nowhere")
    need((report["answered"], report["refused"]) == (20, 20), f"{report}")
    return "20 of 20 refused"


def gateway(lab):
    """A gateway and its controllers over a foreign name server."""
    lab.registrar()
    known = f'servers = [{{ addresses = ["{address("r1")}"] }}]'
    # rsplib takes life for milliseconds.
    controllers = [lab.daemon(space, "gwc-pe", f"[node]\npe_id = {0x7000 + number}\n[pool]\nlife_s = 300000\n[asap.hunt]\n{known}\n")
                   for number, space in enumerate(("host", "user"))]
    gateway = lab.daemon("gateway", "sg", f"[enrp]\nembedded = false\n{known}\n")

    def active():
        return sum(c["state"] == "active" for pool in gateway.state()["pools"] for c in pool["controllers"])

    wait_for("two active controllers", lambda: active() == 2)
    controllers[0].kill()
    wait_for("one active controller", lambda: active() == 1)
    wait_for("one in the registrar's table", lambda: list(lab.dump("r1")["GatewayPool"]) == [0x7001])
    return "two controllers found and active; one killed: gone there and here"


# rsplib's at our server.


def their_registration(lab):
    server = lab.name_server()
    element = lab.pool_element("pe1", "echo", ["s1"], "-policy=WeightedRoundRobin:20")
    wait_for("registered", lambda: element.id in server.table().get("EchoPool", {}))
    wait_for("5 keep-alives answered", lambda: server.counters()["keep_alive_acks"] >= 5)
    got = server.table()["EchoPool"][element.id]
    need(got["policy"] == "weighted round robin, weight 20" and got["user"].startswith(address("pe1")), f"{got}")
    counters = server.counters()
    wrong = {key: counters[key] for key in ("malformed", "unrecognized", "unexpected", "keep_alive_misses", "errors_in") if counters[key]}
    need(not wrong, f"{wrong}")
    element.stop(signal.SIGINT)
    wait_for("gone", lambda: server.server()["pools_total"] == 0)
    need(server.counters()["deregistrations"] == 1, "it did not deregister")
    return f"{counters['keep_alive_acks']} keep-alives answered; deregistered at its end"


def their_registration_again(lab):
    server = lab.name_server()
    element = lab.pool_element("pe1", "echo", ["s1"], "-rereginterval=500")
    wait_for("5 again", lambda: server.counters()["reregistrations"] >= 5)
    need(list(server.table()["EchoPool"]) == [element.id], f"{server.table()}")
    need(server.counters()["refused_not_unique"] == 0 and server.counters()["expired"] == 0, f"{server.counters()}")
    return f"{server.counters()['reregistrations']} of them"


def policies(lab):
    server = lab.name_server()
    for policy, ours in POLICIES:
        element = lab.pool_element("pe1", "echo", ["s1"], f"-policy={policy}")
        got = wait_for(policy, lambda element=element: server.table().get("EchoPool", {}).get(element.id), 5)
        need(got["policy"] == ours, f"{policy}: {got['policy']}")
        element.stop(signal.SIGINT)
        wait_for("gone", lambda: server.server()["pools_total"] == 0)
    return f"{len(POLICIES)} of RFC 5356, with their values"


def their_mismatch(lab):
    """The second element of a pool wants another policy: refused, and it says so."""
    server = lab.name_server()
    first = lab.pool_element("pe1", "echo", ["s1"])
    wait_for("registered", lambda: first.id in server.table().get("EchoPool", {}))
    second = lab.pool_element("pe2", "echo", ["s1"], "-policy=Random")
    wait_for("refused", lambda: server.counters()["refused_policy"] > 0)
    need(list(server.table()["EchoPool"]) == [first.id], f"{server.table()}")
    need(second.alive(), "it ended")
    return f"{server.counters()['refused_policy']} times"


def terminal(lab):
    server = lab.name_server()
    element = lab.pool_element("pe1", "echo", ["s1"])
    wait_for("registered", lambda: element.id in server.table().get("EchoPool", {}))
    terminal = lab.terminal(["s1"])
    for number in range(5):
        terminal.process.stdin.write(f"line {number}\n")
        wait_for(f"line {number} comes back", lambda number=number: f"${element.id:08x}> line {number}" in terminal.said())
    return f"5 lines came back from the element that our server named ({server.counters()['resolutions']} resolutions)"


def terminal_failover(lab):
    server = lab.name_server()
    theirs = {element.id: element for element in (lab.pool_element(space, "echo", ["s1"]) for space in ("pe1", "pe2"))}
    wait_for("both registered", lambda: len(server.table().get("EchoPool", {})) == 2)
    terminal = lab.terminal(["s1"])

    def serving(number):
        terminal.process.stdin.write(f"line {number}\n")
        wait_for(f"line {number} comes back", lambda: f"> line {number}" in terminal.said())
        return int(terminal.said().split(f"> line {number}")[0].rsplit("$", 1)[1], 16)

    first = serving(1)
    other = next(ident for ident in theirs if ident != first)
    theirs[first].kill()
    begin = time.monotonic()
    for number in range(2, 100):
        terminal.process.stdin.write(f"line {number}\n")
        time.sleep(0.2)
        if f"${other:08x}> line" in terminal.said():
            break
    else:
        raise Failed("nobody else served")
    took = time.monotonic() - begin
    wait_for("the dead one gone from our table", lambda: list(server.table()["EchoPool"]) == [other])
    return f"the other one serves after {took:.1f} s"


def pingpong(lab):
    server = lab.name_server()
    theirs = [lab.pool_element(space, "pingpong", ["s1"]) for space in ("pe1", "pe2", "pe3")]
    wait_for("all registered", lambda: len(server.table().get("PingPongPool", {})) == 3)
    client = lab.terminal(["s1"], "PingPongPool", "pingpongclient", "-interval=50")

    def answers():
        return client.said().count("Ack #")

    wait_for("20 answers", lambda: answers() >= 20)
    for victim in theirs[:2]:
        victim.kill()
        before = answers()
        wait_for("20 answers more", lambda before=before: answers() >= before + 20)
    return f"{answers()} answers, two of three elements killed; {server.counters()['reports']} reports of the client taken"


def their_hang(lab):
    server = lab.name_server(server="keep_alive_interval_ms = 300\nkeep_alive_timeout_ms = 300")
    element = lab.pool_element("pe1", "echo", ["s1"], "-rereginterval=1000")
    wait_for("registered", lambda: element.id in server.table().get("EchoPool", {}))
    element.send(signal.SIGSTOP)
    begin = time.monotonic()
    wait_for("out of answers", lambda: server.table().get("EchoPool", {}).get(element.id, {"state": "gone"})["state"] != "up")
    took = time.monotonic() - begin
    need(lab.resolve("s1", "EchoPool", 1)["refused"] == 1, "it is still in answers")
    element.send(signal.SIGCONT)
    wait_for("back", lambda: server.table().get("EchoPool", {}).get(element.id, {}).get("state") == "up")
    return f"out of answers after {took:.1f} s, back when it answers"


def their_unknown(lab):
    server = lab.name_server()
    terminal = lab.terminal(["s1"], "Nowhere")
    wait_for("it asked", lambda: server.counters()["resolutions_unknown"] >= 1)
    element = lab.pool_element("pe1", "echo", ["s1"], "-poolhandle=Nowhere")
    wait_for("registered", lambda: element.id in server.table().get("Nowhere", {}))

    def served():
        terminal.process.stdin.write("hello\n")
        time.sleep(0.2)
        return "> hello" in terminal.said()

    wait_for("served when the pool is there", served)
    return f"{server.counters()['resolutions_unknown']} times unknown, then served"


def server_killed(lab):
    """Two servers of ours that do not know each other."""
    servers = {space: lab.name_server(space) for space in ("s1", "s2")}
    element = lab.pool_element("pe1", "echo", ["s1", "s2"], "-rereginterval=1000")
    wait_for("registered", lambda: any(element.id in server.table().get("EchoPool", {}) for server in servers.values()))
    home = next(space for space, server in servers.items() if "EchoPool" in server.table())
    other = "s2" if home == "s1" else "s1"
    servers[home].kill()
    begin = time.monotonic()
    wait_for("at the other", lambda: element.id in servers[other].table().get("EchoPool", {}), 40)
    return f"at the other server after {time.monotonic() - begin:.1f} s"


def mixed_pool(lab):
    """Ours and theirs in one pool, at each server."""
    lab.registrar()
    server = lab.name_server()
    for number, (at, space) in enumerate((("r1", "host"), ("s1", "user"))):
        known = f'servers = [{{ addresses = ["{address(at)}"] }}]'
        lab.daemon(space, "gwc-pe", f"[node]\npe_id = {0x7000 + number}\n[pool]\nlife_s = 300000\n[asap.hunt]\n{known}\n")
    theirs = [lab.pool_element(space, "echo", [at], "-poolhandle=GatewayPool") for space, at in (("pe1", "r1"), ("pe2", "s1"))]
    expected = [{0x7000, theirs[0].id}, {0x7001, theirs[1].id}]
    wait_for("all registered", lambda: [set(table.get("GatewayPool", {})) for table in (lab.dump("r1"), server.table())] == expected)
    got = [lab.resolve(at, "GatewayPool", items=3)["elements"] for at in ("r1", "s1")]
    need(got == [2, 2], f"{got} elements")
    return "one of each in a pool, and in the answers, of each server"


def control_channel(lab):
    """Data only beside data and control: refused at both (RFC 5352 section 3.1)."""
    lab.registrar()
    server = lab.name_server()
    population = [lab.population([at], pools=1, pes=1, space=space) for at, space in (("r1", "host"), ("s1", "user"))]
    wait_for("ours registered", lambda: all(p.registered() == 1 for p in population))
    theirs = [lab.pool_element(space, "echo", [at], "-poolhandle=pop-000") for space, at in (("pe1", "r1"), ("pe2", "s1"))]
    for element in theirs:
        wait_for("refused", lambda element=element: "egistration failed: wrong control channel handling" in element.said())
    need(server.counters()["refused_data_control"] > 0, f"{server.counters()}")
    need(len(lab.dump("r1")["pop-000"]) == len(server.table()["pop-000"]) == 1, "registered all the same")
    return "rspserver is told the same by both"


LINES = [
    ("our pool elements register at rspregistrar", register),
    ("our pool elements answer rspregistrar's keep-alives", keep_alive),
    ("our pool elements register again with other loads", register_again),
    ("our pool elements leave rspregistrar cleanly", leave),
    ("our pool elements killed", killed),
    ("our pool elements hang and come back", hang),
    ("rspregistrar killed, our pool elements go to another", registrar_killed),
    ("our pool user resolves a pool of rspserver's", resolve),
    ("our pool user asks rspregistrar for so many elements", items),
    ("our pool user asks rspregistrar for an unknown pool", unknown),
    ("our gateway and controllers with rspregistrar as name server", gateway),
    ("rspserver registers at our server, answers, leaves", their_registration),
    ("rspserver registers again at our server", their_registration_again),
    ("rspserver's policies at our server", policies),
    ("rspserver with another policy than its pool's", their_mismatch),
    ("rspterminal and rspserver through our server", terminal),
    ("rspterminal goes on with another element", terminal_failover),
    ("pingpong through our server, two of three elements killed", pingpong),
    ("rspserver hangs and comes back", their_hang),
    ("rspterminal asks our server for an unknown pool", their_unknown),
    ("our server killed, rspserver goes to another", server_killed),
    ("one pool of our and of rsplib's elements, at each server", mixed_pool),
    ("rspserver with control channel in a pool without", control_channel),
]
