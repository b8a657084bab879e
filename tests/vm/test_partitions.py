#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent in a VM with partitions: claims, who waits for whom, where memory comes from, and that an ended container gives its partition back."""
import json
import os
import re
import socket
import sys
import time

from vm import MIB, Tap, Vm, missing

SIZE = 256 * MIB
COUNT = 4
PLUGGED = 2 * SIZE


def request(name, **changes):
    body = {"id": name, "kind": "bench", "memory_bytes": SIZE, "tmpfs_bytes": 16 * MIB, "pids_max": 32, "claim": True, "timeout_ms": 120000}
    body.update(changes)
    return body


def partitions(agent):
    return agent.call("GET", "/v1/memory")[1]["squeezy"]["partitions"]


def run(agent, name, value, **more):
    return agent.call("POST", "/v1/containers/%s/run" % name, dict({"value": value, "timeout_ms": 120000}, **more))


def settled(agent, number, state):
    """Waits until a partition is in a state (events say when to look); returns its last facts."""
    for _ in range(60):
        facts = partitions(agent)[number]
        if facts["state"] == state:
            return facts
        time.sleep(0.5)
    return facts


def make(agent, check, name, code="def main(args): return {}", **changes):
    status, answer = agent.call("POST", "/v1/containers", request(name, **changes))
    check(status == 201, "container %s is made" % name, answer)
    if status == 201:
        status, init = agent.call("POST", "/v1/containers/%s/init" % name, {"value": {"code": code}})
        check(status == 200, "container %s takes its code" % name, init)
    return answer


def test_claims(agent, check):
    made = [make(agent, check, name) for name in ("a", "b")]
    held = [answer.get("partition") for answer in made]
    check(sorted(held) == [0, 1], "each has a partition of its own, lowest first", held)
    check([facts["state"] for facts in partitions(agent)[:2]] == ["claimed"] * 2, "the kernel says claimed")
    status, answer = agent.call("POST", "/v1/containers", request("c", timeout_ms=3000))
    check(status == 503 and answer["reason"] == "no-partition", "without a free partition: 503 when the time is over", answer)
    names = sorted(entry["id"] for entry in agent.call("GET", "/v1/containers")[1]["containers"])
    check(names == ["a", "b"], "nothing is left of it", names)
    status, answer = agent.call("POST", "/v1/containers", request("c", memory_bytes=SIZE + 1))
    check(status == 400, "more memory than a partition has: 400", answer)
    waiting = agent.start("POST", "/v1/containers", request("c"))
    status, answer = agent.call("DELETE", "/v1/containers/b")
    check(status == 200 and answer["partition"] == held[1], "b ends", answer)
    status, answer = agent.wait(waiting)
    check(status == 201 and answer["partition"] == held[1], "c, which waited, gets the partition of b", answer)
    agent.call("DELETE", "/v1/containers/c")
    return held[0]


def test_memory(agent, check, number):
    before = partitions(agent)[number]["free_bytes"]
    status, answer = run(agent, "a", {"op": "fill", "bytes": 100 * MIB})
    check(status == 200 and answer["result"]["touched_bytes"] == 100 * MIB, "a writes 100 MiB", answer)
    status, answer = run(agent, "a", {"op": "fill", "bytes": 100 * MIB, "thp": True})
    check(status == 200 and answer["result"]["touched_bytes"] == 200 * MIB, "and 100 MiB of huge pages", answer)
    after = partitions(agent)[number]["free_bytes"]
    check(before - after >= 200 * MIB, "all of it came from its partition", before, after)
    status, answer = run(agent, "a", {"op": "write", "ms": 300})
    check(status == 200 and answer["result"]["writes"] > 0, "a goes on writing", answer)
    status, answer = run(agent, "a", {"op": "check"})
    check(status == 200 and answer["result"]["bad_bytes"] == 0, "and reads back what it wrote", answer)
    status, answer = agent.call("DELETE", "/v1/containers/a")
    check(status == 200 and answer["memory_peak_bytes"] >= 200 * MIB, "a ends", answer)
    facts = settled(agent, number, "populated")
    check(facts["free_bytes"] == facts["managed_bytes"] == SIZE, "its partition is whole again", facts)
    check(facts["released_ns"] >= answer["empty_ns"], "and was given back after the last process was gone", facts, answer)


