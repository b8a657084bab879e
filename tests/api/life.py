#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Instances, VMs and the daemon itself: scaling, eviction, reclaims, dying VMs, bad starts. No VM: tests/tools/fake-qemu."""
import concurrent.futures
import http.client
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

from harness import SQUEEZY, SQUEEZYD, Daemon, annotation, contains, equal, is_running, main, until

NS = "/api/v1/namespaces/_"
MIB = 1 << 20
PROVISION = "Failed to provision resources to run the action."


def burst(daemon, name, count, **more):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda n: daemon.invoke(name, {"n": n}, **more), range(count)))


def grows_and_shrinks_with_its_calls():
    with Daemon() as daemon:
        daemon.action("sleepy", "sleep 200")
        answers = burst(daemon, "sleepy", 4)
        equal([a.status for a in answers], [200] * 4)
        vm = daemon.status()["vms"][0]
        equal(sorted(i["partition"] for i in vm["instances"]), [0, 1, 2, 3])
        equal((vm["requested_bytes"], vm["plugged_bytes"]), (1024 * MIB, 1024 * MIB))
        equal(vm["resident_bytes"], 16 * MIB)
        equal(daemon.request("POST", "/squeezy/v1/evict", {"idle": True}).json, {"evicting": 4})
        records = daemon.reclaims(4)
        equal([r["seq"] for r in records], [1, 2, 3, 4])
        for record in records:
            equal((record["complete"], record["reason"], record["bytes_returned"]), (True, "asked", 256 * MIB))
            equal(record["resident_before_bytes"] - record["resident_after_bytes"], 4 * MIB)
            equal((record["touched_bytes"], record["pages_migrated"], record["superseded"]), (4 * MIB, 0, False))
            for key in ("kill_ms", "guest_ms", "returned_ms", "host_size_ms", "host_resident_ms"):
                equal(isinstance(record[key], float) and record[key] >= 0, True, key)
        vm = daemon.status()["vms"][0]
        equal((vm["instances"], vm["plugged_bytes"], vm["resident_bytes"]), ([], 0, 0))


def baseline_works_the_same():
    with Daemon("--backend", "virtio-mem") as daemon:
        daemon.action("sleepy", "sleep 100")
        burst(daemon, "sleepy", 2)
        vm = daemon.status()["vms"][0]
        equal([i["partition"] for i in vm["instances"]], [None, None])
        equal(vm["plugged_bytes"], (512 + 512) * MIB)
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        record = daemon.reclaims(2)[1]
        equal((record["backend"], record["partition"], record["bytes_returned"]), ("virtio-mem", None, 256 * MIB))
        equal(record["guest_ms"], record["host_size_ms"])
        equal(daemon.status()["vms"][0]["plugged_bytes"], 512 * MIB)


def idle_instances_expire():
    with Daemon("--keep-alive", "0.3") as daemon:
        daemon.action("echo", "echo")
        daemon.invoke("echo")
        equal(daemon.reclaims(1)[0]["reason"], "keep-alive")
        equal(daemon.instances(), [])


def ended_idle_instance_gives_back():
    with Daemon() as daemon:
        daemon.action("leave", "leave")
        equal(daemon.invoke("leave", {"a": 1}, "blocking=true&result=true").json, {"a": 1})
        record = daemon.reclaims(1)[0]
        equal((record["reason"], record["bytes_returned"]), ("exited", 256 * MIB))
        equal(daemon.instances(), [])
    with Daemon(fake="bad-events") as daemon:
        daemon.action("echo", "echo")
        equal(daemon.invoke("echo").status, 200)
        time.sleep(0.5)
        with open("/proc/%d/stat" % daemon.process.pid, encoding="ascii") as file:
            ticks = sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13])
        equal(ticks < 100, True, "a second of processor time for nothing")


