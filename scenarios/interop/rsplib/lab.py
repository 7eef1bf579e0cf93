"""The network and the programs of the rsplib list: a namespace for each program, on one bridge, 10.78.0.0/24, inside the guest.

rsplib's programs need the kernel's SCTP. Ours have it too (transport "kernel"), or bring their own over UDP (transport "udp", for
which the kernel of rsplib's namespaces is told to take UDP encapsulation).
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

WINDOW_S = 20
# Who may be where: the last number of the address.
THEIRS = {"r1": 1, "r2": 2, "pe1": 11, "pe2": 12, "pe3": 13, "pu": 21, "hs": 31}
OURS = {"s1": 5, "s2": 6, "host": 15, "user": 25, "gateway": 35}
# Spaces by their server identifiers.
SERVER_IDS = {"r1": 0x101, "r2": 0x202, "s1": 0x5005, "s2": 0x6006}


class Failed(Exception):
    pass


def address(space):
    return f"10.78.0.{(THEIRS | OURS)[space]}"


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def wait_for(what, condition, seconds=WINDOW_S):
    """What `condition` returns when that is something; it is asked until then."""
    begin, last = time.monotonic(), None
    while (asked := time.monotonic()) - begin < seconds:
        try:
            if last := condition():
                return last
        except (OSError, ValueError, Failed) as error:
            last = error
        # Half of the time at most: the guests of the list share this machine.
        time.sleep(max(0.05, time.monotonic() - asked))
    raise Failed(f"not in {seconds} s: {what} ({last})" if last else f"not in {seconds} s: {what}")


class Program:
    """A process in a namespace, with what it says in a file."""

    def __init__(self, lab, space, name, command, stdin=None):
        lab.space(space)
        self.space, self.name = space, name
        self.log = os.path.join(lab.folder, f"{len(lab.programs):02}-{space}-{name}.log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(["ip", "netns", "exec", space, *command], stdin=stdin or subprocess.DEVNULL,
                                            stdout=out, stderr=out, cwd=lab.folder, text=True, bufsize=1)
        lab.programs.append(self)

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def listens(self, *ports):
        """Waits until its namespace's kernel SCTP has these ports."""

        def there():
            with open(f"/proc/{self.process.pid}/net/sctp/eps", encoding="utf8") as endpoints:
                return set(ports) <= set(endpoints.read().split())

        wait_for(f"{self.name} listens", there)

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9: the kernel's SCTP says ABORT for it; our own over UDP says nothing."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Its exit status."""
        self.send(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} in {self.space} did not end in {seconds} s") from None

    def alive(self):
        return self.process.poll() is None


