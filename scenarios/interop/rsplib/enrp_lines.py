"""The ENRP lines: our server and rspregistrar as peers of each other. Each takes the lab and says what to add to the line."""
import signal
import time

from lab import SERVER_IDS, Failed, address, elements, need, shape, wait_for

# As fast as ours by default, for the takeovers; rsplib's own are 2,444, 5,000, 5,000 and 5,000 ms.
QUICK = ("-peerheartbeatcycle=500", "-peermaxtimelastheard=1500", "-peermaxtimenoresponse=1000", "-takeoverexpiryinterval=2000")

# With hundreds of elements, each with an association of its own, it is too slow for a keep-alive each 500 ms.
CALM = ("-endpointkeepalivetransmissioninterval=60000", "-endpointkeepalivetimeoutinterval=60000")

# Ours in a guest that stands still for some hundreds of milliseconds now and then; by default it is twice to four times as fast.
TIMES = "peer_heartbeat_cycle_ms = 200\nmax_time_last_heard_ms = 1_000\nmax_time_no_response_ms = 500"


def ours(lab, *peers, space="s1", more=""):
    """Our server, told of these peers."""
    servers = ", ".join(f'{{ addresses = ["{address(peer)}"] }}' for peer in peers)
    return lab.name_server(space, more=f"[peers]\nservers = [{servers}]\n{TIMES}\n{more}")


def theirs(lab, space="r1", *more, peers=()):
    """rspregistrar, told of these peers; it finds its own kind by multicast."""
    return lab.registrar(space, *[f"-peer={address(peer)}:9901" for peer in peers], *more)


def equal(lab, server, count, seconds=20, registrar="r1"):
    """Both have so many elements, and the same ones."""

    def same():
        table, own = lab.dump(registrar), server.table()
        if shape(table) == shape(own) and len(elements(table)) == count:
            return True
        differ = [ident for ident, element in elements(own).items() if elements(table).get(ident, {}).get("home") != element["home"]]
        raise Failed(f"it has {len(elements(table))}, ours {len(elements(own))}, {len(differ)} of ours are not, or another's, there")

    wait_for(f"{count} elements in equal tables", same, seconds)


def homes(table):
    return sorted({element["home"] for element in elements(table).values()})


# Tables and updates.


def our_download(lab):
    """Ours starts later, and loads rspregistrar's table."""
    theirs(lab, "r1", *CALM)
    population = lab.population(["r1"], pools=10, pes=20)
    element = lab.pool_element("pe1", "echo", ["r1"])
    wait_for("all registered", lambda: population.registered() == 200 and "EchoPool" in lab.dump("r1"))
    server = ours(lab, "r1")
    begin = time.monotonic()
    wait_for("201 elements", lambda: server.server()["pes_total"] == 201)
    took = time.monotonic() - begin
    equal(lab, server, 201)
    got = server.table()["EchoPool"][element.id]
    need(got["home"] == SERVER_IDS["r1"], f"{got}")
    return f"201 elements after {took:.2f} s, equal"


def their_download(lab):
    """rspregistrar starts later, and loads our table."""
    server = ours(lab, "r1")
    population = lab.population(["s1"], pools=10, pes=20)
    element = lab.pool_element("pe1", "echo", ["s1"])
    wait_for("all registered", lambda: population.registered() == 200 and "EchoPool" in server.table())
    theirs(lab, peers=["s1"])
    begin = time.monotonic()
    wait_for("201 elements", lambda: len(elements(lab.dump("r1"))) == 201)
    took = time.monotonic() - begin
    equal(lab, server, 201)
    got = lab.dump("r1")["EchoPool"][element.id]
    need(got["home"] == SERVER_IDS["s1"], f"{got}")
    return f"201 elements after {took:.1f} s, equal"


def hsdump(lab):
    server = ours(lab)
    population = lab.population(["s1"], pools=10, pes=20)
    wait_for("all registered", lambda: population.registered() == 200)
    table = lab.dump("s1")
    need(shape(table) == shape(server.table()) and len(elements(table)) == 200, "hsdump and /state say different things")
    time.sleep(1)
    need(population.registered() == 200 and server.server()["pes_total"] == 200, f"after hsdump's end: {server.server()['pes_total']}")
    return "200 elements in 10 pools, as /state has them; its sudden end does no harm"


def pair(lab, *more, tell_theirs=True):
    """Both, empty, and peers."""
    registrar = theirs(lab, "r1", *more, peers=["s1"] if tell_theirs else [])
    server = ours(lab, "r1")
    wait_for("ours has recognised rspregistrar", lambda: server.peers().get(SERVER_IDS["r1"], {}).get("kind") == "rsplib")
    return registrar, server


