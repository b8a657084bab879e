#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the programs with address and undefined-behaviour sanitizers and runs the unit tests of meson.build.

usage: run-unit.py BUILD_DIR. Prints TAP: one line per case of a program that speaks TAP itself (cmocka does), else one per program.
"""
import json
import os
import re
import subprocess
import sys

ENVIRONMENT = {
    "CMOCKA_MESSAGE_OUTPUT": "TAP",
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def build(folder):
    steps = []
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        steps.append(["meson", "setup", "-Db_sanitize=address,undefined", "-Db_lundef=false", folder])
    steps.append(["ninja", "-C", folder])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            print("# %s failed:" % " ".join(step))
            for line in (done.stdout + done.stderr).splitlines()[-20:]:
                print("#   " + line)
            print("not ok 1 - build with sanitizers\n1..1")
            sys.exit(1)


def tests(folder):
    listed = subprocess.run(["meson", "introspect", "--tests", folder], capture_output=True, text=True, check=True)
    return json.loads(listed.stdout)


def run(test):
    environment = dict(os.environ, **ENVIRONMENT)
    environment.update(test["env"])
    try:
        done = subprocess.run(test["cmd"], capture_output=True, text=True, errors="replace", cwd=test["workdir"],
                              env=environment, timeout=max(test["timeout"], 60), check=False)
    except subprocess.TimeoutExpired:
        return 124, "", "did not end in time"
    return done.returncode, done.stdout, done.stderr


def cases(name, status, out, err):
    """Yields (verdict, text, comments) of one program."""
    verdicts = 0
    bad = False
    notes = []
    for line in out.splitlines() + err.splitlines():
        match = re.match(r"(ok|not ok) \d+ -? ?(.*)", line)
        if match:
            verdicts += 1
            bad = bad or match.group(1) == "not ok"
            yield match.group(1), "%s: %s" % (name, match.group(2)), notes
            notes = []
        elif not re.match(r"1\.\.\d+|TAP version", line):
            notes.append(line)
    if verdicts == 0 or (status not in (0, 77) and not bad):
        verdict = "ok" if status in (0, 77) else "not ok"
        yield verdict, "%s (status %d)%s" % (name, status, " # SKIP" if status == 77 else ""), notes


def main():
    build(sys.argv[1])
    number = 0
    failed = False
    for test in tests(sys.argv[1]):
        for verdict, text, notes in cases(test["name"], *run(test)):
            number += 1
            failed = failed or verdict == "not ok"
            if verdict == "not ok":
                for note in notes[-40:]:
                    print("# " + note)
            print("%s %d - %s" % (verdict, number, text))
    print("1..%d" % number)
    sys.exit(failed)


if __name__ == "__main__":
    main()
