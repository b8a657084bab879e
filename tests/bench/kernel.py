#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`squeezy bench kernel --quick`: instructions and counts against their bars. Uses the kernel with jump labels if it was built, else the
kernel for emulation, whose bars are wider where it tests what the other patches. No time is judged."""
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 1100
JUMP_LABELS = "build/kernel/kvm/bzImage"
# Each is a row that must be there: a bench that measures nothing misses nothing.
ROWS = ["clock:", "fault, 4k: claiming", "fault, thp: claiming", "drain of an empty partition, 512 MiB", "beside 1 and 8 others",
        "from parked", "boot: 64 partitions", "mkdir of a cgroup with 65"]


def bench(*options):
    return subprocess.run(["build/squeezy", "bench", "kernel", *options], cwd=TOP, capture_output=True, text=True, timeout=LIMIT_S,
                          check=False)


def verdicts():
    """Yields (held, text) for all that must hold."""
    missing = bench("--only", "fault-stock", "--stock-kernel", "/nonexistent")
    yield missing.returncode == 2 and "kernel/scripts/build.sh --variant kvm --stock" in missing.stderr, "a missing kernel is named with its command"
    unknown = bench("--only", "fault-on,nothing")
    yield unknown.returncode == 2 and "nothing" in unknown.stderr and "fault-stock" in unknown.stderr, "a boot that does not exist is refused"
    options = ["--quick", "--json"]
    if not os.path.exists(os.path.join(TOP, JUMP_LABELS)):
        options += ["--counted-kernel", "build/kernel/bzImage"]
    done = bench(*options)
    yield done.returncode in (0, 1) and done.stdout, f"bench kernel --quick runs {done.stderr[-300:]}"
    rows = json.loads(done.stdout)["rows"] if done.stdout else []
    for wanted in ROWS:
        yield any(wanted in row["what"] for row in rows), f"there is a row '{wanted}'"
    for row in rows:
        if row["verdict"] != "reported":
            yield row["verdict"] == "held", f"{row['what']}: {row['measured']} (bar: {row['bar']})"
    missed = any(row["verdict"] == "MISSED" for row in rows)
    yield done.returncode == missed, "the exit status is the verdict"


def main():
    failed = number = 0
    for number, (held, text) in enumerate(verdicts(), 1):
        failed += not held
        print(f"{'ok' if held else 'not ok'} {number} - {' '.join(text.split())}", flush=True)
    print(f"1..{number}")
    sys.exit(failed > 0)


main()