def one_instance_is_evicted_by_name():
    with Daemon() as daemon:
        daemon.action("echo", "echo")
        daemon.action("slow", "sleep 1500")
        daemon.invoke("echo")
        daemon.invoke("slow", {}, "")
        busy = until(lambda: [i for i in daemon.instances() if i["state"] == "running"])[0]
        idle = [i for i in daemon.instances() if i["state"] == "idle"][0]
        equal(daemon.request("POST", "/squeezy/v1/evict", {"instance": busy["id"]}).status, 409)
        equal(daemon.request("POST", "/squeezy/v1/evict", {"instance": "i99"}).status, 404)
        equal(daemon.request("POST", "/squeezy/v1/evict", {}).status, 400)
        equal(daemon.request("POST", "/squeezy/v1/evict", {"instance": idle["id"]}).json, {"evicting": 1})
        equal(daemon.reclaims(1)[0]["instance"], idle["id"])


def full_vm_swaps_the_oldest_idle_instance():
    with Daemon() as daemon:
        for name in "abcd":
            daemon.action(name, "echo")
            daemon.invoke(name)
        first = [i["id"] for i in daemon.instances() if i["action"] == "guest/a"]
        daemon.action("e", "echo")
        equal(daemon.invoke("e").status, 200)
        equal(sorted(i["action"] for i in daemon.instances()), ["guest/b", "guest/c", "guest/d", "guest/e"])
        equal(first[0] in [i["id"] for i in daemon.instances()], False)
        until(lambda: daemon.status()["vms"][0]["plugged_bytes"] == 1024 * MIB)


def changed_action_gets_new_instances():
    with Daemon() as daemon:
        daemon.action("f", "echo")
        daemon.invoke("f")
        old = daemon.instances()[0]["id"]
        daemon.action("f", "array")
        equal(daemon.invoke("f").json, [1, 2])
        until(lambda: old not in [i["id"] for i in daemon.instances()])
        daemon.request("DELETE", NS + "/actions/f")
        until(lambda: not daemon.instances())


def calls_share_an_instance():
    with Daemon() as daemon:
        daemon.action("shared", "sleep 1000", kind="nodejs:20", concurrency=4)
        daemon.action("alone", "sleep 1000", concurrency=4)
        answers = burst(daemon, "shared", 8)
        equal([(a.status, a.json["response"]["result"]) for a in answers], [(200, {"n": n}) for n in range(8)])
        equal(sum("initTime" in [x["key"] for x in a.json["annotations"]] for a in answers), 2)
        equal([(i["calls"], i["serving"], i["state"]) for i in daemon.instances()], [(4, 0, "idle")] * 2)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(daemon.invoke, "shared", {"n": n}) for n in range(3)]
            until(lambda: sorted(i["serving"] for i in daemon.instances()) == [0, 3])
            equal(daemon.request("POST", "/squeezy/v1/evict", {"idle": True}).json, {"evicting": 1})
            equal([c.result().status for c in calls], [200] * 3)
        burst(daemon, "alone", 2)
        equal(sorted(i["calls"] for i in daemon.instances() if i["action"] == "guest/alone"), [1, 1])


def one_failure_ends_a_shared_instance_after_the_others():
    with Daemon() as daemon:
        daemon.action("ask", "ask", kind="nodejs:20", concurrency=3)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            slow = [pool.submit(daemon.invoke, "ask", {"ms": 2000, "n": n}) for n in range(2)]
            until(lambda: [i["serving"] for i in daemon.instances() if i["state"] == "running"] == [2])
            first = daemon.instances()[0]["id"]
            answer = daemon.invoke("ask", {"fail": "exited"})
            equal(answer.status, 502)
            equal([(i["id"], i["serving"]) for i in daemon.instances()], [(first, 2)])
            equal(daemon.invoke("ask", {"ms": 1}).status, 200)
            equal(len(daemon.instances()), 2)
            equal([(s.result().status, s.result().json["response"]["result"]["n"]) for s in slow], [(200, 0), (200, 1)])
        until(lambda: first not in [i["id"] for i in daemon.instances()])
        daemon.action("never", "init-error", kind="nodejs:20", concurrency=8)
        for answer in burst(daemon, "never", 3):
            equal((answer.status, answer.json["response"]["result"]["error"]), (502, "the code does not load"))
        until(lambda: "guest/never" not in [i["action"] for i in daemon.instances()])
        daemon.action("die", "die", kind="nodejs:20", concurrency=8)
        equal([a.status for a in burst(daemon, "die", 3)], [502] * 3)