def our_updates(lab):
    _, server = pair(lab)
    population = lab.population(["s1"], pools=3, pes=5)
    equal(lab, server, 15)
    population.stop()
    equal(lab, server, 0)
    element = lab.pool_element("pe1", "echo", ["s1"])
    equal(lab, server, 1)
    element.kill()
    equal(lab, server, 0)
    return "15 come and go, one comes and is killed: rspregistrar has the same each time"


def their_updates(lab):
    _, server = pair(lab)
    population = lab.population(["r1"], pools=3, pes=5)
    equal(lab, server, 15)
    population.stop()
    equal(lab, server, 0)
    element = lab.pool_element("pe1", "echo", ["r1"])
    equal(lab, server, 1)
    element.kill()
    equal(lab, server, 0)
    return "15 come and go, one comes and is killed: ours has the same each time"


def our_answers(lab):
    """What ours learned is resolved like its own, and the other way round."""
    _, server = pair(lab)
    lab.population(["r1"], pools=1, pes=2, prefix="theirs-", space="host")
    lab.population(["s1"], pools=1, pes=2, prefix="ours-", space="gateway")
    equal(lab, server, 4)
    got = [lab.resolve(at, handle)["elements"] for at in ("s1", "r1") for handle in ("theirs-000", "ours-000")]
    need(got == [2, 2, 2, 2], f"{got} elements")
    return "elements of both, at both"


def loads(lab):
    """Re-registrations with other policy values come over as updates."""
    _, server = pair(lab)
    population = lab.population(["s1"], pools=1, pes=4, more='policy = "least-used"\nre_registrations_per_s = 20')
    wait_for("60 granted", lambda: population.counters()["registrations_granted"] >= 60)

    def loads():
        return {ident: element["load"] for ident, element in elements(lab.dump("r1")).items()}

    before = wait_for("4 in its table", lambda: loads() if len(loads()) == 4 else None)
    wait_for("other loads", lambda: loads() != before)
    equal(lab, server, 4)
    return "they change in rspregistrar's table"


def mixed_elements(lab):
    """Elements of all policies, rspserver's and ours, with home here and there."""
    _, server = pair(lab)
    for space, at, policy in (("pe1", "r1", "WeightedRoundRobin:7"), ("pe2", "s1", "LeastUsedDegradation:0.25"), ("pe3", "r1", "Priority:3")):
        lab.pool_element(space, "echo", [at], f"-policy={policy}", f"-poolhandle={policy}")
    equal(lab, server, 3)
    at_theirs = {handle: next(iter(pool.values()))["policy"] for handle, pool in lab.dump("r1").items()}
    need(at_theirs == {"WeightedRoundRobin:7": "WeightedRoundRobin", "LeastUsedDegradation:0.25": "LeastUsedDegradation",
                       "Priority:3": "Priority"}, f"{at_theirs}")
    at_ours = {handle: next(iter(pool.values()))["policy"] for handle, pool in server.table().items()}
    need(at_ours == {"WeightedRoundRobin:7": "weighted round robin, weight 7", "Priority:3": "priority 3",
                     "LeastUsedDegradation:0.25": "least used with degradation, load 0.0 %, degradation 25.0 %"}, f"{at_ours}")
    return "three policies with their values, both ways"


def audit(lab):
    """Checksums agree: nobody asks for a table again."""
    _, server = pair(lab, *QUICK)
    lab.population(["r1"], pools=5, pes=10, prefix="theirs-", space="host")
    lab.population(["s1"], pools=5, pes=10, prefix="ours-", space="gateway")
    equal(lab, server, 100)
    # hsdump's asking is over.
    before = server.audits()
    time.sleep(6)
    need(server.audits() == before, f"{server.audits() - before} tables asked for in 6 s")
    need(server.peers()[SERVER_IDS["r1"]]["agrees"], f"{server.peers()}")
    need(len(elements(server.table())) == 100, "ours lost some")
    return "with 50 elements each, 6 s without a table request, about 12 of its PRESENCEs and 60 of ours"


