#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent in a VM with partitions: claims, who waits for whom, where memory comes from, and that an ended container gives its partition back."""
import re
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


HOLD = """
import os
kept = os.pipe()
def main(args):
    os.write(kept[1], b"x" * args["bytes"])
    return {}
"""


def inspected(agent, number, reason):
    """Waits until a partition has a reason; returns what holds it."""
    for _ in range(60):
        answer = agent.call("GET", "/v1/partitions/%d" % number)[1]
        if answer["busy_reason"] == reason:
            return answer
        time.sleep(0.5)
    return answer


def test_inspect(vm, agent, check):
    """What `squeezy inspect` shows, from the agent that looks for it."""
    number = make(agent, check, "held", kind="python:3", code=HOLD)["partition"]
    status, answer = run(agent, "held", {"bytes": 5000})
    check(status == 200, "a function keeps bytes in a pipe", answer)
    status, answer = agent.call("GET", "/v1/partitions/%d" % number)
    tasks = [(task["command"], task["container"], task["pid"] > 1) for task in answer["tasks"]]
    check(status == 200 and ("python3", "held", True) in tasks, "who maps its pages is named with command and container", answer)
    check(all(container == "held" for _, container, _ in tasks), "and nobody else", answer)
    check((answer["state"], answer["busy_reason"], answer["descriptors"]) == ("claimed", "none", []), "nothing is in the way yet", answer)
    vm.resize(0)
    answer = inspected(agent, number, "claimed")
    pipes = [(entry["container"], entry["command"], entry["bytes"]) for entry in answer["descriptors"] if entry["kind"] == "pipe"]
    check(answer["busy_reason"] == "claimed", "the host wants memory that is claimed: it is told so", answer)
    check(("held", "python3", 5000) in pipes, "the pipe is named, with its owner and what is in it", answer)
    agent.call("DELETE", "/v1/containers/held")
    facts = settled(agent, number, "parked")
    answer = inspected(agent, number, "none")
    check(facts["state"] == "parked" and answer["tasks"] == [] and not any(answer["holders"].values()), "afterwards nothing holds it", answer)
    check(agent.call("GET", "/v1/partitions/%d" % COUNT)[0] == 404, "a partition that is none: 404")
    vm.resize(PLUGGED)
    for number in (0, 1):
        check(settled(agent, number, "populated")["state"] == "populated", "partition %d comes back" % number)


def main():
    lack = missing()
    if lack:
        print("# " + lack)
        print("not ok 1 - what the test needs is built\n1..1")
        return 1
    tap = Tap()
    with Vm((COUNT, SIZE, PLUGGED)) as vm:
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
        status, answer = agent.call("GET", "/v1/memory")
        tap.check(answer["vmstat"]["pgmigrate_success"] == 0, "no page was migrated in all that", answer["vmstat"])
        bad = re.findall(r"^.*(?:BUG:|WARNING:|Oops|Kernel panic|Call Trace).*$", vm.log(), re.M)
        tap.check(not bad, "the kernel has nothing to complain about", vm.log()[-3000:] if bad else "")
        agent.close()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