def stopping_ends_calls_that_wait_for_an_instance():
    with Daemon(fake="stuck-size") as daemon:
        daemon.action("f", "echo", kind="nodejs:20", concurrency=4)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(daemon.invoke, "f") for _ in range(3)]
            until(lambda: [(i["state"], i["serving"]) for i in daemon.instances()] == [("creating", 3)])
            equal(daemon.stop(), 0)
            equal([c.result().status for c in calls], [500] * 3)
        contains(daemon.log(), "vm1: started")
        equal("vm2" in daemon.log(), False)


def sizes_get_vms_of_their_own():
    with Daemon() as daemon:
        daemon.action("small", "echo", memory=128)
        daemon.action("large", "echo", memory=400)
        daemon.invoke("small")
        daemon.invoke("large")
        equal([vm["partition_bytes"] for vm in daemon.status()["vms"]], [256 * MIB, 512 * MIB])


def budget_holds():
    # One VM is 320 + 512 MiB and its partitions: 1,400 MiB has room for it and two.
    with Daemon("--budget", "1400M") as daemon:
        daemon.action("sleepy", "sleep 150")
        answers = burst(daemon, "sleepy", 6)
        equal([a.status for a in answers], [200] * 6)
        equal(len(daemon.instances()), 2)
        status = daemon.status()
        equal(status["memory"]["promised_bytes"] <= 1400 * MIB, True)
        daemon.action("other", "echo")
        equal(daemon.invoke("other").status, 200)
        equal(len(daemon.instances()), 2)
        daemon.action("large", "echo", memory=512)
        answer = daemon.invoke("large")
        equal((answer.status, answer.json["response"]["result"]["error"]), (500, PROVISION))
        equal(answer.json["response"]["status"], "whisk internal error")
        contains(daemon.log(), "does not fit the budget")


def memory_moves_between_vms():
    # Two VMs' fixed memory (832 + 896 MiB) and 512 MiB for partitions.
    with Daemon("--budget", "2300M") as daemon:
        daemon.action("small", "sleep 100")
        daemon.action("large", "echo", memory=512)
        daemon.invoke("large")
        until(lambda: daemon.instances()[0]["state"] == "idle")
        equal(daemon.invoke("small").status, 200)
        equal([i["action"] for i in daemon.instances()], ["guest/small"])
        equal(daemon.reclaims(1)[0]["reason"], "memory")


def vm_dies_in_a_call():
    with Daemon() as daemon:
        daemon.action("die", "die")
        daemon.action("waits", "sleep 1500")
        daemon.action("other", "sleep 1500", memory=512)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            beside = pool.submit(daemon.invoke, "waits")
            elsewhere = pool.submit(daemon.invoke, "other")
            until(lambda: len([i for i in daemon.instances() if i["state"] == "running"]) == 2)
            victim = daemon.invoke("die")
        text = "The action did not produce a valid response and exited unexpectedly."
        for answer in (victim, beside.result()):
            equal((answer.status, answer.json["response"]["result"]), (502, {"error": text}))
        equal(elsewhere.result().status, 200)
        equal(daemon.activation(victim.json["activationId"])["response"]["result"], {"error": text})
        daemon.action("echo", "echo")
        equal(daemon.invoke("echo", {"a": 1}, "blocking=true&result=true").json, {"a": 1})
        equal([vm["state"] for vm in daemon.status()["vms"]], ["ready", "ready"])
        equal(len(daemon.children()), 2)


