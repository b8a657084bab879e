#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent in a VM without partitions: isolation of functions, their network, limits, logs, and every way a function can misbehave."""
import base64
import io
import re
import socket
import sys
import threading
import zipfile

from vm import MIB, Tap, Vm, missing

# One function for most tests: evaluates what it is told.
CODE = """
import os, sys, time, socket, errno, threading
def main(args):
    scope = dict(globals())
    exec(args["do"], scope)
    return scope["result"]
"""


class World:
    """The VM's agent, with shorthand for making and using containers."""

    def __init__(self, agent, tap):
        self.agent = agent
        self.tap = tap
        self.check = tap.check
        self.count = 0

    def request(self, name, **changes):
        body = {"id": name, "kind": "python:3", "memory_bytes": 128 * MIB, "tmpfs_bytes": 16 * MIB, "pids_max": 32, "claim": False,
                "timeout_ms": 120000}
        body.update(changes)
        return body

    def name(self):
        self.count += 1
        return "c%d" % self.count

    def make(self, code=CODE, **changes):
        """Makes a container and gives it code. Returns its path."""
        body = self.request(self.name(), **changes)
        status, answer = self.agent.call("POST", "/v1/containers", body)
        path = "/v1/containers/" + body["id"]
        if status != 201:
            self.check(False, "container %s is made" % body["id"], answer)
        elif code:
            status, answer = self.agent.call("POST", path + "/init", {"value": {"name": "f", "main": "main", "code": code}})
            if status != 200:
                self.check(False, "container %s takes its code" % body["id"], answer)
        return path

    def run(self, path, do, **more):
        return self.agent.call("POST", path + "/run", dict({"value": {"do": do}, "timeout_ms": 60000}, **more))

    def result(self, path, do, **more):
        """What a run returned, or the whole answer when it failed."""
        status, answer = self.run(path, do, **more)
        return answer["result"] if status == 200 else answer

    def delete(self, path):
        return self.agent.call("DELETE", path)

    def once(self, do, **more):
        """A run in a container of its own, which is deleted; returns (status, answer)."""
        path = self.make()
        answer = self.run(path, do, **more)
        status, end = self.delete(path)
        if status != 200:
            self.check(False, "the container can be deleted", end)
        return answer


def test_hello(vm, tap):
    first = vm.agent("--raw", "--protocol", "7")
    status, answer = first.call("GET", "/v1/memory")
    tap.check(status == 425, "a request before hello is answered 425", answer)
    status, answer = first.call("GET", "/v1/hello")
    tap.check(status == 505 and "1" in answer["error"], "another protocol version is answered 505 with the version spoken", answer)
    first.close()
    # A host that is back before the agent has seen it go is taken for the old one, out of its senses; so it must be ready to try again.
    for _ in range(5):
        agent = vm.agent()
        status, answer = agent.wait("hello")
        if status == 200:
            break
        agent.close()
    tap.check(status == 200 and answer["protocol"] == 1 and answer["squeezy"] is None, "hello on a second connection", answer)
    return agent


def test_bad_requests(world):
    agent, check = world.agent, world.check
    for body, reason, text in (
            ("not json", "bad-request", "a body that is not JSON"), ("[]", "bad-request", "a body that is no object"),
            (world.request("-x"), "bad-request", "an id that starts with -"), (world.request("a/../b"), "bad-request", "an id with a slash"),
            (world.request("x" * 33), "bad-request", "an id of 33 characters"),
            (world.request("x", kind="java:1"), "kind", "an unknown kind"), (world.request("x", memory_bytes=-1), "bad-request", "a negative size"),
            (world.request("x", pids_max="7"), "bad-request", "a number as a string")):
        status, answer = agent.call("POST", "/v1/containers", body)
        check(status == 400 and answer["reason"] == reason and answer["error"], "create with %s: 400" % text, status, answer)
    status, answer = agent.call("GET", "/v1/nothing")
    check(status == 404, "an unknown path: 404", answer)
    for method, path in (("POST", "/v1/containers/none/run"), ("POST", "/v1/containers/none/init"), ("DELETE", "/v1/containers/none")):
        status, answer = agent.call(method, path, "{}")
        check(status == 404 and answer["reason"] == "unknown", "%s %s: 404" % (method, path), answer)
    status, answer = agent.call("POST", "/v1/containers", world.request("x", claim=True))
    check(status == 500 and "squeezy" in answer["error"], "a claim without partitions fails with a sentence", answer)
    status, answer = agent.call("GET", "/v1/containers")
    check(answer == {"containers": []}, "no container is left of all that", answer)


