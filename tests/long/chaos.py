#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A minute of everything at once against squeezyd on the stand-in: calls of every outcome, evictions, changed actions, clients that hang up,
VMs killed at random. Every call must be answered or recorded, and nothing may be left at the end. The seed is printed."""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "api"))
from harness import Daemon, equal, main, until  # noqa: E402

SECONDS = float(os.environ.get("SQUEEZY_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("SQUEEZY_SEED", "1"))
CODES = ["echo", "error", "scalar", "array", "sleep 5", "sleep 60", "exited", "oom", "timeout", "large", "bad-result", "garbage", "leave",
         "init-error", "init-oom", "log", "die"]
SIZES = [128, 300, 512]


class Worker(threading.Thread):
    def __init__(self, daemon, seed, end):
        super().__init__()
        self.daemon_ = daemon
        self.random = random.Random(seed)
        self.end = end
        self.statuses = {}
        self.why = None

    def step(self):
        dice = self.random.random()
        name = "f%d" % self.random.randrange(6)
        if dice < 0.05:
            self.daemon_.action(name, self.random.choice(CODES), memory=self.random.choice(SIZES), timeout=2000)
            return
        if dice < 0.08:
            self.daemon_.request("POST", "/squeezy/v1/evict", {"idle": True})
            return
        if dice < 0.10:
            self.daemon_.request("GET", "/squeezy/v1/status")
            return
        if dice < 0.13:
            try:
                self.daemon_.invoke(name, {}, "blocking=true", timeout=0.01)
            except OSError:
                pass
            return
        status = self.daemon_.invoke(name, {"n": 1}, "blocking=true" if dice < 0.9 else "", timeout=60).status
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def run(self):
        try:
            while time.monotonic() < self.end:
                self.step()
        except Exception as why:  # told by the main thread
            self.why = why


def kill_someone(daemon, dice):
    children = daemon.children()
    if children and dice.random() < 0.5:
        os.kill(dice.choice(children), signal.SIGKILL)


def everything_at_once():
    print("# seed %d" % SEED)
    dice = random.Random(SEED)
    with Daemon("--keep-alive", "0.2", "--sample-ms", "25", "--budget", "4200M") as daemon:
        for number in range(6):
            daemon.action("f%d" % number, CODES[number], memory=SIZES[number % 3], timeout=2000)
        end = time.monotonic() + SECONDS
        workers = [Worker(daemon, SEED * 100 + number, end) for number in range(12)]
        for worker in workers:
            worker.start()
        while time.monotonic() < end:
            time.sleep(0.3)
            kill_someone(daemon, dice)
        for worker in workers:
            worker.join()
            if worker.why:
                raise worker.why
        statuses = set().union(*(worker.statuses for worker in workers))
        equal(statuses <= {200, 202, 500, 502}, True, statuses)
        print("# answers: %d" % sum(sum(worker.statuses.values()) for worker in workers))
        until(lambda: daemon.status()["calls"]["in_flight"] == 0)
        until(lambda: not daemon.instances())
        until(lambda: all(vm["plugged_bytes"] == 0 for vm in daemon.status()["vms"]))
        daemon.action("f0", "echo")
        equal(daemon.invoke("f0", {"a": 1}, "blocking=true&result=true").json, {"a": 1})


if __name__ == "__main__":
    sys.exit(main([everything_at_once]))