class Daemon(Program):
    """One of sigpool's daemons, with its admin socket."""

    def __init__(self, lab, space, role, config):
        # The socket lies in the guest's memory: the folder is this machine's.
        self.socket = f"/run/{space}-{role}.sock"
        file = os.path.join(lab.folder, f"{space}-{role}.toml")
        with open(file, "w", encoding="utf8") as out:
            out.write(f'transport = "{lab.transport}"\n[daemon]\nadmin = "unix:{self.socket}"\n'
                      f'[udp]\naddresses = ["{address(space)}"]\n{config}')
        super().__init__(lab, space, role, [lab.sigpool, role, "--config", file])
        wait_for(f"{role} answers: {self.said()[-300:]}", lambda: self.ask("GET", "/state"), 10)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("admin", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        try:
            connection.sock.connect(self.socket)
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()

    def state(self):
        return json.loads(self.ask("GET", "/state"))


class NameServer(Daemon):
    """`sigpool enrp`."""

    def server(self):
        """Of its only scope."""
        state = self.state()
        return state["scopes"][0]["server"] if "scopes" in state else state["server"]

    def table(self):
        """As `Lab.dump` has it."""
        return {pool["handle"]: {int(pe["id"], 16): {"home": int(pe["home"], 16), "user": pe["user_transport"].split()[-1],
                                                      "policy": pe["policy"], "state": pe["state"]}
                                 for pe in pool["elements"]}
                for pool in self.server()["pools"]}

    def counters(self):
        return self.server()["counters"]

    def peers_counters(self):
        state = self.state()
        return (state["scopes"][0] if "scopes" in state else state)["peers_counters"]

    def peers(self):
        """Other servers, by identifier."""
        state = self.state()
        return {int(peer["id"], 16): peer for peer in (state["scopes"][0] if "scopes" in state else state)["peers"]}

    def audits(self):
        """Downloads of tables so far: ours and those by peers."""
        counters = self.peers_counters()
        return counters["downloads"] + counters["tables_served"] + counters["tables_refused"]


class Population(Daemon):
    """`sigpool population`: pool elements of ours."""

    def registered(self):
        return self.state()["registered"]

    def counters(self):
        return self.state()["counters"]


class Lab:
    def __init__(self, sigpool, transport, folder):
        self.sigpool, self.transport, self.root = sigpool, transport, folder
        self.folder, self.programs, self.spaces, self.lines = folder, [], [], 0
        run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        run("ip", "link", "set", "br0", "up")

    def space(self, space):
        """Makes it, new in each line: the kernel's SCTP goes on for a while after a line, and has the ports."""
        if space in self.spaces:
            return
        self.spaces.append(space)
        run("ip", "netns", "add", space)
        run("ip", "link", "add", f"v-{space}", "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", f"v-{space}", "master", "br0", "up")
        # Without limits the kernel's SCTP leaves its packets joined on a veth, which a UDP socket cannot take apart.
        run("ip", "-n", space, "-batch", "-", text=True, input=f"""\
link set lo up
address add {address(space)}/24 dev eth0
link set eth0 gso_max_size 1500 gso_max_segs 1 up
route add 224.0.0.0/4 dev eth0
""")
        if self.transport == "udp" and space in THEIRS:
            run("ip", "netns", "exec", space, "sysctl", "-qw", "net.sctp.udp_port=9899", "net.sctp.encap_port=9899")

    def begin(self, name):
        """A line begins: no programs, a folder for what they say."""
        self.lines += 1
        self.folder = os.path.join(self.root, f"{self.lines:02}-{re.sub('[^a-z0-9]+', '-', name.lower())[:60]}")
        os.makedirs(self.folder, exist_ok=True)

    def end(self):
        for program in self.programs:
            program.kill()
        for space in self.spaces:
            run("ip", "link", "delete", f"v-{space}")
            run("ip", "netns", "delete", space)
        self.programs, self.spaces = [], []

    def cut(self, space, cut=True):
        """Takes a space off the bridge, in silence; or puts it back."""
        run("ip", "link", "set", f"v-{space}", *(["nomaster"] if cut else ["master", "br0"]))

    # Ours.

    def name_server(self, space="s1", server="", more=""):
        return NameServer(self, space, "enrp", f"[node]\nserver_id = {SERVER_IDS[space]}\n[server]\n{server}\n{more}")

    def daemon(self, space, role, config):
        return Daemon(self, space, role, config)

    def population(self, servers, pools=2, pes=3, space="host", more="", asap="", prefix="pop-", life_s=300_000):
        """`life_s`: rsplib takes the number for milliseconds."""
        known = ", ".join(f'{{ addresses = ["{address(server)}"] }}' for server in servers)
        return Population(self, space, "population", f'[population]\nprefix = "{prefix}"\npools = {pools}\n'
                          f"pes_per_pool = {pes}\nlife_s = {life_s}\n{more}\n[asap]\n{asap}\n[asap.hunt]\nservers = [{known}]\n")

    def resolve(self, server, handle, count=20, items=None):
        """What `sigpool resolve-bench` reports. It fails at answers that refuse, which is no failure here."""
        self.space("user")
        command = ["ip", "netns", "exec", "user", self.sigpool, "resolve-bench", "--transport", self.transport, "--server",
                   address(server), "--handle", handle, "--count", str(count), "--warm-up", "0", "--json"]
        command += ["--items", str(items)] if items is not None else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if not done.stdout.startswith("{"):
            raise Failed(f"resolve-bench said: {done.stderr.strip()[-300:]}")
        return json.loads(done.stdout)

    # rsplib's.

    def registrar(self, space="r1", *more):
        """It serves at once, but takes 5 s to believe that it is alone, and announces itself only then."""
        own, ident = address(space), SERVER_IDS[space]
        registrar = Program(self, space, "rspregistrar", [
            "rspregistrar", f"-identifier={ident:#x}", f"-asap={own}:3863", f"-enrp={own}:9901", "-mentordiscoverytimeout=500",
            "-endpointkeepalivetransmissioninterval=500", "-endpointkeepalivetimeoutinterval=1000", "-logcolor=off", "-loglevel=4",
            *more])
        registrar.listens("3863", "9901")
        return registrar

    def pool_element(self, space, service, servers, *more):
        """rspserver, with the number of its space as identifier."""
        known = [f"-registrar={address(server)}:3863" for server in servers]
        ident = THEIRS[space] * 0x11111111 & 0xffffffff
        element = Program(self, space, "rspserver", [
            "rspserver", f"-{service}", f"-identifier={ident:#x}", *known, *([] if not known else ["-asapannounce=off"]),
            f"-local={address(space)}:0", "-logcolor=off", "-loglevel=4", *more])
        element.id = ident
        return element

    def terminal(self, servers, handle="EchoPool", program="rspterminal", *more):
        known = [f"-registrar={address(server)}:3863" for server in servers]
        return Program(self, "pu", program, [program, f"-poolhandle={handle}", *known,
                                             *([] if not known else ["-asapannounce=off"]), "-logcolor=off", *more],
                       stdin=subprocess.PIPE)

    def dump(self, server):
        """The server's table as rsplib's hsdump reads it over ENRP: pools by handle, elements by identifier."""
        self.space("hs")
        try:
            done = subprocess.run(["ip", "netns", "exec", "hs", "hsdump", f"{address(server)}:9901"], capture_output=True, text=True,
                                  errors="replace", timeout=10, check=False)
        except subprocess.TimeoutExpired:
            raise Failed("hsdump got no answer in 10 s") from None
        text = done.stdout
        if "*-- Index:" not in text:
            raise Failed(f"hsdump said: {(text + done.stderr).strip()[-300:]}")
        return parse_dump(text)


def parse_dump(text):
    table, element = {}, None
    for line in text.split("*-- Index:")[1].split("*-- Selection:")[0].splitlines():
        if found := re.search(r'Pool "(.*)", Policy "(.*)", Protocol', line):
            elements = table[found[1]] = {}
            policy = found[2]
        elif found := re.search(r"idx:#\d+: \$([0-9a-f]+)", line):
            element = elements[int(found[1], 16)] = {"policy": policy}
        elif found := re.search(r"home=\$([0-9a-f]+) life=(\d+)ms", line):
            element |= {"home": int(found[1], 16), "life": int(found[2])}
        elif found := re.search(r"t=\$[0-9a-f]+ \[w=(\d+) l=.*?\(\$([0-9a-f]+)\)", line):
            element |= {"weight": int(found[1]), "load": int(found[2], 16)}
        elif found := re.search(r"userT: \{(.*)\} (\d+)/", line):
            element["user"] = f"{found[1]}:{found[2]}"
    return table


def elements(table):
    return {ident: element for pool in table.values() for ident, element in pool.items()}


def shape(table):
    """What must be the same on both sides: who is in which pool, whose it is and where users reach it."""
    return {handle: {ident: (element["home"], element["user"]) for ident, element in pool.items()} for handle, pool in table.items()}


def need(holds, what):
    if not holds:
        raise Failed(what)


def capture_begin(folder):
    file = os.path.join(folder, "capture.pcap")
    capture = subprocess.Popen(["tcpdump", "-i", "br0", "-U", "-s", "0", "-w", file, "sctp or udp port 9899 or udp port 3863 or udp port 9901"],
                               stderr=subprocess.DEVNULL)
    return file, capture


def run_lines(lab, title, lines):
    """One line "ok: ..." or "FAILED: ..." for each of (name, function of the lab). Status 1 when one failed."""
    status = 0
    for name, line in lines:
        lab.begin(name)
        begin = time.monotonic()
        try:
            text = line(lab)
            print(f"ok: {title}: {name}: {text} [{time.monotonic() - begin:.1f} s]", flush=True)
        except (Failed, subprocess.CalledProcessError, OSError, KeyError, ValueError) as error:
            status = 1
            print(f"FAILED: {title}: {name}: {type(error).__name__ if not isinstance(error, Failed) else ''}{error}", flush=True)
            for program in lab.programs:
                said = program.said().strip().splitlines()
                print(f"    {program.name} in {program.space} ({'runs' if program.alive() else program.process.poll()}): "
                      + " | ".join(said[-4:])[-600:], flush=True)
        finally:
            lab.end()
    return status