STATUS = 'result = {l.split(":")[0]: l.split(":")[1].strip() for l in open("/proc/self/status")}'
NAMESPACES = 'result = {n: os.readlink("/proc/self/ns/" + n) for n in ("pid", "mnt", "ipc", "uts", "net", "cgroup")}'
TRY = """
def attempt(call):
    try:
        call()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def raw(*args):
    if libc.syscall(*args) < 0:
        raise OSError(ctypes.get_errno(), "syscall")
result = {
    "root": attempt(lambda: open("/file", "w")), "usr": attempt(lambda: open("/usr/file", "w")),
    "setuid": attempt(lambda: os.setuid(0)), "mknod": attempt(lambda: os.mknod("/tmp/node", 0o20600, os.makedev(1, 1))),
    "unshare": attempt(lambda: raw(272, 0x10000000)), "mount": attempt(lambda: raw(165, b"x", b"/tmp", b"tmpfs", 0, None)),
    "ptrace": attempt(lambda: raw(101, 0, 0, 0, 0)), "bpf": attempt(lambda: raw(321, 0, None, 0)),
    "userns": attempt(lambda: raw(56, 0x10000000 | 17, 0, 0, 0, 0)), "keyctl": attempt(lambda: raw(250, 0, 0)),
    "vsock": attempt(lambda: socket.socket(40, socket.SOCK_STREAM)), "packet": attempt(lambda: socket.socket(17, socket.SOCK_RAW)),
    "sysctl": attempt(lambda: open("/proc/sys/vm/drop_caches", "w")), "kcore": len(open("/proc/kcore", "rb").read(1)) if os.access("/proc/kcore", os.R_OK) else 0,
    "agent": os.stat("/usr/lib/squeezy/agent").st_size, "sys": os.listdir("/sys"), "run": os.listdir("/run"),
    "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
}
"""
FILL = """
def fill(path):
    try:
        with open(path, "wb") as file:
            while True:
                file.write(b"x" * 65536)
    except OSError as error:
        size = os.stat(path).st_size if os.path.exists(path) else 0
        if size:
            os.unlink(path)
        return [errno.errorcode[error.errno], size]
result = {"tmp": fill("/tmp/f"), "action": fill("/action/f"), "shm": fill("/dev/shm/f"), "dev": fill("/dev/f")}
"""
FORK = """
children = []
failure = None
while len(children) < 100:
    try:
        pid = os.fork()
    except OSError as error:
        failure = errno.errorcode[error.errno]
        break
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
result = {"forks": len(children), "failure": failure}
"""


def test_isolation(world):
    check = world.check
    one, two = world.make(), world.make()
    status = world.result(one, STATUS)
    check(status.get("Seccomp") == "2", "seccomp filter is on", status)
    score = world.result(one, 'result = {"score": int(open("/proc/self/oom_score_adj").read())}')
    check(score.get("score", -1) >= 0, "the kernel may kill it when memory is short", score)
    cpuset = world.result(one, 'result = {"path": open("/proc/self/cpuset").read().strip()}')
    check(cpuset.get("path") == "/../..", "its cpuset is the root's: the controller is off", cpuset)
    check(status.get("NoNewPrivs") == "1", "no new privileges", status)
    for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        check(int(status.get(name, "1"), 16) == 0, "%s is empty" % name, status)
    uids = [set(world.result(path, STATUS)["Uid"].split()) for path in (one, two)]
    check("0" not in uids[0] | uids[1] and not uids[0] & uids[1], "containers have user ids of their own, not 0", uids)
    spaces = [world.result(path, NAMESPACES) for path in (one, two)]
    for name, initial in (("pid", 4026531836), ("ipc", 4026531839), ("uts", 4026531838), ("cgroup", 4026531835), ("mnt", None), ("net", None)):
        check(spaces[0][name] != spaces[1][name] and str(initial) not in spaces[0][name], "%s namespace is its own" % name, spaces)
    tries = world.result(one, TRY)
    check(tries.get("root") == "EROFS" and tries.get("usr") == "EROFS", "the root file system is read-only", tries)
    for name in ("setuid", "mknod", "unshare", "mount", "ptrace", "bpf", "userns", "keyctl", "packet", "vsock"):
        check(tries.get(name) in ("EPERM", "EACCES"), "%s is refused" % name, tries)
    check(tries.get("sysctl") in ("EROFS", "EACCES"), "kernel settings cannot be written", tries)
    check(tries.get("kcore") == 0, "kernel memory cannot be read", tries)
    check(tries.get("agent") == 0 and tries.get("sys") == [] and tries.get("run") == [], "agent, /sys and /run cannot be seen", tries)
    check(len(tries.get("pids", range(9))) == 1, "no other process can be seen", tries)
    sizes = world.result(one, FILL)
    for name, limit in (("tmp", 8 * MIB), ("action", 6 * MIB), ("shm", 2 * MIB)):
        check(sizes[name][0] == "ENOSPC" and 0 < sizes[name][1] <= limit, "/%s is limited" % name, sizes)
    check(sizes["dev"] == ["EACCES", 0], "/dev cannot be written", sizes)
    forks = world.result(one, FORK)
    check(forks.get("failure") == "EAGAIN" and forks.get("forks", 99) < 32, "pids.max holds", forks)
    for path in (one, two):
        world.delete(path)


