#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs other people's tests (programs.py) on a stock kernel and on ours, and compares.

Modes: "stock"; "off" (ours without squeezy=); "outside" (ours with a partition that nobody claims); "claim" (each program in a cgroup
that claims the partition). A result is kept in build/compat/results until the kernel, the programs or the way to run them changes, so a
run that was interrupted goes on where it was. Prints TAP: every program and each of its subtests must end as on the stock kernel in the same run,
or as differences.tsv explains, and what must-pass.tsv lists must pass whole.

With --must-pass only that list is run and only that rule is applied; this is what ./check kernel does, in a claim on the product kernel.

    run.py [--mode MODE]... [--kernel BZIMAGE] [--stock BZIMAGE] [--only REGEX] [--must-pass] [--show]
"""

import argparse
import fnmatch
import hashlib
import json
import os
import re
import signal
import subprocess
import sys

import programs
import verdicts
import vm

HERE, TOP = vm.HERE, vm.TOP
OUT = os.path.join(TOP, "build", "compat")
MODES = ("stock", "off", "outside", "claim")
MOST_BOOTS = 4


def table(name):
    """Rows of a tab separated file; '#' starts a comment line."""
    with open(os.path.join(HERE, name)) as f:
        return [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]


def hash_of(*paths):
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            total.update(f.read())
    return total.hexdigest()[:16]


def jobs_of(mode, options):
    jobs = [programs.CLAIMED] * (mode == "claim")
    wanted = {row[0] for row in table("must-pass.tsv") if row[2] != "-"} if options.must_pass else None
    for job in programs.ALL:
        if (not options.only or re.search(options.only, job["name"])) and (wanted is None or job["name"] in wanted):
            jobs.append(job)
    return jobs


class Results:
    """Records of one mode on one kernel, on disk as they come."""

    def __init__(self, mode, kernel):
        guest = [os.path.join(HERE, "guest", name) for name in sorted(os.listdir(os.path.join(HERE, "guest")))]
        key = hash_of(kernel, os.path.join(OUT, "image.key"), os.path.join(HERE, "vm.py"), *guest)
        os.makedirs(os.path.join(OUT, "results"), exist_ok=True)
        self.path = os.path.join(OUT, "results", f"{mode}-{key}.jsonl")
        self.records = {}
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.records = {(r := json.loads(line))["name"]: r for line in f}

    def has(self, job):
        return self.records.get(job["name"], {}).get("job") == job

    def add(self, record, job):
        record["job"] = job
        self.records[job["name"]] = record
        with open(self.path, "a") as f:
            f.write(json.dumps(record) + "\n")


def run_mode(mode, kernel, jobs):
    """Runs what has no result yet. A program that takes the machine with it is recorded so, and the rest goes on in a new boot."""
    results = Results(mode, kernel)
    by_name = {job["name"]: job for job in jobs}
    # The same layout each time: mremap_test, for one, fails on any kernel when chance has put a library where it wants to map.
    cmdline = "loglevel=5 norandmaps" + (f" {vm.LAYOUT}" if mode in ("outside", "claim") else "")
    log = os.path.join(TOP, "build", "log", f"compat-{mode}.log")
    if os.path.exists(log):
        os.unlink(log)
    for _ in range(MOST_BOOTS):
        left = [job for job in jobs if not results.has(job)]
        if not left:
            break
        boot = vm.Boot(kernel, cmdline, mode == "claim", left, log)
        boot.run(lambda record: results.add(record, by_name[record["name"]]))
        if boot.unfinished and not results.has(by_name[boot.unfinished]):
            results.add({"name": boot.unfinished, "status": None, "seconds": 0, "output": "", "faults": "the machine went down", "splats":
                         boot.splats.get(boot.unfinished, [])}, by_name[boot.unfinished])
        elif not boot.ended:
            break
    return {job["name"]: results.records[job["name"]] for job in jobs if results.has(job)}, log


class Judge:
    def __init__(self, options):
        self.number = self.failed = 0
        self.differences = table("differences.tsv")
        self.must_pass = {row[0]: row[1:] for row in table("must-pass.tsv")}
        self.options = options
        self.stock = {}

    def tell(self, ok, what, notes=()):
        self.number += 1
        self.failed += not ok
        for note in notes if not ok else ():
            print(f"# {note}")
        print(f"{'ok' if ok else 'not ok'} {self.number} - {what}", flush=True)

    def explained(self, mode, name, subtest, result):
        return any(fnmatch.fnmatchcase(name, row[0]) and mode in row[1].split(",") and re.search(row[2], subtest) and row[3] in (result, "any")
                   for row in self.differences)

    def unlike_stock(self, mode, name, result, subtests):
        """The program or subtests of it that end otherwise than on the stock kernel, and no line says why."""
        if name not in self.stock:
            return [f"was not run on the stock kernel, so that {result} says nothing"]
        stock_result, stock_subtests = self.stock[name]
        here, there = {"the program": result, **subtests}, {"the program": stock_result, **stock_subtests}
        return [f"{what}: {there.get(what, 'not run')} on stock, {here.get(what, 'not run')} here" for what in sorted(set(here) | set(there))
                if here.get(what) != there.get(what) and not self.explained(mode, name, what, here.get(what, "not run"))]

    def must(self, name, result, subtests):
        """What is wrong by must-pass.tsv. A subtest that is skipped is missing among those that passed."""
        least = self.must_pass[name][self.options.must_pass]
        wrong = [f"{subtest}: {r}" for subtest, r in subtests.items() if r == verdicts.FAIL]
        if result != verdicts.PASS:
            wrong.append(f"it must pass and ended with {result}")
        if subtests.count(verdicts.PASS) < int(least):
            wrong.append(f"{subtests.count(verdicts.PASS)} subtests passed, {least} must")
        return wrong

    def judge(self, mode, job, record):
        name = job["name"]
        if record is None:
            return self.tell(False, f"{mode} {name}: was not run")
        subtests = verdicts.parse(record["output"])
        result = verdicts.of_program(name, record["status"], subtests)
        if mode == "stock":
            self.stock[name] = result, subtests
        wrong = [f"kernel: {line}" for line in record["splats"]]
        if record["faults"]:
            wrong.append(record["faults"])
        if name in self.must_pass and mode != "stock" and self.must_pass[name][self.options.must_pass] != "-":
            wrong += self.must(name, result, subtests)
        if not self.options.must_pass and name != "placed":
            wrong += self.unlike_stock(mode, name, result, subtests)
        if wrong:
            wrong += record["output"].splitlines()[-5:]
        counts = "/".join(str(subtests.count(r)) for r in (verdicts.PASS, verdicts.FAIL, verdicts.SKIP))
        self.tell(not wrong, f"{mode} {name}: {result}, subtests {counts} in {record['seconds']} s", wrong[:30])


def show(mode, jobs, records):
    for job in jobs:
        record = records.get(job["name"])
        if record is None:
            print(f"{mode}\t{job['name']}\tnot run")
            continue
        subtests = verdicts.parse(record["output"])
        print("\t".join((mode, job["name"], verdicts.of_program(job["name"], record["status"], subtests), str(record["status"]),
                         "/".join(str(subtests.count(r)) for r in (verdicts.PASS, verdicts.FAIL, verdicts.SKIP)), str(record["seconds"]),
                         record["faults"], " ".join(record["splats"])[:300])), flush=True)


def main():
    # An interrupted run keeps what it has.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--kernel", default=os.path.join(TOP, "build", "kernel", "compat", "bzImage"))
    parser.add_argument("--stock", default=os.path.join(TOP, "build", "kernel", "compat-stock", "bzImage"))
    parser.add_argument("--only")
    parser.add_argument("--must-pass", action="store_true", help="only that rule, and what its list asks of the product kernel")
    parser.add_argument("--show", action="store_true", help="print a table, judge nothing")
    options = parser.parse_args()
    for path in {vm.ROOT_IMAGE, *(options.stock if mode == "stock" else options.kernel for mode in options.mode or MODES)}:
        if not os.path.exists(path):
            parser.error(f"{path} is missing: tools/build makes the image and the product kernel, tests/long/compat the other two kernels")
    subprocess.run([os.path.join(HERE, "build-image")], check=True)
    os.makedirs(os.path.join(TOP, "build", "log"), exist_ok=True)
    judge = Judge(options)
    for mode in options.mode or MODES:
        jobs = jobs_of(mode, options)
        records, log = run_mode(mode, options.stock if mode == "stock" else options.kernel, jobs)
        if options.show:
            show(mode, jobs, records)
            continue
        for job in jobs:
            judge.judge(mode, job, records.get(job["name"]))
        print(f"# the console of {mode}: {log}", flush=True)
    if options.show:
        return 0
    print(f"1..{judge.number}")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main())
