#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged survives: the daemon is killed (SIGKILL) at random points under load, and a torn write is left behind it.

ROUNDS and SEED come from the environment; the seed is printed. A PUT or DELETE that was answered with 200 is there after the crash; so is
every activation whose call was answered before the last such PUT began.
"""
import os
import random
import signal
import sys
import tempfile
import threading
import time

from harness import Daemon, contains, equal, main, until

NS = "/api/v1/namespaces/_"
ROUNDS = int(os.environ.get("ROUNDS", "30"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
WRITERS = 3


class Ledger:
    """What was acknowledged. One lock: an entry is whole or not there."""

    def __init__(self):
        self.lock = threading.Lock()
        self.actions = {}	# name -> version that is there, None: deleted; what is under way is missing
        self.called, self.durable = [], set()

    def before_put(self, name):
        with self.lock:
            self.actions.pop(name, None)
            return list(self.called)

    def after_put(self, name, version, calls):
        with self.lock:
            self.actions[name] = version
            self.durable.update(calls)


def write(daemon, ledger, which, random_source, stop):
    """Puts, deletes and calls until the daemon is gone."""
    while not stop.is_set():
        name = "w%d_%d" % (which, random_source.randrange(4))
        try:
            step = random_source.random()
            if step < 0.5:
                calls = ledger.before_put(name)
                answer = daemon.request("PUT", NS + "/actions/%s?overwrite=true" % name, {"exec": {"kind": "python:3", "code": "echo " * random_source.randrange(2000)}})
                if answer.status == 200:
                    ledger.after_put(name, answer.json["version"], calls)
            elif step < 0.6:
                ledger.before_put(name)
                answer = daemon.request("DELETE", NS + "/actions/" + name)
                if answer.status in (200, 404):
                    ledger.after_put(name, None, [])
            else:
                answer = daemon.invoke("echo", {"x": 1})
                if answer.status == 200:
                    with ledger.lock:
                        ledger.called.append(answer.json["activationId"])
        except (OSError, ValueError, AttributeError):
            return
        except Exception as error:  # http.client's: the connection broke
            if type(error).__module__ != "http.client":
                raise
            return


def tear(state, random_source):
    """Leaves at the end of the log what a write that was cut short would."""
    path = os.path.join(state, "squeezy.db-wal")
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        whole = file.read()
    torn = whole[-random_source.randrange(1, 4096):] if len(whole) > 8192 else b""
    with open(path, "ab") as file:
        file.write(torn + bytes(random_source.randrange(256) for _ in range(random_source.randrange(200))))


def check(daemon, ledger):
    for name, version in ledger.actions.items():
        answer = daemon.request("GET", NS + "/actions/%s?code=false" % name)
        if version is None:
            equal(answer.status, 404, name)
        else:
            equal((answer.status, answer.json.get("version")), (200, version), name)
    for identity in ledger.durable:
        equal(daemon.request("GET", NS + "/activations/" + identity).status, 200, identity)


def crash(state, random_source, ledger):
    daemon = Daemon(state=state)
    stop = threading.Event()
    check(daemon, ledger)
    ledger.called.clear()
    daemon.action("echo", "echo")
    writers = [threading.Thread(target=write, args=(daemon, ledger, i, random.Random(random_source.random()), stop)) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(random_source.random() * 0.25)
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait()
    stop.set()
    for writer in writers:
        writer.join(60)
    tear(state, random_source)


def acknowledged_writes_survive():
    random_source = random.Random(SEED)
    print("# seed %d, %d rounds" % (SEED, ROUNDS), flush=True)
    state = tempfile.mkdtemp(prefix="squeezy-api-")
    ledger = Ledger()
    for _ in range(ROUNDS):
        crash(state, random_source, ledger)
    with Daemon(state=state) as daemon:
        check(daemon, ledger)
    print("# %d names and %d activations were looked for at the end" % (len(ledger.actions), len(ledger.durable)), flush=True)
    equal(len(ledger.actions) > 0 and (ROUNDS < 10 or len(ledger.durable) > 0), True, "nothing was acknowledged: the test shows nothing")


def damaged_files_are_refused():
    state = tempfile.mkdtemp(prefix="squeezy-api-")
    with Daemon(state=state) as daemon:
        for i in range(20):
            daemon.action("f%d" % i, "echo " * 1000)
    path = os.path.join(state, "squeezy.db")
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        for place in range(4096, size, 4096):
            file.seek(place)
            file.write(os.urandom(2048))
    daemon = Daemon(state=state, wait=False)
    equal(daemon.process.wait(60), 1)
    contains(daemon.log(), "is damaged")
    contains(daemon.log(), "--restore")


def backups_come_back():
    state, copy = tempfile.mkdtemp(prefix="squeezy-api-"), os.path.join(tempfile.mkdtemp(prefix="squeezy-api-"), "copy.db")
    with Daemon(state=state) as daemon:
        daemon.action("f", "echo")
        key = daemon.request("POST", "/squeezy/v1/keys", {"namespace": "shop"}).json["key"]
        identity = daemon.invoke("f", {"x": 1}).json["activationId"]
        contains(daemon.cli("backup", copy), copy)
        equal(daemon.request("POST", "/squeezy/v1/backup", {"file": copy}).status, 409)
        equal(daemon.request("POST", "/squeezy/v1/backup", {"file": "relative"}).status, 400)
        daemon.request("DELETE", NS + "/actions/f")
    for bad in ("/nonexistent", "/etc/passwd"):
        refused = Daemon("--restore", bad, state=state, wait=False)
        equal(refused.process.wait(60), 1)
        contains(refused.log(), bad if bad == "/nonexistent" else "damaged, or the file is none")
    restored = Daemon("--restore", copy, state=state, wait=False)
    equal(restored.process.wait(60), 0, restored.log())
    with Daemon(state=state) as daemon:
        equal(daemon.request("GET", NS + "/actions/f").status, 200)
        equal(daemon.request("GET", NS + "/activations/" + identity).json["response"]["result"], {"x": 1})
        equal(daemon.request("GET", "/api/v1/namespaces", auth=key).json, ["shop"])
        held = Daemon("--restore", copy, state=state, wait=False)
        equal(held.process.wait(60), 1)
        contains(held.log(), "another squeezyd")


def old_records_go():
    with Daemon("--keep-records", "5") as daemon:
        daemon.action("f", "echo")
        identities = [daemon.invoke("f", {}).json["activationId"] for _ in range(12)]
        until(lambda: daemon.request("GET", NS + "/activations?count=true").json["activations"] <= 5)
        equal(daemon.request("GET", NS + "/activations/" + identities[-1]).status, 200)
        equal(daemon.request("GET", NS + "/activations/" + identities[0]).status, 404)
    with Daemon("--keep-size", "1M") as daemon:
        daemon.action("f", "echo")
        for _ in range(4):
            daemon.invoke("f", {"pad": "x" * 600000})
        until(lambda: daemon.request("GET", NS + "/activations?count=true").json["activations"] < 4)
        equal(daemon.request("GET", NS + "/actions/f").status, 200)


if __name__ == "__main__":
    sys.exit(main([acknowledged_writes_survive, damaged_files_are_refused, backups_come_back, old_records_go]))
