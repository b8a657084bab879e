#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of /run/jobs.json, each in a fresh cgroup "box", and sends what came of it to the host, one JSON line a job.

With "claim" the box claims a partition, and after the job the partition must come back whole before the next one starts.
"""

import glob
import json
import os
import select
import shutil
import signal
import time

CGROUPS = "/sys/fs/cgroup"
BOX = CGROUPS + "/box"
PARTITIONS = "/sys/kernel/mm/squeezy/partition[0-9]*"
OUTPUT = "/run/output"
OUTPUT_LIMIT = 1 << 20
RETURN_SECONDS = 120
# A program that is killed leaves its settings behind, and khugepaged in a hurry spoils the next one.
SETTINGS = ("/sys/kernel/mm/transparent_hugepage/**", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/compact_unevictable_allowed")
CONTROLLERS = "+memory +pids +cpu +cpuset +hugetlb"


def read(path):
    with open(path) as f:
        return f.read().strip()


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def say(text):
    write("/dev/kmsg", f"<4>compat: {text}\n")


def until(fn, seconds):
    """Waits for a state that has no event to wait for. Returns whether it came."""
    deadline = time.monotonic() + seconds
    while not fn():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def claim():
    """As an agent does it: ask, and ask again when told that there may be one now."""
    fd = os.open(BOX + "/memory.squeezy", os.O_RDWR | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    try:
        while True:
            try:
                os.write(fd, b"auto")
                return
            except BlockingIOError:
                pass
            if not poll.poll(RETURN_SECONDS * 1000):
                raise TimeoutError("no partition can be claimed")
            os.pread(fd, 64, 0)
    finally:
        os.close(fd)


def make_box(setup):
    os.mkdir(BOX)
    write(BOX + "/memory.max", str(setup["limit"]))
    if setup["claim"]:
        claim()


def settings():
    """path -> value as it is written; of "always [madvise] never" that is the word in brackets."""
    found = {}
    for pattern in SETTINGS:
        for path in glob.glob(pattern, recursive=True):
            if os.path.isfile(path) and os.stat(path).st_mode & 0o200:
                text = read(path)
                found[path] = text[text.index("[") + 1:text.index("]")] if "[" in text else text
    return found


def restore(wanted):
    now = settings()
    for path, value in wanted.items():
        if now.get(path) != value:
            write(path, value)


def is_empty():
    reap()
    return "populated 0" in read(BOX + "/cgroup.events")


def remove_box():
    """Ends what the job has left behind. Returns what did not go."""
    write(BOX + "/cgroup.kill", "1")
    if not until(is_empty, RETURN_SECONDS):
        return "processes do not end: " + " ".join(read(f) for f in glob.glob(BOX + "/**/cgroup.procs", recursive=True))
    for folder, _, _ in os.walk(BOX, topdown=False):
        os.rmdir(folder)
    return ""


def partitions_whole():
    return all(read(p + "/state") == "populated" and read(p + "/free_bytes") == read(p + "/managed_bytes") for p in glob.glob(PARTITIONS))


def partition_faults():
    """Every page of every partition must be free again, in whichever mode."""
    if until(partitions_whole, RETURN_SECONDS):
        return ""
    return ", ".join(f"{os.path.basename(p)} is {read(p + '/state')} with {read(p + '/missing_bytes')} bytes missing" for p in glob.glob(PARTITIONS))


def reap():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended[pid] = status


ended = {}


def start(job):
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        out = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        env = {"PATH": "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "/opt/lib", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}
        os.execve("/run/enter", ["enter", job["folder"], job["command"]], env)
    finally:
        os._exit(127)


def wait(pid, seconds):
    """Returns the exit status, a negative signal number, or None when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        reap()
        if pid in ended:
            return os.waitstatus_to_exitcode(ended.pop(pid))
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        signal.sigtimedwait({signal.SIGCHLD}, min(left, 1))


def clean(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        elif name != "lost+found":
            os.unlink(path)


def output_text():
    with open(OUTPUT, "rb") as f:
        return f.read(OUTPUT_LIMIT).decode(errors="replace")


def run(job, setup):
    hugepages = "/proc/sys/vm/nr_hugepages"
    if os.path.exists(hugepages):
        write(hugepages, str(job.get("hugepages", 0)))
    make_box(setup)
    began = time.monotonic()
    status = wait(start(job), job["seconds"])
    took = time.monotonic() - began
    faults = [remove_box(), partition_faults()]
    for folder in ("/tmp", "/mnt", "/dev/shm"):
        clean(folder)
    return {"name": job["name"], "status": status, "seconds": round(took, 1), "output": output_text(),
            "faults": "; ".join(filter(None, faults))}


def send(port, data):
    while data:
        data = data[port.write(data):]


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    with open("/run/jobs.json") as f:
        setup = json.load(f)
    initial = settings()
    write(CGROUPS + "/cgroup.subtree_control", " ".join(c for c in CONTROLLERS.split() if c[1:] in read(CGROUPS + "/cgroup.controllers").split()))
    results = open(glob.glob("/dev/vport*p*")[0], "r+b", buffering=0)
    try:
        for job in setup["jobs"]:
            say(f"start {job['name']}")
            result = run(job, setup)
            restore(initial)
            say(f"end {job['name']}")
            send(results, json.dumps(result).encode() + b"\n")
            if result["faults"]:
                break
        say("all done")
    finally:
        write("/proc/sysrq-trigger", "b")


main()