def test_out_of_memory(agent, check):
    make(agent, check, "other")
    make(agent, check, "greedy", memory_bytes=SIZE)
    run(agent, "other", {"op": "fill", "bytes": 50 * MIB})
    status, answer = run(agent, "greedy", {"op": "fill", "bytes": 2 * SIZE})
    check(status == 502 and answer["reason"] == "oom", "a container over its limit is killed", answer)
    status, answer = run(agent, "other", {"op": "check"})
    check(status == 200 and answer["result"] == {"touched_bytes": 50 * MIB, "bad_bytes": 0}, "another one is unharmed", answer)
    for name in ("greedy", "other"):
        status, answer = agent.call("DELETE", "/v1/containers/" + name)
        check(status == 200, "%s ends" % name, answer)
    for number in (0, 1):
        facts = settled(agent, number, "populated")
        check(facts["free_bytes"] == SIZE, "partition %d is whole again" % number, facts)


def test_events(agent, check):
    seq = agent.call("GET", "/v1/events?after=0")[1]["seq"]
    poll = agent.start("GET", "/v1/events?after=%d&wait_ms=30000" % seq)
    made = make(agent, check, "last", kind="python:3")
    status, answer = agent.wait(poll)
    check(status == 200 and answer["events"][0]["type"] == "partition" and answer["events"][0]["partition"] == made.get("partition"),
          "a partition's change is an event", answer)
    status, answer = run(agent, "last", {})
    check(status == 200 and answer["result"] == {}, "a Python function runs in a partition", answer)
    agent.call("DELETE", "/v1/containers/last")


# What the VM starts instead of the agent: becomes the agent, and leaves a process behind that does for the test what no container can.
STRANGER = r"""# SPDX-License-Identifier: Apache-2.0
import ctypes, json, mmap, os, signal, time, traceback

PAGES, FLAGS = 4, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
PORTS, CGROUPS = "/sys/class/virtio-ports", "/sys/fs/cgroup/containers"
libc = ctypes.CDLL(None, use_errno=True)
pipe = ()

def read(path):
    with open(path) as file:
        return file.read().strip()

def rename(name):
    libc.prctl(15, name, 0, 0, 0)

def members(container):
    pids = read("%s/%s/cgroup.procs" % (CGROUPS, container)).split()
    return [[int(pid), read("/proc/%s/comm" % pid), container] for pid in pids]

def splice(container, said):
    # A member of the container: what it touches from here on is the partition's.
    with open("%s/%s/cgroup.procs" % (CGROUPS, container), "w") as file:
        file.write("0")
    rename(b"splicer")
    memory = mmap.mmap(-1, PAGES * mmap.PAGESIZE, FLAGS)
    memory.write(b"x" * len(memory))
    part = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.c_char.from_buffer(memory)), len(memory))
    count = libc.vmsplice(pipe[1], part, ctypes.c_size_t(1), 0)
    os.write(said, json.dumps([count, ctypes.get_errno()]).encode())
    while True:
        signal.pause()

def hold(container):
    # Returns what vmsplice() said in the member, and its process id. Its pages are then in a pipe whose only reader is outside.
    global pipe
    pipe = os.pipe()
    hear, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            splice(container, said)
        except BaseException:
            os.write(said, json.dumps(traceback.format_exc()).encode())
        os._exit(1)
    os.close(said)
    os.close(pipe[1])
    answer = os.read(hear, 65536)
    os.close(hear)
    return {"spliced": json.loads(answer or "null"), "pid": child, "bytes": PAGES * mmap.PAGESIZE, "reader": [os.getpid(), pipe[0]]}

def ended_by(pid):
    return os.WTERMSIG(os.waitpid(pid, 0)[1])

def let_go():
    # What is in the pipe, by byte, and nothing holds it afterwards.
    text = b""
    while piece := os.read(pipe[0], 65536):
        text += piece
    os.close(pipe[0])
    return {chr(byte): text.count(byte) for byte in set(text)}

def open_port():
    while True:
        for entry in os.listdir(PORTS) if os.path.isdir(PORTS) else ():
            if read("%s/%s/name" % (PORTS, entry)) == "test.stranger":
                return open("/dev/" + entry, "r+b", buffering=0)
        time.sleep(0.1)

def serve():
    rename(b"stranger")
    port, line = open_port(), b""
    while True:
        piece = port.read(4096)
        if not piece:
            time.sleep(0.1)  # nobody is there yet
        line += piece or b""
        if not line.endswith(b"\n"):
            continue
        name, args = json.loads(line)
        try:
            answer = globals()[name](*args)
        except Exception:
            answer = traceback.format_exc()
        port.write(json.dumps(answer).encode() + b"\n")
        line = b""

if os.fork() == 0:
    serve()
os.execv("/usr/lib/squeezy/agent", ["agent"])
"""