def vm_that_does_not_start():
    texts = {"no-qmp": "did not open its QMP session in time", "bad-qmp": "not JSON", "long-qmp": "longer than", "exit": "as asked",
             "no-hello": "did not answer", "old-agent": "does not speak protocol 1", "stock-kernel": "without the 4 partitions", "bad-h2": "agent"}
    for mode, text in texts.items():
        with Daemon("--boot-timeout", "1", fake=mode) as daemon:
            daemon.action("echo", "echo")
            answer = daemon.invoke("echo")
            equal((answer.status, answer.json["response"]["result"]["error"]), (500, PROVISION), mode)
            contains(daemon.log(), text)
            until(lambda: not daemon.children())
            equal(daemon.status()["vms"], [])
            equal(daemon.request("GET", "/ping").body, "pong")


def guest_that_lies():
    with Daemon(fake="no-partition") as daemon:
        daemon.action("echo", "echo")
        equal(daemon.invoke("echo").status, 500)
        contains(daemon.log(), "the agent made no container (503)")
    with Daemon("--sample-ms", "30", fake="bad-memory") as daemon:
        daemon.action("echo", "echo")
        equal(daemon.invoke("echo").status, 200)
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        record = daemon.reclaims(1)[0]
        equal((record["guest_ms"], record["returned_ms"]), (None, None))
        until(lambda: daemon.request("GET", "/squeezy/v1/samples").json)
    with Daemon(fake="mad-size") as daemon:
        daemon.action("echo", "echo")
        equal(daemon.invoke("echo").status, 200)
        equal(daemon.status()["vms"][0]["plugged_bytes"], 0)
    with Daemon(fake="bad-delete") as daemon:
        daemon.action("echo", "echo")
        daemon.invoke("echo")
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        until(lambda: "the agent cannot end container" in daemon.log())
        until(lambda: not daemon.children())
        equal(daemon.invoke("echo").status, 200)
    with Daemon(fake="slow-delete") as daemon:
        daemon.action("echo", "echo")
        daemon.invoke("echo")
        vm = daemon.children()
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        daemon.reclaims(1)
        equal(daemon.invoke("echo").status, 200)
        equal(daemon.children(), vm)
    with Daemon(fake="stuck-size") as daemon:
        daemon.action("echo", "echo")
        answer = daemon.invoke("echo", {}, "blocking=true&timeout=200")
        equal(answer.status, 202)
        equal(daemon.request("GET", "/ping").body, "pong")


def samples_are_taken():
    with Daemon("--sample-ms", "20") as daemon:
        daemon.action("echo", "echo")
        daemon.invoke("echo")
        samples = until(lambda: [s for s in daemon.request("GET", "/squeezy/v1/samples").json if s["plugged_bytes"]])
        equal((samples[0]["plugged_bytes"], samples[0]["resident_bytes"]), (256 * MIB, 4 * MIB))
        equal(samples[0]["partitions_used_bytes"], 4 * MIB)
        daemon.request("DELETE", "/squeezy/v1/samples")
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        until(lambda: any(s["resident_bytes"] == 0 for s in daemon.request("GET", "/squeezy/v1/samples").json))


def prestarted_vm_is_replaced():
    with Daemon("--prestart") as daemon:
        until(lambda: [vm for vm in daemon.status()["vms"] if vm["state"] == "ready"])
        pid = daemon.status()["vms"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda: [vm for vm in daemon.status()["vms"] if vm["state"] == "ready" and vm["pid"] != pid])
        contains(daemon.log(), "QEMU was ended by signal 9")


