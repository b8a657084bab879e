#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that users have already, unmodified, against the daemon with a real VM: npm's openwhisk and serverless, and what wsk sends.

Packages come from the npm registry that this machine is set up for, once, into build/clients.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(TOP, "tests", "clients")
FOLDER = os.path.join(TOP, "build", "clients")
PACKAGES = ("openwhisk@3", "serverless@3", "serverless-openwhisk@0.18")
DEADLINE = 240


class Tap:
    def __init__(self):
        self.number = self.failed = 0

    def check(self, good, text, *details):
        self.number += 1
        self.failed += not good
        if not good:
            for line in "\n".join(str(d) for d in details).splitlines()[:40]:
                print("# %.400s" % line)
        print("%sok %d - %s" % ("" if good else "not ", self.number, text), flush=True)
        return good


def install():
    """The folder with node_modules."""
    stamp = os.path.join(FOLDER, "installed")
    wanted = " ".join(PACKAGES)
    if os.path.exists(stamp) and open(stamp, encoding="ascii").read() == wanted:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    subprocess.run(["npm", "install", "--prefix", FOLDER, "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error",
                    *PACKAGES], check=True, timeout=600, stdout=subprocess.DEVNULL)
    with open(stamp, "w", encoding="ascii") as file:
        file.write(wanted)


class Daemon:
    def __init__(self):
        self.state = tempfile.mkdtemp(prefix="squeezy-clients-")
        self.log = os.path.join(self.state, "log")
        command = [os.path.join(TOP, "build", "squeezyd"), "--state", self.state, "--listen", "127.0.0.1:0", "--partitions", "6", "--prestart",
                   "--boot-timeout", "180"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=TOP)
        end = time.monotonic() + 60
        while True:
            text = self.text()
            match = re.search(r"listening on (http://127\.0\.0\.1:\d+)", text)
            if match:
                break
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("squeezyd does not start: " + text)
            time.sleep(0.05)
        self.url = match[1]
        with open(os.path.join(self.state, "api.key"), encoding="ascii") as file:
            self.key = file.read().strip()

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.state, ignore_errors=True)


def openwhisk(daemon, tap):
    environment = dict(os.environ, __OW_API_HOST=daemon.url, __OW_API_KEY=daemon.key, CLIENT_MODULES=os.path.join(FOLDER, "node_modules"))
    done = subprocess.run(["node", os.path.join(HERE, "openwhisk.js")], env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
    seen = 0
    notes = []
    for line in done.stdout.splitlines():
        match = re.match(r"(not )?ok \d+ - (.*)", line)
        if match:
            seen += 1
            tap.check(not match[1], match[2], *notes)
            notes = []
        elif line.startswith("#"):
            notes.append(line)
    planned = re.search(r"^1\.\.(\d+)$", done.stdout, re.M)
    tap.check(planned and int(planned[1]) == seen, "openwhisk: all tests were run", done.stdout[-800:], done.stderr[-2000:])


def serverless(daemon, tap):
    """Deploy, info, invoke, logs, remove of a service with plain, zip and sequence functions, from a folder outside of the packages."""
    with tempfile.TemporaryDirectory(prefix="squeezy-service-") as folder:
        service = os.path.join(folder, "service")
        shutil.copytree(os.path.join(HERE, "service"), service)
        os.symlink(os.path.join(FOLDER, "node_modules"), os.path.join(folder, "node_modules"))
        environment = dict(os.environ, OW_AUTH=daemon.key, OW_APIHOST=daemon.url, OW_NAMESPACE="guest", SLS_TELEMETRY_DISABLED="1",
                           SLS_NOTIFICATIONS_MODE="off", SLS_INTERACTIVE_SETUP_ENABLE="0", HOME=folder, CI="true")

        def sls(*words):
            command = ["node", os.path.join(FOLDER, "node_modules", "serverless", "bin", "serverless.js"), *words]
            done = subprocess.run(command, cwd=service, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
            return done.returncode, done.stdout + done.stderr

        status, said = sls("deploy")
        tap.check(status == 0, "serverless: deploy", said)
        status, said = sls("info")
        tap.check(status == 0 and "plain" in said and "snake" in said and "chain" in said, "serverless: info names the functions", said)
        status, said = sls("invoke", "--function", "plain", "--data", '{"name": "you"}')
        tap.check(status == 0 and "hello, you!" in said, "serverless: invoke of a zip with a module in it", said)
        status, said = sls("invoke", "--function", "snake", "--data", '{"text": "loud"}')
        tap.check(status == 0 and "LOUD" in said, "serverless: invoke of a python function", said)
        status, said = sls("invoke", "--function", "chain", "--data", '{"name": "all"}')
        tap.check(status == 0 and "HELLO, ALL!" in said, "serverless: invoke of a sequence", said)
        status, said = sls("logs", "--function", "plain")
        tap.check(status == 0 and "plain was called" in said, "serverless: logs", said)
        status, said = sls("remove")
        tap.check(status == 0, "serverless: remove", said)
        tap.check(curl(daemon, "GET", "actions")[1] == [], "serverless: nothing is left after remove")


def curl(daemon, method, path, body=None):
    """(status, JSON or text) by the curl program, with the headers that wsk sends."""
    command = ["curl", "-s", "-m", str(DEADLINE), "-o", "-", "-w", "\n%{http_code}", "-X", method, "-u", daemon.key, "-H", "Accept: application/json",
               "-H", "User-Agent: OpenWhisk-CLI/1.0 (2021-04-01T23:49:54.523+0000)"]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)]
    out = subprocess.run(command + [daemon.url + "/api/v1/namespaces/_/" + path], capture_output=True, text=True, timeout=DEADLINE + 20, check=True).stdout
    text, status = out.rsplit("\n", 1)
    try:
        return int(status), json.loads(text)
    except ValueError:
        return int(status), text