class WatchedVm(Vm):
    """A VM with a process of root's outside of all containers, which does what do() tells it (STRANGER)."""

    def __init__(self, squeezy):
        self.stranger = None
        super().__init__(squeezy)

    def _command(self, squeezy):
        script, path = os.path.join(self.folder, "stranger"), os.path.join(self.folder, "stranger.sock")
        with open(script, "w", encoding="ascii") as file:
            file.write(STRANGER + "\n" * (-len(STRANGER) % 512))
        command = super()._command(squeezy)
        at = command.index("-append") + 1
        command[at] = command[at].replace("init=/usr/lib/squeezy/agent", "init=/usr/bin/python3") + " -- /dev/vdb"
        return command + ["-drive", "if=none,id=stranger,file=%s,format=raw,readonly=on" % script,
                          "-device", "virtio-blk-pci,drive=stranger", "-chardev", "socket,id=stranger,path=%s,server=on,wait=off" % path,
                          "-device", "virtserialport,chardev=stranger,name=test.stranger"]

    def do(self, name, *args):
        """Calls a function of STRANGER; what it returns, or a text when it broke."""
        if not self.stranger:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(120)
            connection.connect(os.path.join(self.folder, "stranger.sock"))
            self.stranger = connection.makefile("rwb")
        self.stranger.write(json.dumps([name, args]).encode() + b"\n")
        self.stranger.flush()
        return json.loads(self.stranger.readline() or "null")

    def __exit__(self, *what):
        if self.stranger:
            self.stranger.close()
        super().__exit__(*what)


HOLD = """
import ctypes, mmap, os, socket
kept = os.pipe()
def option(level, name):
    # 64 bits, of which the kernel looks at 32
    with socket.socket() as s:
        value = ctypes.byref(ctypes.c_int(1))
        done = libc.syscall(54, ctypes.c_long(s.fileno()), ctypes.c_long(level), ctypes.c_long(name), value, ctypes.c_long(4))
        return os.strerror(ctypes.get_errno()) if done else "done"
libc = ctypes.CDLL(None, use_errno=True)
def main(args):
    memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"x" * len(memory))
    part = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.c_char.from_buffer(memory)), len(memory))
    spliced = libc.vmsplice(kept[1], part, ctypes.c_size_t(1), 0)
    error = ctypes.get_errno()
    os.write(kept[1], b"x" * args["bytes"])
    zerocopy = [option(level, name) for level in (1, 1 + (1 << 32)) for name in (60, 60 + (1 << 32))]
    return {"spliced": spliced, "error": os.strerror(error), "zerocopy": zerocopy, "reuse": option(socket.SOL_SOCKET, socket.SO_REUSEADDR)}
"""


def inspected(agent, number, reason):
    """Waits until a partition has a reason; returns what holds it, from a search that was not cut short (the agent gives it 250 ms)."""
    for _ in range(60):
        answer = agent.call("GET", "/v1/partitions/%d" % number)[1]
        if answer["busy_reason"] == reason and not answer["truncated"]:
            return answer
        time.sleep(0.5)
    return answer


def tasks_of(answer):
    return sorted([task["pid"], task["command"], task["container"]] for task in answer["tasks"])


def check_free(vm, agent, check, number):
    """After its holder is gone: the partition is given back by itself, and is whole when the host returns it."""
    facts = settled(agent, number, "parked")
    answer = inspected(agent, number, "none")
    check(facts["state"] == "parked" and not any(answer["holders"].values()), "afterwards nothing holds it", facts, answer)
    check(answer["tasks"] == answer["descriptors"] == [], "and nobody is suspected", answer)
    vm.resize(PLUGGED)
    for each in (0, 1):
        facts = settled(agent, each, "populated")
        check(facts["state"] == "populated" and facts["free_bytes"] == SIZE, "partition %d comes back whole" % each, facts)


def test_inspect(vm, agent, check):
    """What `squeezy inspect` shows of an instance that lives, from the agent that looks for it.

    Its pipe is a candidate, no more: it holds copies, because vmsplice() is none of the system calls that a function may make.
    """
    number = make(agent, check, "held", kind="python:3", code=HOLD)["partition"]
    status, answer = run(agent, "held", {"bytes": 5000})
    check(status == 200, "a function keeps bytes in a pipe", answer)
    result = answer.get("result", {})
    check([result.get("spliced"), result.get("error")] == [-1, os.strerror(1)], "and may not put pages of its own there", answer)
    check(result.get("zerocopy") == [os.strerror(1)] * 4, "nor into a socket whose peer may never read", answer)
    check(result.get("reuse") == "done", "any other option of a socket is its own to set", answer)
    members = vm.do("members", "held")
    process = members[0] if members else []
    status, answer = agent.call("GET", "/v1/partitions/%d" % number)
    check(len(members) == 1 and process[1:] == ["python3", "held"], "the container has one process", members)
    check(status == 200 and tasks_of(answer) == members, "it maps its pages, and is named with pid, command and container", answer, members)
    check((answer["state"], answer["busy_reason"], answer["descriptors"]) == ("claimed", "none", []), "nothing is in the way yet", answer)
    vm.resize(0)
    answer = inspected(agent, number, "claimed")
    pipes = [[entry[key] for key in ("pid", "command", "container", "bytes")] for entry in answer["descriptors"] if entry["kind"] == "pipe"]
    check(answer["busy_reason"] == "claimed", "the host wants memory that is claimed: it is told so", answer)
    check(process + [5000] in pipes, "the pipe is named, with its owner and what is in it", answer)
    agent.call("DELETE", "/v1/containers/held")
    check_free(vm, agent, check, number)
    check(agent.call("GET", "/v1/partitions/%d" % COUNT)[0] == 404, "a partition that is none: 404")