def what_was_answered_survives_a_crash():
    state = tempfile.mkdtemp(prefix="squeezy-api-")
    try:
        daemon = Daemon(state=state)
        daemon.action("echo", "echo")
        kept = daemon.invoke("echo").json
        daemon.action("other", "echo")  # the records before it go to the disk with it
        children = daemon.children()
        equal(len(children), 1)
        daemon.stop(signal.SIGKILL)
        equal([pid for pid in children if is_running(pid)], [])
        key = daemon.key
        with Daemon(state=state) as daemon:
            equal(daemon.key, key)
            equal(daemon.request("GET", NS + "/actions/echo").json["version"], "0.0.1")
            equal(daemon.activation(kept["activationId"])["response"], kept["response"])
            equal(os.listdir(os.path.join(state, "vm")), [])
            equal(annotation(daemon.invoke("echo").json, "initTime") is None, False)
    finally:
        shutil.rmtree(state)


def stopping_ends_everything():
    daemon = Daemon()
    try:
        daemon.action("slow", "sleep 30000")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(lambda: attempt(daemon))
            until(lambda: [i for i in daemon.instances() if i["state"] == "running"])
            equal(daemon.stop(), 0)
            equal(call.result() in (502, 500, "closed"), True, call.result())
    finally:
        shutil.rmtree(daemon.state)


def attempt(daemon):
    try:
        return daemon.invoke("slow").status
    except (OSError, http.client.HTTPException):
        return "closed"


def fails_to_start(options, status, *texts, env=None):
    done = subprocess.run([SQUEEZYD] + options, capture_output=True, text=True, timeout=20, check=False, env=env)
    equal(done.returncode, status, done.stderr)
    equal(len(done.stderr.strip().splitlines()), 1, done.stderr)
    for text in texts:
        contains(done.stderr, text)


def bad_starts_say_what_to_do():
    fails_to_start(["--nonsense"], 2, "unknown option '--nonsense'", "--help")
    fails_to_start(["--partitions", "0"], 2, "1 to 126")
    fails_to_start(["--partition-size", "100M"], 2, "multiple of 128M")
    fails_to_start(["--partition-size", "lots"], 2, "not a size like")
    fails_to_start(["--listen", "here"], 2, "ADDRESS:PORT")
    fails_to_start(["--backend", "magic"], 2, "squeezy or virtio-mem")
    fails_to_start(["--keep-alive", "-1"], 2, "not a number of seconds")
    fails_to_start(["--kernel"], 2, "needs a value")
    with Daemon() as daemon:
        product = os.path.join(daemon.state, "product")
        products = ["--kernel", product, "--image", product]
        other = tempfile.mkdtemp(prefix="squeezy-api-")
        try:
            fails_to_start(["--kernel", "/nonexistent/bzImage"], 1, "guest kernel /nonexistent/bzImage", "tools/build")
            fails_to_start(["--kernel", product, "--image", "/nonexistent/image"], 1, "guest image /nonexistent/image")
            fails_to_start(products + ["--state", daemon.state], 1, "another squeezyd (process %d)" % daemon.process.pid, "squeezy down")
            fails_to_start(products + ["--state", other, "--listen", "127.0.0.1:%d" % daemon.port], 1, "cannot listen on 127.0.0.1 port",
                           "another program listens there")
            fails_to_start(products + ["--state", "/nonexistent/dir/x"], 1, "/nonexistent/dir/x", "make the directory above it first")
            with open(os.path.join(other, "api.key"), "w", encoding="ascii") as file:
                file.write("short\n")
            fails_to_start(products + ["--state", other], 1, "api.key", "remove the file to get a new one")
            os.unlink(os.path.join(other, "api.key"))
            with open(os.path.join(other, "squeezy.db"), "w", encoding="ascii") as file:
                file.write("this is no database\n" * 1000)
            fails_to_start(products + ["--state", other], 1, "squeezy.db", "the store is damaged, or the file is none")
            fails_to_start(products + ["--state", tempfile.mkdtemp(dir=other), "--budget", "100M"], 1, "--budget 100 MiB is less")
        finally:
            shutil.rmtree(other)