CONNECT = """
def reach(host, port):
    try:
        socket.create_connection((host, port), 3).close()
        return "reached"
    except OSError as error:
        return str(error)
result = {"%%s:%%d" %% target: reach(*target) for target in %r}
"""
LISTEN = """
listener = socket.socket()
listener.bind(("0.0.0.0", 5000))
listener.listen()
listener.settimeout(20)
address = open("/proc/net/fib_trie").read()
try:
    listener.accept()
    result = {"reached": True}
except OSError:
    result = {"reached": False}
"""


def listen(address):
    """A listener of the host that counts connections."""
    server = socket.socket()
    server.bind((address, 0))
    server.listen()

    def accept():
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return
            counts[server.getsockname()[1]] = counts.get(server.getsockname()[1], 0) + 1

    threading.Thread(target=accept, daemon=True).start()
    return server


counts = {}


def outer_address():
    """An address of this machine that is not its loopback; None if it has none."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    except OSError:
        address = None
    probe.close()
    return None if not address or address.startswith(("127.", "10.0.2.")) else address


def test_network(world):
    check = world.check
    one, two = world.make(), world.make()
    loopback = listen("127.0.0.1")
    port = loopback.getsockname()[1]
    own = world.result(one, 'import struct\nresult = [l.split()[1:3] for l in open("/proc/net/route").readlines()[1:]]')
    gateway = socket.inet_ntoa(bytes.fromhex([way[1] for way in own if way[0] == "00000000"][0])[::-1])
    other = world.result(two, 'result = [l.split()[1:3] for l in open("/proc/net/route").readlines()[1:]]')
    other_gateway = socket.inet_ntoa(bytes.fromhex([way[1] for way in other if way[0] == "00000000"][0])[::-1])
    other_address = other_gateway[:other_gateway.rindex(".") + 1] + str(int(other_gateway.split(".")[3]) + 1)
    waiting = world.agent.start("POST", two + "/run", {"value": {"do": LISTEN}, "timeout_ms": 60000})
    targets = [("10.0.2.2", port), ("10.0.2.15", 22), ("10.0.2.3", port), (gateway, 1024), (other_gateway, 1024), (other_address, 5000),
               ("127.0.0.1", port), ("0.0.0.0", port)]
    reached = world.result(one, CONNECT % (targets,))
    for target in targets:
        name = "%s:%d" % target
        check(reached.get(name, "reached") != "reached", "a function cannot reach %s" % name.replace(str(port), "PORT"), reached)
    check(counts.get(port, 0) == 0, "the host's loopback saw no connection", counts)
    status, answer = world.agent.wait(waiting)
    check(status == 200 and answer["result"] == {"reached": False}, "a listening function saw no connection", answer)
    address = outer_address()
    if address:
        outside = listen(address)
        name = outside.getsockname()
        reached = world.result(one, CONNECT % ([name],))
        check(reached.get("%s:%d" % name) == "reached", "a function reaches the outside (so the firewall made the difference)", reached)
        outside.close()
    else:
        world.tap.skip("a function reaches the outside", "this machine has no address but its loopback")
    loopback.close()
    for path in (one, two):
        world.delete(path)


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__dot__", "."), text)
    return base64.b64encode(buffer.getvalue()).decode()


def test_init(world):
    check = world.check
    for code, text in (("def main(:\n", "a syntax error"), ("x = 1\n", "no function main"), ("", "no code"), ("1/0\n", "an exception"),
                       ("import nothing_of_that_name\n", "a missing module")):
        path = world.make(code=None)
        status, answer = world.agent.call("POST", path + "/init", {"value": {"name": "f", "main": "main", "code": code}})
        check(status == 502 and answer["reason"] == "init-error" and answer["error"], "init with %s" % text, answer)
        check(code == "" or answer.get("logs"), "init with %s: details in the log" % text, answer)
        check(world.delete(path)[0] == 200, "init with %s: deleted" % text)
    path = world.make(code=None)
    package = zipped(__main____dot__py="from helper import answer\ndef main(args):\n    return answer(args)\n",
                     helper__dot__py="def answer(args):\n    return {'file': open('data.txt').read()}\n", data__dot__txt="content")
    status, answer = world.agent.call("POST", path + "/init", {"value": {"name": "f", "main": "main", "code": package, "binary": True}})
    check(status == 200, "init with a zip", answer)
    status, answer = world.agent.call("POST", path + "/run", {"value": {}, "timeout_ms": 30000})
    check(status == 200 and answer["result"] == {"file": "content"}, "a zip's modules and files are there", answer)
    world.delete(path)


def test_answers(world):
    check = world.check
    path = world.make()
    status, answer = world.run(path, 'print("out", "\\u00e4\\x00"); print("err", file=sys.stderr)\nresult = {"text": "\\u2603\\n\\"", "n": [1, 2.5, None]}',
                               activation_id="a1", namespace="guest", deadline="17")
    check(status == 200 and answer["result"] == {"text": "\u2603\n\"", "n": [1, 2.5, None]}, "a result comes back as it was", answer)
    lines = sorted((line["stream"], line["text"]) for line in answer["logs"])
    check(lines == [("stderr", "err"), ("stdout", "out \u00e4\ufffd")], "log lines with their stream, made valid", answer)
    seen = world.result(path, 'result = dict(os.environ)', activation_id="a1", namespace="guest", deadline="17")
    check(seen.get("__OW_ACTIVATION_ID") == "a1" and seen.get("__OW_NAMESPACE") == "guest" and seen.get("__OW_DEADLINE") == "17",
          "__OW_ variables", seen)
    seen = world.result(path, 'result = {"ratio": open("/proc/sys/vm/lowmem_reserve_ratio").read().split()}')
    check(set(seen.get("ratio", [])) == {"8"}, "normal memory keeps a reserve for page tables", seen)
    status, answer = world.run(path, 'raise ValueError("that went wrong")')
    check(status == 200 and answer["result"] == {"error": "that went wrong"}, "an exception is an error result", answer)
    check(any("Traceback" in line["text"] for line in answer["logs"]), "and its traceback is in the log", answer)
    check(world.result(path, "result = [1, 2]") == [1, 2], "a list is a result; the container lives on after an exception")
    check(world.result(path, 'print("XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"); print("x")\nresult = {}') == {}, "a sentinel in the log does no harm")
    status, answer = world.run(path, 'import subprocess\nresult = {"out": subprocess.run(["/bin/echo", "hi"], capture_output=True, text=True).stdout}')
    check(status == 200 and answer["result"] == {"out": "hi\n"}, "a function may start programs", answer)
    status, answer = world.run(path, "import numpy\nresult = {'sum': int(numpy.arange(1000).sum())}")
    check(status == 200 and answer["result"] == {"sum": 499500}, "numpy is there", answer)
    world.delete(path)


def test_bad_results(world):
    check = world.check
    sentence = "The action did not return a dictionary or array."
    for do, text in (("result = 5", "a number"), ("result = 'text'", "a string"), ("result = None", "nothing"), ("result = {'x': float('nan')}", "NaN"),
                     ("result = {'x': 2 ** 70}", "a number of 70 bits")):
        status, answer = world.once(do)
        check(status == 502 and answer["reason"] == "bad-result" and answer["error"] == sentence and "body" in answer, "result: %s" % text, answer)
    status, answer = world.once("result = {'x': 'y' * 3000000}", result_max_bytes=MIB)
    check(status == 502 and answer["reason"] == "result-too-large" and answer["size"] > 3000000, "a result over the limit", answer)
    status, answer = world.once("result = {'x': 'y' * 3000000}", result_max_bytes=4 * MIB)
    check(status == 200 and len(answer["result"]["x"]) == 3000000, "the same below the limit", str(answer)[:200])


def test_misbehaviour(world):
    check = world.check
    status, answer = world.once("os.write(3, b'garbage\\xff\\n' * 100)\nresult = {}")
    check(status == 502 and answer["reason"] == "bad-result" and answer["body"].startswith("garbage"), "garbage on descriptor 3", answer)
    status, answer = world.once("os.write(3, b'x' * 100000)\ntime.sleep(1000)", timeout_ms=2000)
    check(status == 502 and answer["reason"] == "timeout", "half a line on descriptor 3, then silence", str(answer)[:300])
    status, answer = world.once("print('before', flush=True)\nwhile True: pass", timeout_ms=2000)
    check(status == 502 and answer["reason"] == "timeout" and "2000" in answer["error"], "a function that never returns", answer)
    check(answer.get("logs", [{}])[0].get("text") == "before", "its log is there", answer)
    check(answer["logs"][-1]["text"] == "The action did not initialize or run as expected. Log data might be missing.", "and says that it is not whole",
          answer)
    status, answer = world.once("os._exit(7)")
    check(status == 502 and answer["reason"] == "exited" and "7" in answer["error"], "a function that exits", answer)
    status, answer = world.once("os.kill(os.getpid(), 9)\nos.abort()")
    check(status == 502 and answer["reason"] == "exited", "a function that kills itself", answer)
    status, answer = world.once("os.closerange(0, 100)\ntime.sleep(1000)")
    check(status == 502 and answer["reason"] == "exited", "a function that closes all descriptors", answer)
    status, answer = world.once("x = bytearray(400 << 20)\nresult = {}")
    check(status == 502 and answer["reason"] == "oom", "a function that needs too much memory", answer)
    status, answer = world.once("import signal\nfor i in range(1, 65):\n  try: signal.signal(i, signal.SIG_IGN)\n  except (OSError, ValueError): pass\n"
                                "time.sleep(1000)", timeout_ms=2000)
    check(status == 502 and answer["reason"] == "timeout", "a function that ignores all signals", answer)
    leave = ("for i in range(5):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n      while True: time.sleep(1000)\n    os._exit(0)\n"
             "result = {}")
    path = world.make()
    status, answer = world.run(path, leave)
    check(status == 200, "a function that leaves processes behind answers", answer)
    status, answer = world.agent.call("GET", "/v1/containers")
    check(answer["containers"][0]["pids"] >= 6, "they are there", answer)
    status, answer = world.delete(path)
    check(status == 200 and answer["kill_ns"] <= answer["empty_ns"] <= answer["removed_ns"], "DELETE ends them all", answer)
    status, answer = world.once("import threading\nthreading.Thread(target=lambda: [time.sleep(0.01) or os.fork() for _ in iter(int, 1)]).start()\n"
                                "time.sleep(0.5)\nresult = {}")
    check(status in (200, 502), "a function that forks without end is answered", answer)
    status, answer = world.once("result = {'alive': True}")
    check(status == 200 and answer["result"] == {"alive": True}, "and the next container runs", answer)


def test_logs(world):
    check = world.check
    path = world.make()
    big = 'line = "x" * 1023\nfor i in range(10240): print(line)\nresult = {"done": True}'
    status, answer = world.run(path, big, logs_max_bytes=MIB, timeout_ms=120000)
    texts = [line["text"] for line in answer.get("logs", [])]
    check(status == 200 and answer["result"] == {"done": True}, "a function that prints 10 MB gets its answer", str(answer)[:300])
    check(answer.get("logs_truncated") is True and sum(len(text) + 1 for text in texts[:-1]) == MIB, "its log is cut at the limit", len(texts))
    check(texts[-1] == "Logs were truncated because the total bytes size exceeds the limit of %d bytes." % MIB, "and says so", texts[-1:])
    status, answer = world.run(path, 'sys.stdout.write("y" * 10000000)\nresult = {}', logs_max_bytes=1000, timeout_ms=120000)
    check(status == 200 and answer["logs"][0]["text"] == "y" * 1000, "one line of 10 MB is cut, too", str(answer)[:300])
    status, answer = world.run(path, 'print("a")\nresult = {}', logs_max_bytes=0)
    check(status == 200 and answer["logs"] == [] and not answer["logs_truncated"], "no log is kept with limit 0", answer)
    status, answer = world.run(path, 'print("after")\nresult = {}')
    check([line["text"] for line in answer.get("logs", [])] == ["after"], "the next log holds only its own", answer)
    world.delete(path)


def test_many(world):
    check, agent = world.check, world.agent
    bodies = [world.request(world.name()) for _ in range(4)]
    tags = [agent.start("POST", "/v1/containers", body) for body in bodies]
    statuses = [agent.wait(tag)[0] for tag in tags]
    check(statuses == [201] * 4, "four containers are made at once", statuses)
    paths = ["/v1/containers/" + body["id"] for body in bodies]
    for path in paths:
        agent.call("POST", path + "/init", {"value": {"name": "f", "main": "main", "code": CODE}})
    status, answer = agent.call("POST", "/v1/containers", bodies[0])
    check(status == 409 and answer["reason"] == "exists", "an id that is taken: 409", answer)
    runs = [agent.start("POST", path + "/run", {"value": {"do": "time.sleep(3)\nresult = {'n': %d}" % n}}) for n, path in enumerate(paths)]
    status, answer = agent.call("POST", paths[0] + "/run", {"value": {"do": "result = {}"}})
    check(status == 409 and answer["reason"] == "busy", "a second run in the same container: 409", answer)
    looks = [agent.start("GET", "/v1/memory") for _ in range(100)]
    good = [agent.wait(tag)[0] for tag in looks]
    check(good == [200] * 100, "100 requests are answered meanwhile", good)
    answers = [agent.wait(tag) for tag in runs]
    check([a[1].get("result") for a in answers] == [{"n": n} for n in range(4)], "four runs at once each get their own answer", answers)
    run = agent.start("POST", paths[0] + "/run", {"value": {"do": "time.sleep(1000)"}})
    end = agent.start("DELETE", paths[0])
    status, answer = agent.wait(run)
    check(status == 502 and answer["reason"] == "exited", "DELETE ends a run that is under way", answer)
    check(agent.wait(end)[0] == 200, "and is answered")
    late = agent.start("POST", "/v1/containers", world.request("late"))
    status, answer = agent.call("DELETE", "/v1/containers/late")
    first = agent.wait(late)
    check(status == 200 and first[0] in (201, 500), "DELETE of a container that is being made", answer, first)
    for path in paths[1:]:
        world.delete(path)


def test_events(world):
    check, agent = world.check, world.agent
    status, answer = agent.call("GET", "/v1/events?after=0&wait_ms=0")
    check(status == 200 and answer["events"] == [], "no event so far", answer)
    path = world.make()
    poll = agent.start("GET", "/v1/events?after=0&wait_ms=30000")
    status, answer = world.run(path, "threading.Timer(0.3, lambda: os._exit(9)).start()\nresult = {}")
    check(status == 200, "a function that will exit later answers", answer)
    status, answer = agent.wait(poll)
    events = answer.get("events", [{}])
    check(status == 200 and events[0].get("type") == "container-exit" and events[0].get("reason") == "exited" and events[0].get("status") == 9,
          "its end is an event", answer)
    status, answer = agent.call("POST", path + "/run", {"value": {}})
    check(status == 502 and answer["reason"] == "exited", "a run in a dead container: 502", answer)
    world.delete(path)
    path = world.make()
    poll = agent.start("GET", "/v1/events?after=1&wait_ms=30000")
    world.run(path, "threading.Timer(0.3, lambda: os.write(3, b'{}\\n')).start()\nresult = {}")
    status, answer = agent.wait(poll)
    check(status == 200 and answer["events"][0]["type"] == "container-exit", "an answer nobody asked for ends the container", answer)
    world.delete(path)


def main():
    lack = missing()
    if lack:
        print("# " + lack)
        print("not ok 1 - what the test needs is built\n1..1")
        return 1
    tap = Tap()
    with Vm() as vm:
        agent = test_hello(vm, tap)
        world = World(agent, tap)
        wanted = sys.argv[1:]
        for test in (test_bad_requests, test_isolation, test_network, test_init, test_answers, test_bad_results, test_misbehaviour, test_logs, test_many,
                     test_events):
            if not wanted or test.__name__ in wanted:
                print("# " + test.__name__, flush=True)
                test(world)
        status, answer = agent.call("GET", "/v1/containers")
        tap.check(status == 200 and answer == {"containers": []}, "no container is left", answer)
        status, answer = agent.call("POST", "/v1/poweroff")
        tap.check(status == 202 and vm.ended(60), "the VM powers off", answer)
        bad = re.findall(r"^.*(?:BUG:|WARNING:|Oops|Kernel panic|Call Trace).*$", vm.log(), re.M)
        tap.check(not bad, "the kernel has nothing to complain about", *bad[:5], vm.log()[-1500:] if bad else "")
        agent.close()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
