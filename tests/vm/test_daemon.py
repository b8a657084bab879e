#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""squeezyd with a real VM, kernel and image: from a call over REST to memory returned to the host. Asserts counts, never times."""
import concurrent.futures
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "api"))
from harness import ROOT, Daemon, annotation, contains, equal, main, until  # noqa: E402

MIB = 1 << 20
KERNEL = os.path.join(ROOT, "build", "kernel", "bzImage")
IMAGE = os.path.join(ROOT, "build", "image", "root.erofs")
PATIENCE = 120.0

TOUCH = """
import os
kept = None
def main(args):
    global kept
    kept = bytearray(args.get("mib", 1) << 20)
    for i in range(0, len(kept), 4096):
        kept[i] = 1
    print("touched", len(kept))
    return {"n": args.get("n"), "bytes": len(kept), "sum": sum(kept[::4096])}
"""

BAD = """
import os, sys, time
def main(args):
    what = args["what"]
    if what == "raise":
        raise ValueError("boom")
    if what == "loop":
        while True:
            pass
    if what == "print":
        for i in range(10 * 1024):
            print("x" * 1024)
    if what == "oom":
        kept = []
        while True:
            kept.append(b"x" * (8 << 20))
    if what == "fork":
        for i in range(10):
            if os.fork() == 0:
                time.sleep(1000)
    if what == "exit":
        os._exit(3)
    if what == "large":
        return {"x": "y" * (2 << 20)}
    return {"ok": what}
"""


def real(*options):
    return Daemon("--qemu", "qemu-system-x86_64", "--kernel", KERNEL, "--image", IMAGE, "--boot-timeout", "90", *options)


def call(daemon, name, body):
    return daemon.invoke(name, body, "blocking=true&result=true", timeout=PATIENCE)


def record_of(daemon, name, body):
    return daemon.invoke(name, body, "blocking=true", timeout=PATIENCE).json


def vm_of(daemon):
    return daemon.status()["vms"][0]


