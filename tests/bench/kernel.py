#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`squeezy bench kernel --quick`: instructions and counts against their bars. Uses the kernel with jump labels if it was built, else the
kernel for emulation. No stock kernel is booted here, so a fault is compared with our kernel without squeezy=, and the bars of those who do not
claim are wider; `tests/long/bench-kernel` has the stock kernel and the bars of the issue. No time is judged."""
import collections
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 1100
JUMP_LABELS = "build/kernel/kvm/bzImage"
# All rows that are judged, and no others: a bench that measures nothing misses nothing.
JUDGED = [
    "clock: a loop of 20 million instructions",
    "fault, 4k: nobody claims",
    "fault, 4k: another cgroup claims",
    "fault, 4k: claiming",
    "fault, thp: nobody claims",
    "fault, thp: another cgroup claims",
    "fault, thp: claiming",
    "drain of an empty partition, 128 MiB",
    "drain of an empty partition, 512 MiB",
    "drain of 128 MiB beside 1 and 8 others in use",
    "a shrink that needs a claimed partition is told so after",
    "a drain whose page a pipe holds is told so after",
    "a drain whose pages a ring has pinned is told so after",
    "a drain is over, whose pages a process has taken along, after",
    "a drain is over, some of whose pages have failed, after",
    "first populate of 512 MiB, and the stock driver's plug",
    "populate of 512 MiB from parked",
    "boot: 64 partitions add",
    "mkdir of a cgroup with 1 possible nodes",
    "mkdir of a cgroup with 65 possible nodes",
]


def bench(*options):
    return subprocess.run(["build/squeezy", "bench", "kernel", *options], cwd=TOP, capture_output=True, text=True, timeout=LIMIT_S,
                          check=False)


def row_verdicts(rows):
    """The same for the rows of the report."""
    judged = [row for row in rows if row["verdict"] != "reported"]
    none = {"measured": "there is no such row", "bar": "?", "verdict": "MISSED"}
    for wanted in JUDGED:
        row = next((row for row in judged if row["what"] == wanted), none)
        yield row["verdict"] == "held", f"{wanted}: {row['measured']} (bar: {row['bar']})"
    others = collections.Counter(row["what"] for row in judged) - collections.Counter(JUDGED)
    yield judged and not others, f"{len(JUDGED)} rows are judged and no others: there are {len(judged)} {sorted(others)}"
    empty = [row["what"] for row in rows if row["measured"].startswith("no result")]
    yield rows and not empty, f"every row has its results {empty}"


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
    yield from row_verdicts(rows)
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