def long_handles(lab):
    """33 bytes of a handle end rspregistrar. Ours must not send them to it; strict peers get them."""
    registrar, server = pair(lab)
    lab.population(["s1"], pools=1, pes=2, prefix="a-handle-of-more-than-32-bytes-for-sure-", space="host")
    lab.population(["s1"], pools=1, pes=2, prefix="short-", space="gateway")
    wait_for("four at ours", lambda: len(elements(server.table())) == 4)
    wait_for("the short ones there", lambda: len(elements(lab.dump("r1"))) == 2)
    before = server.audits()
    time.sleep(4)
    need(server.audits() == before, f"{server.audits() - before} tables asked for in 4 s")
    need(registrar.alive(), "rspregistrar ended")
    return "rspregistrar lives, has the others, and asks for no table in 4 s"


def overload_of_the_start(lab):
    """A table of several messages both ways, at the start and later."""
    theirs(lab, "r1", "-maxelementsperhtrequest=32", *CALM, peers=["s1"])
    population = lab.population(["r1"], pools=20, pes=15, prefix="theirs-", space="host")
    wait_for("all registered", lambda: population.registered() == 300, 60)
    server = ours(lab, "r1")
    begin = time.monotonic()
    wait_for("300 elements", lambda: server.server()["pes_total"] == 300, 30)
    took = time.monotonic() - begin
    more = lab.population(["s1"], pools=20, pes=15, prefix="ours-", space="gateway")
    wait_for("all registered", lambda: more.registered() == 300, 60)
    # /state has not so many; the checksums say whether they are the same.
    wait_for("600 in both", lambda: len(elements(lab.dump("r1"))) == server.server()["pes_total"] == 600)
    wait_for("equal checksums", lambda: server.peers()[SERVER_IDS["r1"]]["agrees"])
    before = server.audits()
    time.sleep(3)
    need(server.audits() == before, f"{server.audits() - before} tables asked for in 3 s")
    return f"300 elements in parts of 32 after {took:.2f} s; 300 updates back"


# Takeovers.


def registrar_dies(lab, how):
    registrar, server = pair(lab, *QUICK)
    element = lab.pool_element("pe1", "echo", ["r1"])
    # Without our server: who moves, moves because he is taken over.
    population = lab.population(["r1"], pools=2, pes=3)
    equal(lab, server, 7)
    begin = time.monotonic()
    how(registrar)
    wait_for("all are ours", lambda: homes(server.table()) == [SERVER_IDS["s1"]] and len(elements(server.table())) == 7, 30)
    took = time.monotonic() - begin
    # They know it: they answer ours.
    before = server.counters()["keep_alive_acks"]
    wait_for("they answer ours", lambda: server.counters()["keep_alive_acks"] >= before + 14)
    need(len(elements(server.table())) == 7, f"{server.table()}")
    element.stop(signal.SIGINT)
    wait_for("rspserver left ours", lambda: "EchoPool" not in server.table())
    need(population.registered() == 6, f"{population.state()}")
    return f"7 elements are ours after {took:.1f} s, and answer; rspserver deregisters at ours"


def registrar_killed(lab):
    return registrar_dies(lab, lambda registrar: registrar.kill())


def registrar_cut(lab):
    return registrar_dies(lab, lambda registrar: lab.cut("r1"))


def ours_dies(lab, how):
    """rspregistrar takes nobody over without a third server's acknowledgement, nor from its own kind: elements come by themselves."""
    _, server = pair(lab, *QUICK)
    element = lab.pool_element("pe1", "echo", ["s1", "r1"])
    population = lab.population(["s1", "r1"], pools=2, pes=3)
    wait_for("all registered", lambda: population.registered() == 6)
    equal(lab, server, 7)
    begin = time.monotonic()
    how(server)
    wait_for("all are rspregistrar's", lambda: homes(lab.dump("r1")) == [SERVER_IDS["r1"]] and len(elements(lab.dump("r1"))) == 7, 60)
    took = time.monotonic() - begin
    wait_for("they know it", lambda: population.registered() == 6)
    time.sleep(4)
    need(len(elements(lab.dump("r1"))) == 7 and element.alive(), f"{len(elements(lab.dump('r1')))} of 7 stayed")
    return f"7 elements are rspregistrar's after {took:.1f} s, and stay"


def ours_killed(lab):
    return ours_dies(lab, lambda server: server.kill())


def ours_cut(lab):
    return ours_dies(lab, lambda server: lab.cut("s1"))