def burst_scales_and_memory_returns():
    with real("--partitions", "4") as daemon:
        daemon.action("touch", TOUCH)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda n: call(daemon, "touch", {"n": n, "mib": 120}), range(3)))
        for number, answer in enumerate(answers):
            equal((answer.status, answer.json), (200, {"n": number, "bytes": 120 * MIB, "sum": 120 * MIB // 4096}))
        vm = vm_of(daemon)
        equal(len({i["partition"] for i in vm["instances"]}), 3)
        equal(vm["plugged_bytes"], 768 * MIB)
        equal(vm["resident_bytes"] >= 360 * MIB, True, vm["resident_bytes"])
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        for record in until(lambda: (lambda r: r if len(r) == 3 else None)(daemon.request("GET", "/squeezy/v1/reclaims").json), PATIENCE):
            equal((record["complete"], record["bytes_returned"], record["pages_migrated"]), (True, 256 * MIB, 0), record)
            fallen = record["resident_before_bytes"] - record["resident_after_bytes"]
            equal(record["touched_bytes"] >= 120 * MIB and fallen >= 0.95 * record["touched_bytes"], True, record)
            for key in ("kill_ms", "guest_ms", "returned_ms", "host_size_ms", "host_resident_ms"):
                equal(isinstance(record[key], float), True, record)
        vm = vm_of(daemon)
        equal((vm["plugged_bytes"], vm["instances"]), (0, []))
        again = record_of(daemon, "touch", {"n": 7})
        equal(again["response"]["result"]["n"], 7)
        equal(isinstance(annotation(again, "initTime"), int), True)


MEET = """
const waiting = [];
async function main(args) {
    await new Promise(resolve => {
        waiting.push(resolve);
        if (waiting.length === args.meet) waiting.splice(0).forEach(go => go());
    });
    return { n: args.n };
}
"""


def calls_meet_in_one_instance():
    with real("--partitions", "4") as daemon:
        daemon.action("meet", MEET, kind="nodejs:20", concurrency=6)
        for _ in range(2):
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                answers = list(pool.map(lambda n: call(daemon, "meet", {"n": n, "meet": 6}), range(6)))
            equal([(a.status, a.json) for a in answers], [(200, {"n": n}) for n in range(6)])
        equal([i["calls"] for i in daemon.instances()], [12])


def bad_functions_harm_nobody():
    cases = [("raise", "boom"), ("exit", "exited unexpectedly."), ("oom", "The action exhausted its memory and was aborted."),
             ("loop", "exceeded its time limits of 20000 milliseconds."), ("large", "> 1048576 bytes.")]
    with real("--partitions", "4") as daemon:
        daemon.action("touch", TOUCH)
        daemon.action("bad", BAD, timeout=20000)
        call(daemon, "touch", {"n": 1, "mib": 50})
        witness = daemon.instances()[0]["id"]
        for what, text in cases:
            answer = call(daemon, "bad", {"what": what})
            equal(answer.status, 502, answer.body[:300])
            contains(answer.json["error"], text)
            equal(call(daemon, "touch", {"n": 2}).json["n"], 2)
        record = record_of(daemon, "bad", {"what": "print"})
        equal(record["response"]["result"], {"ok": "print"})
        logs = daemon.request("GET", "/api/v1/namespaces/_/activations/%s/logs" % record["activationId"]).json["logs"]
        equal(sum(len(line) - 40 for line in logs[:-1]) <= 10 * MIB, True)
        contains(logs[-1], "Logs were truncated because the total bytes size exceeds the limit of 10485760 bytes.")
        equal(call(daemon, "bad", {"what": "fork"}).json, {"ok": "fork"})
        equal(witness in [i["id"] for i in daemon.instances()], True)
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        until(lambda: not daemon.instances() and vm_of(daemon)["plugged_bytes"] == 0, PATIENCE)
        equal(vm_of(daemon)["id"], "vm1")


def stock_driver_serves_too():
    with real("--partitions", "4", "--backend", "virtio-mem") as daemon:
        daemon.action("touch", TOUCH)
        equal(call(daemon, "touch", {"n": 1, "mib": 100}).json["bytes"], 100 * MIB)
        equal(vm_of(daemon)["plugged_bytes"], (512 + 256) * MIB)
        daemon.request("POST", "/squeezy/v1/evict", {"idle": True})
        record = until(lambda: daemon.request("GET", "/squeezy/v1/reclaims").json, PATIENCE)[0]
        equal((record["backend"], record["complete"], record["partition"]), ("virtio-mem", True, None))


def dying_vm_is_replaced():
    with real("--partitions", "4") as daemon:
        daemon.action("bad", BAD)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(call, daemon, "bad", {"what": "loop"})
            until(lambda: [i for i in daemon.instances() if i["state"] == "running"], PATIENCE)
            os.kill(vm_of(daemon)["pid"], signal.SIGKILL)
            equal(answer.result().status, 502)
            contains(answer.result().json["error"], "exited unexpectedly.")
        equal(call(daemon, "bad", {"what": "nothing"}).json, {"ok": "nothing"})
        equal(vm_of(daemon)["id"], "vm2")


def kernel_without_its_partitions_is_told():
    with real("--partitions", "4", "--append", "squeezy=2x256M") as daemon:
        daemon.action("touch", TOUCH)
        answer = call(daemon, "touch", {})
        equal(answer.status, 500)
        contains(daemon.log(), "without the 4 partitions it was asked for")


if __name__ == "__main__":
    if not (os.path.exists(KERNEL) and os.path.exists(IMAGE) and shutil.which("qemu-system-x86_64")):
        print("1..0 # SKIP guest kernel, image or QEMU missing; run tools/build")
        sys.exit(0)
    sys.exit(main([burst_scales_and_memory_returns, calls_meet_in_one_instance, bad_functions_harm_nobody, stock_driver_serves_too, dying_vm_is_replaced,
                   kernel_without_its_partitions_is_told]))
