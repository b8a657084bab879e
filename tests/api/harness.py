# SPDX-License-Identifier: Apache-2.0
"""Starts squeezyd on the stand-in VM (tests/tools/fake.h), talks to it, prints TAP. Standard library only."""
import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SQUEEZY_BUILD", os.path.join(ROOT, "build", "meson"))
SQUEEZYD = os.path.join(BUILD, "src", "daemon", "squeezyd")
SQUEEZY = os.path.join(BUILD, "src", "cli", "squeezy")
FAKE = os.path.join(BUILD, "tests", "tools", "fake-qemu")
DEADLINE = 20.0


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None


class Daemon:
    """squeezyd with a state directory of its own. A context manager: it is stopped, and must leave no process behind."""

    def __init__(self, *options, state=None, fake="", wait=True):
        self.own_state = state is None
        self.state = state or tempfile.mkdtemp(prefix="squeezy-api-")
        self.log_path = os.path.join(self.state, "test.log")
        product = os.path.join(self.state, "product")
        with open(product, "w", encoding="ascii") as file:
            file.write("kernel and image of the stand-in\n")
        os.chmod(product, 0o644)
        command = [SQUEEZYD, "--state", self.state, "--listen", "127.0.0.1:0", "--kernel", product, "--image", product, "--qemu", FAKE,
                   "--partitions", "4", "--boot-timeout", "5"]
        if fake:
            command += ["--append", "fake=" + fake]
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command + list(options), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.port = None
        if wait:
            self.await_start()

    def await_start(self):
        match = until(lambda: re.search(r"listening on http://127.0.0.1:(\d+)", self.log()) or self.process.poll() is not None)
        if match is True:
            raise AssertionError("squeezyd ended: " + self.log())
        self.port = int(match.group(1))
        with open(os.path.join(self.state, "api.key"), encoding="ascii") as file:
            self.key = file.read().strip()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def request(self, method, path, body=None, auth=True, headers=None, raw=None, timeout=DEADLINE):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        send = dict(headers or {})
        if auth:
            send["Authorization"] = "Basic " + base64.b64encode((self.key if auth is True else auth).encode()).decode()
        data = raw
        if body is not None:
            data = json.dumps(body)
        if data is not None:
            send.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, send)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def action(self, name, code, kind="python:3", **limits):
        answer = self.request("PUT", "/api/v1/namespaces/_/actions/%s?overwrite=true" % name,
                              {"exec": {"kind": kind, "code": code}, "limits": limits})
        equal(answer.status, 200, answer.body)
        return answer.json

    def invoke(self, name, body=None, query="blocking=true", **more):
        return self.request("POST", "/api/v1/namespaces/_/actions/%s?%s" % (name, query), {} if body is None else body, **more)

    def activation(self, identity):
        """The record, once it is there."""
        path = "/api/v1/namespaces/_/activations/" + identity
        return until(lambda: (lambda a: a.json if a.status == 200 else None)(self.request("GET", path)))

    def status(self):
        return self.request("GET", "/squeezy/v1/status").json

    def instances(self):
        return [i for vm in self.status()["vms"] for i in vm["instances"]]

    def reclaims(self, count):
        """The reclaim records, once there are that many."""
        return until(lambda: (lambda r: r if len(r) >= count else None)(self.request("GET", "/squeezy/v1/reclaims").json))

    def children(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid), encoding="ascii") as file:
            return [int(word) for word in file.read().split()]

    def cli(self, *words):
        """What `squeezy` prints, talking to this daemon."""
        command = [SQUEEZY, *words, "--url", f"http://127.0.0.1:{self.port}", "--state", self.state]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE).stdout

    def stop(self, sig=signal.SIGTERM):
        """The exit status; every QEMU must be gone with it."""
        children = self.children() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait(timeout=DEADLINE)
        until(lambda: not any(is_running(pid) for pid in children))
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            status = self.stop()
            if kind is None:
                equal(status, 0, self.log())
                if "Sanitizer" in self.log() or "runtime error" in self.log():
                    raise AssertionError(self.log())
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if kind is not None:
                sys.stderr.write(self.log())
            if self.own_state:
                shutil.rmtree(self.state, ignore_errors=True)


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition, seconds=DEADLINE):
    """Polls until the condition gives something true; that. Fails at the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds, condition.__code__.co_names))
        time.sleep(0.02)


def equal(have, want, more=""):
    if have != want:
        raise AssertionError("%r instead of %r %s" % (have, want, more))


def contains(text, part):
    if part not in text:
        raise AssertionError("%r is not in %r" % (part, text))


def annotation(record, key):
    for pair in record["annotations"]:
        if pair["key"] == key:
            return pair["value"]
    return None


def main(cases):
    missing = [path for path in (SQUEEZYD, FAKE) if not os.path.exists(path)]
    if missing:
        print("1..0 # SKIP %s is not built; run tools/build programs" % missing[0])
        return 0
    wanted = sys.argv[1:]
    cases = [case for case in cases if not wanted or case.__name__ in wanted]
    print("1..%d" % len(cases))
    failed = 0
    for number, case in enumerate(cases, 1):
        name = case.__name__.replace("_", " ")
        try:
            case()
            print("ok %d - %s" % (number, name), flush=True)
        except Exception as why:  # a broken case must not end the others
            failed += 1
            traceback.print_exc()
            for line in str(why).splitlines()[:20]:
                print("# " + line)
            print("not ok %d - %s" % (number, name), flush=True)
    return 1 if failed else 0