def record_of(daemon, identity):
    for _ in range(400):
        status, record = curl(daemon, "GET", "activations/" + identity)
        if status == 200:
            return record
        time.sleep(0.05)
    raise RuntimeError("activation %s never came" % identity)


def wsk_actions(daemon, check):
    code = 'def main(args):\n    import time\n    time.sleep(args.get("wait", 0))\n    if "fail" in args:\n        return {"error": args["fail"]}\n    print("logged")\n    return {"greeting": "Hello, " + args.get("name", "stranger")}\n'
    exec_part = {"exec": {"kind": "python:default", "code": code}, "annotations": [{"key": "web-export", "value": False}, {"key": "raw-http", "value": False},
                                                                                   {"key": "final", "value": False}]}
    status, made = curl(daemon, "PUT", "actions/hello?overwrite=false", dict(exec_part, name="hello", namespace="_"))
    check(status == 200 and made["exec"]["kind"] == "python:3", "wsk action create", made)
    status, said = curl(daemon, "PUT", "actions/hello?overwrite=false", exec_part)
    check(status == 409 and "code" in said, "wsk action create, again", said)
    status, made = curl(daemon, "PUT", "actions/hello?overwrite=true", {"limits": {"timeout": 50000}})
    check(status == 200 and made["limits"]["timeout"] == 50000 and made["version"] == "0.0.2", "wsk action update --timeout", made)
    status, got = curl(daemon, "GET", "actions/hello?code=true")
    check(status == 200 and got["exec"]["code"] == code, "wsk action get", got)
    status, listed = curl(daemon, "GET", "actions?limit=0&skip=0")
    check(status == 200 and [a["name"] for a in listed] == ["hello"], "wsk action list", listed)
    status, said = curl(daemon, "POST", "actions/hello?blocking=true&result=true", {"name": "you"})
    check((status, said) == (200, {"greeting": "Hello, you"}), "wsk action invoke --result", said)
    status, said = curl(daemon, "POST", "actions/hello?blocking=true&result=false", {})
    check(status == 200 and said["response"]["result"]["greeting"] == "Hello, stranger", "wsk action invoke --blocking", said)
    status, said = curl(daemon, "POST", "actions/hello?blocking=false&result=false", {})
    check(status == 202 and record_of(daemon, said["activationId"])["response"]["success"], "wsk action invoke", said)
    status, said = curl(daemon, "POST", "actions/hello?blocking=true&result=false&timeout=200", {"wait": 2})
    check(status == 202 and record_of(daemon, said["activationId"])["response"]["success"], "202 when the call takes longer than it is waited for", said)
    status, said = curl(daemon, "POST", "actions/hello?blocking=true&result=true", {"fail": "no"})
    check(status == 502 and said == {"error": "no"} and "code" not in said, "502 for an application error, without a code", said)