def no_rights_and_no_room_are_said():
    if os.geteuid() != 0:
        return
    other = tempfile.mkdtemp(prefix="squeezy-api-")
    try:
        product = os.path.join(other, "product")
        with open(product, "w", encoding="ascii") as file:
            file.write("x")
        os.chmod(other, 0o755)
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(drop + [SQUEEZYD, "--kernel", product, "--image", product, "--state", os.path.join(other, "s")],
                              capture_output=True, text=True, timeout=20, check=False)
        equal(done.returncode, 1)
        contains(done.stderr, "start squeezyd as root, or give --state a directory of yours")
        small = os.path.join(other, "small")
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", small], check=True)
        try:
            fails_to_start(["--kernel", product, "--image", product, "--state", small], 1, "MiB are free", "make room")
            subprocess.run(["mount", "-o", "remount,size=70m", small], check=True)
            disk_fills_up(small)
        finally:
            subprocess.run(["umount", small], check=True)
    finally:
        shutil.rmtree(other)


def disk_fills_up(state):
    with Daemon(state=state) as daemon:
        daemon.action("echo", "echo")
        equal(daemon.invoke("echo").status, 200)
        with open(os.path.join(state, "filler"), "wb") as file:
            try:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            except OSError:
                pass
        answer = daemon.request("PUT", NS + "/actions/big", {"exec": {"kind": "python:3", "code": "x " * 100000}})
        equal(answer.status, 503)
        contains(answer.json["error"], "full")
        equal(daemon.request("GET", NS + "/actions/big").status, 404)
        big = [{"key": "a", "value": "x" * 100000}]
        for path, body in (("/packages/p", {"parameters": big}), ("/triggers/t", {"parameters": big})):
            answer = daemon.request("PUT", NS + path, body)
            equal((answer.status, "full" in answer.json["error"]), (503, True))
            equal(daemon.request("GET", NS + path).status, 404)
        # Calls are still made; their records cannot be kept, which is said.
        for n in range(20):
            answer = daemon.invoke("echo", {"n": n, "x": "y" * 100000}, "blocking=true&result=true")
            equal((answer.status, answer.json["n"]), (200, n))
        until(lambda: re.search(r"activation records of the last \d+ ms are lost: .* full", daemon.log()))
        os.unlink(os.path.join(state, "filler"))
        equal(daemon.invoke("echo", {"a": 1}, "blocking=true&result=true").json, {"a": 1})