def three(lab, victim):
    """Two of rsplib's and ours; one of them dies: arbitration between ours and one of rsplib's."""
    registrars = {space: theirs(lab, space, *QUICK, peers=["s1"]) for space in ("r1", "r2")}
    server = ours(lab, "r1", "r2")
    wait_for("ours knows both", lambda: {SERVER_IDS["r1"], SERVER_IDS["r2"]} <= set(server.peers()))
    element = lab.pool_element("pe1", "echo", [victim])
    population = lab.population([victim], pools=1, pes=3)
    wait_for("4 at all", lambda: len(elements(server.table())) == len(elements(lab.dump("r1"))) == len(elements(lab.dump("r2"))) == 4)
    left = [space for space in ("r1", "r2", "s1") if space != victim]
    if victim == "s1":
        # rspregistrar takes hsdump for a server, and waits for its acknowledgement too: it must have forgotten it, and not meet it again
        # before it took over.
        time.sleep(4)
    begin = time.monotonic()
    (registrars | {"s1": server})[victim].kill()
    if victim == "s1":
        wait_for("a takeover", lambda: any("Sending TakeoverServer" in registrars[space].said() for space in left), 30)

    def tables():
        return [server.table() if space == "s1" else lab.dump(space) for space in left]

    def one_owner():
        first, second = tables()
        return len(elements(first)) == 4 and shape(first) == shape(second) and len(homes(first)) == 1 and homes(first)[0] in [
            SERVER_IDS[space] for space in left]

    wait_for("one owner, the same at both", one_owner, 40)
    took = time.monotonic() - begin
    owner = next(space for space in left if [SERVER_IDS[space]] == homes(tables()[0]))
    time.sleep(3)
    need(one_owner(), f"{[shape(table) for table in tables()]}")
    need(element.alive() and population.registered() == 3, f"{population.state()}")
    return f"{owner} has all 4 after {took:.1f} s, at both"


def three_theirs_dies(lab):
    return three(lab, "r2")


def three_ours_dies(lab):
    return three(lab, "s1")


def back_again(lab):
    """rspregistrar is cut off and comes back: one owner each, tables equal."""
    registrar, server = pair(lab, *QUICK)
    element = lab.pool_element("pe1", "echo", ["r1"])
    lab.population(["s1"], pools=1, pes=3)
    equal(lab, server, 4)
    lab.cut("r1")
    wait_for("rspserver is ours", lambda: server.table()["EchoPool"][element.id]["home"] == SERVER_IDS["s1"], 30)
    time.sleep(6)
    lab.cut("r1", False)
    equal(lab, server, 4, 60)
    need(registrar.alive(), "rspregistrar ended")
    return f"4 elements, equal; {len(homes(server.table()))} owners"


def restart(lab):
    """rspregistrar restarts with its identifier, empty."""
    registrar, server = pair(lab, *QUICK)
    lab.population(["s1"], pools=1, pes=3)
    equal(lab, server, 3)
    registrar.kill()
    theirs(lab, "r1", *QUICK, peers=["s1"])
    equal(lab, server, 3, 40)
    lab.population(["r1"], pools=1, pes=2, prefix="new-", space="gateway")
    equal(lab, server, 5)
    return "loads our table again, and updates go both ways"


def rsplibs_times(lab):
    """With rsplib's own times, and ours much faster: nobody takes the other for dead."""
    _, server = pair(lab)
    lab.population(["r1"], pools=1, pes=3, prefix="theirs-", space="host")
    lab.population(["s1"], pools=1, pes=3, prefix="ours-", space="gateway")
    equal(lab, server, 6)
    time.sleep(12)
    equal(lab, server, 6)
    need(homes(server.table()) == sorted([SERVER_IDS["r1"], SERVER_IDS["s1"]]), f"homes {homes(server.table())}")
    return "12 s, everybody keeps his own"


LINES = [
    ("our server loads rspregistrar's table", our_download),
    ("rspregistrar loads our table", their_download),
    ("hsdump reads our table", hsdump),
    ("our updates reach rspregistrar", our_updates),
    ("rspregistrar's updates reach ours", their_updates),
    ("both resolve what the other has", our_answers),
    ("policies and values between servers, both ways", mixed_elements),
    ("changed loads reach rspregistrar", loads),
    ("audit agrees", audit),
    ("handles that rspregistrar does not survive", long_handles),
    ("tables of several messages", overload_of_the_start),
    ("each with its own times", rsplibs_times),
    ("rspregistrar killed, ours takes over", registrar_killed),
    ("rspregistrar cut off, ours takes over", registrar_cut),
    ("ours killed, its elements go to rspregistrar", ours_killed),
    ("ours cut off, its elements go to rspregistrar", ours_cut),
    ("three servers, one of rsplib's killed, taken over", three_theirs_dies),
    ("three servers, ours killed, rspregistrar takes over", three_ours_dies),
    ("rspregistrar cut off, taken over, and back", back_again),
    ("rspregistrar restarts", restart),
]