def wsk_activations(daemon, check):
    status, said = curl(daemon, "POST", "actions/hello?blocking=true&result=false", {})
    identity = said["activationId"]
    record = record_of(daemon, identity)
    status, listed = curl(daemon, "GET", "activations?limit=0&skip=0")
    check(status == 200 and listed[0]["activationId"] == identity and "logs" not in listed[0], "wsk activation list", listed[:1])
    status, listed = curl(daemon, "GET", "activations?docs=true&limit=0&skip=0&since=%d" % record["start"])
    check(status == 200 and listed[0]["logs"], "wsk activation poll", listed)
    status, said = curl(daemon, "GET", "activations/%s/logs" % identity)
    check(status == 200 and "stdout: logged" in said["logs"][0], "wsk activation logs", said)
    status, said = curl(daemon, "GET", "activations/%s/result" % identity)
    check(status == 200 and said["result"] == {"greeting": "Hello, stranger"}, "wsk activation result", said)


def wsk_others(daemon, check):
    status, said = curl(daemon, "PUT", "packages/p?overwrite=false", {"parameters": [{"key": "name", "value": "package"}], "publish": False, "binding": {}})
    check(status == 200, "wsk package create", said)
    status, said = curl(daemon, "PUT", "actions/p/hello?overwrite=false", {"exec": {"kind": "python:3", "code": "def main(a): return a"}})
    check(status == 200, "wsk action create in a package", said)
    status, said = curl(daemon, "PUT", "packages/b?overwrite=false", {"binding": {"namespace": "_", "name": "p"}, "parameters": []})
    check(status == 200 and said["binding"] == {"namespace": "guest", "name": "p"}, "wsk package bind", said)
    status, said = curl(daemon, "POST", "actions/b/hello?blocking=true&result=true", {})
    check((status, said) == (200, {"name": "package"}), "wsk action invoke through the binding", said)
    for path in ("packages/p", "packages/b", "packages?limit=0&skip=0", "triggers?limit=0&skip=0", "rules?limit=0&skip=0"):
        check(curl(daemon, "GET", path)[0] == 200, "wsk get or list: " + path)
    check(curl(daemon, "PUT", "triggers/t?overwrite=false", {"parameters": []})[0] == 200, "wsk trigger create")
    status, said = curl(daemon, "PUT", "rules/r?overwrite=false", {"name": "r", "status": "", "trigger": "/_/t", "action": "/_/hello"})
    check(status == 200 and said["status"] == "active", "wsk rule create", said)
    check(curl(daemon, "POST", "rules/r", {"status": "inactive"})[0] == 200, "wsk rule disable")
    check(curl(daemon, "POST", "triggers/t", {})[0] == 204, "wsk trigger fire, with no active rule: 204")
    check(curl(daemon, "POST", "rules/r", {"status": "active"})[0] == 200, "wsk rule enable")
    status, said = curl(daemon, "POST", "triggers/t", {"name": "rule"})
    told = json.loads(record_of(daemon, said["activationId"])["logs"][0])
    check(record_of(daemon, told["activationId"])["response"]["result"] == {"greeting": "Hello, rule"}, "wsk trigger fire runs the rule's action", told)
    for path in ("rules/r", "triggers/t", "packages/b", "packages/p?force=true", "actions/hello"):
        check(curl(daemon, "DELETE", path)[0] == 200, "wsk delete: " + path)


def wsk_system(daemon, check):
    for name, body, result in (("echo", {"a": 1}, {"a": 1}), ("sort", {"lines": ["b", "a"]}, {"lines": ["a", "b"], "length": 2}),
                               ("split", {"payload": "a,b", "separator": ","}, {"lines": ["a", "b"], "payload": "a,b"})):
        out = subprocess.run(["curl", "-s", "-m", "120", "-u", daemon.key, "-H", "Content-Type: application/json", "-d", json.dumps(body),
                              daemon.url + "/api/v1/namespaces/whisk.system/actions/utils/%s?blocking=true&result=true" % name],
                             capture_output=True, text=True, timeout=140, check=True).stdout
        check(json.loads(out) == result, "/whisk.system/utils/" + name, out)


def main():
    tap = Tap()
    try:
        install()
        tap.check(True, "the packages are there")
    except (subprocess.SubprocessError, OSError) as error:
        tap.check(False, "npm installs %s" % " ".join(PACKAGES), error)
        print("1..%d" % tap.number)
        return 1
    with Daemon() as daemon:
        try:
            openwhisk(daemon, tap)
            serverless(daemon, tap)
            wsk_actions(daemon, tap.check)
            wsk_activations(daemon, tap.check)
            wsk_others(daemon, tap.check)
            wsk_system(daemon, tap.check)
        except Exception as error:  # what a client meets must not end the plan
            tap.check(False, "the tests ran to their end", repr(error))
        if tap.failed:
            print("# " + daemon.text()[-3000:].replace("\n", "\n# "))
    print("1..%d" % tap.number)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