def test_inspect_dead(vm, agent, check):
    """What `squeezy inspect` shows when an instance is dead and somebody else still holds pages of it.

    A function has no way to bring that about with a pipe: it may not call vmsplice() (test_inspect), the agent closes its ends of the
    container's pipes when that ends, and two containers share no files, processes or sockets through which a descriptor could be handed
    over. So a process of root's, which no filter binds, joins the container's cgroup and puts its pages into the pipe; the reader is
    another one outside.
    """
    number = make(agent, check, "dead", kind="python:3")["partition"]
    held = vm.do("hold", "dead")
    spliced = isinstance(held, dict) and held["spliced"] == [held["bytes"], 0]
    if not check(spliced, "a member of the container puts its pages into a pipe", held):
        return
    members = vm.do("members", "dead")
    answer = agent.call("GET", "/v1/partitions/%d" % number)[1]
    check([held["pid"], "splicer", "dead"] in members and len(members) == 2, "it is one of two processes there", members)
    check(tasks_of(answer) == sorted(members), "both are named with pid, command and container, and not the reader", answer, members)
    status, answer = agent.call("DELETE", "/v1/containers/dead")
    check(status == 200 and answer["partition"] == number, "the container ends", answer)
    signal = vm.do("ended_by", held["pid"])
    check(signal == 9, "and its member was killed with it", signal)
    vm.resize(0)
    answer = inspected(agent, number, "references")
    check((answer["state"], answer["busy_reason"]) == ("released", "references"), "the partition is released, but in use", answer)
    check(answer["holders"]["references"] == answer["missing_bytes"] == held["bytes"], "by as much as is in the pipe", answer)
    check(sum(answer["holders"].values()) == held["bytes"] and answer["tasks"] == [], "and by nothing else: nobody maps its pages", answer)
    pid, number_of_fd = held["reader"]
    wanted = {"pid": pid, "command": "stranger", "container": None, "fd": number_of_fd, "kind": "pipe", "bytes": held["bytes"]}
    check(wanted in answer["descriptors"], "the pipe is named, with its reader", answer, wanted)
    check(not any(entry["container"] for entry in answer["descriptors"]), "and nothing of a container", answer)
    time.sleep(2)
    facts = partitions(agent)[number]
    check(facts["state"] == "released", "it stays so while nobody reads", facts)
    letters = vm.do("let_go")
    check(letters == {"x": held["bytes"]}, "the reader finds what the member wrote", letters)
    check_free(vm, agent, check, number)


def main():
    lack = missing()
    if lack:
        print("# " + lack)
        print("not ok 1 - what the test needs is built\n1..1")
        return 1
    tap = Tap()
    with WatchedVm((COUNT, SIZE, PLUGGED)) as vm:
        agent = vm.agent()
        status, answer = agent.wait("hello")
        tap.check(status == 200 and answer["squeezy"] == {"partitions": COUNT, "partition_bytes": SIZE}, "hello tells the layout", answer)
        for number in (0, 1):
            settled(agent, number, "populated")
        number = test_claims(agent, tap.check)
        test_memory(agent, tap.check, number)
        test_out_of_memory(agent, tap.check)
        test_events(agent, tap.check)
        test_inspect(vm, agent, tap.check)
        test_inspect_dead(vm, agent, tap.check)
        status, answer = agent.call("GET", "/v1/memory")
        tap.check(answer["vmstat"]["pgmigrate_success"] == 0, "no page was migrated in all that", answer["vmstat"])
        bad = re.findall(r"^.*(?:BUG:|WARNING:|Oops|Kernel panic|Call Trace).*$", vm.log(), re.M)
        tap.check(not bad, "the kernel has nothing to complain about", vm.log()[-3000:] if bad else "")
        agent.close()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