def secrets_and_users():
    with Daemon() as daemon:
        key = os.path.join(daemon.state, "api.key")
        equal(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        equal(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[A-Za-z0-9_-]{64}", daemon.key) is not None, True)
        daemon.action("echo", "echo")
        daemon.invoke("echo")
        pid = daemon.children()[0]
        if os.geteuid() == 0:
            equal(os.stat("/proc/%d" % pid).st_uid == 0, False)
        descriptors = sorted(int(name) for name in os.listdir("/proc/%d/fd" % pid))
        targets = [os.readlink("/proc/%d/fd/%d" % (pid, number)) for number in descriptors]
        equal([t for t in targets if "squeezy.db" in t or t.endswith("/lock")], [])
        equal(os.getpgid(pid), pid)


def second_signal_ends_at_once():
    with Daemon(fake="no-hello") as daemon:
        daemon.action("echo", "echo")
        daemon.invoke("echo", {}, "")
        until(daemon.children)
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        if daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGTERM)
        equal(daemon.process.wait(timeout=10), 0)
        equal(time.monotonic() - began < 5, True)


def client_starts_and_ends_the_daemon():
    state = tempfile.mkdtemp(prefix="squeezy-api-")
    try:
        product = os.path.join(state, "product")
        with open(product, "w", encoding="ascii") as file:
            file.write("x")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        where = ["--state", state, "--url", "http://127.0.0.1:%d" % port]
        words = ["up", "--state", state, "--listen", "127.0.0.1:%d" % port, "--kernel", product, "--image", product]

        def run(*line):
            done = subprocess.run([SQUEEZY] + list(line), capture_output=True, text=True, timeout=30, check=False)
            return done.returncode, done.stdout + done.stderr

        status, said = run(*words)
        equal(status, 0, said)
        contains(said, "squeezyd runs (process ")
        try:
            status, said = run(*words)
            equal((status, "already runs" in said), (1, True), said)
        finally:
            status, said = run("down", *where)
        equal((status, said), (0, "squeezyd has ended\n"))
        status, said = run("up", "--state", state, "--kernel", "/nonexistent")
        equal(status, 1)
        contains(said, "squeezyd did not start: squeezyd: guest kernel /nonexistent")
    finally:
        shutil.rmtree(state)


def client_program():
    with Daemon() as daemon:
        code = os.path.join(daemon.state, "echo.py")
        with open(code, "w", encoding="ascii") as file:
            file.write("echo")
        env = dict(os.environ, SQUEEZY_URL="http://127.0.0.1:%d/" % daemon.port)

        def run(*words, status=0, stdin=None):
            done = subprocess.run([SQUEEZY] + list(words) + ["--state", daemon.state], capture_output=True, text=True, timeout=30, check=False,
                                  env=env, input=stdin)
            equal(done.returncode, status, done.stdout + done.stderr)
            return done.stdout + done.stderr

        contains(run("action", "create", "e", code, "--memory", "128", "--concurrency", "2"), "created e, version 0.0.1")
        contains(run("action", "create", "e", code, status=1), "resource already exists")
        contains(run("action", "update", "e", "--timeout", "5000"), "version 0.0.2")
        contains(run("action", "create", "f", "/nonexistent.py", status=1), "/nonexistent.py")
        contains(run("action", "list"), "0.0.2")
        contains(run("invoke", "e", "--param", "a", "[1]", "--param", "b", "word", "--result"), '"word"')
        contains(run("invoke", "e", "--body", "-", "--result", stdin='{"x": 5}'), '"x": 5')
        contains(run("invoke", "e", "--body", "-", status=2, stdin="7"), "not a JSON object")
        contains(run("invoke", "none", status=1), "The requested resource does not exist.")
        contains(run("invoke", "e", "--no-wait"), "activationId")
        contains(run("ps"), "guest/e")
        contains(run("top"), "ready")
        contains(run("status", "--json"), '"budget_bytes"')
        contains(run("activation", "list"), "success")
        contains(run("evict"), "1 going")
        daemon.reclaims(1)
        contains(run("reclaims"), "guest/e")
        contains(run("action", "delete", "e"), "deleted e")
        contains(run("dance", status=2), "there is no verb 'dance'")
        contains(run("invoke", status=2), "usage")
        contains(run("down"), "has ended")
        contains(run("ps", status=1), "no daemon answers")


if __name__ == "__main__":
    sys.exit(main([grows_and_shrinks_with_its_calls, baseline_works_the_same, idle_instances_expire, ended_idle_instance_gives_back, one_instance_is_evicted_by_name,
                   full_vm_swaps_the_oldest_idle_instance, changed_action_gets_new_instances, calls_share_an_instance,
                   one_failure_ends_a_shared_instance_after_the_others, stopping_ends_calls_that_wait_for_an_instance, sizes_get_vms_of_their_own, budget_holds,
                   memory_moves_between_vms, vm_dies_in_a_call, vm_that_does_not_start, guest_that_lies, samples_are_taken,
                   prestarted_vm_is_replaced, what_was_answered_survives_a_crash, stopping_ends_everything, bad_starts_say_what_to_do,
                   no_rights_and_no_room_are_said, secrets_and_users, second_signal_ends_at_once, client_starts_and_ends_the_daemon, client_program]))
