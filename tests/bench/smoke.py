#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each experiment of `squeezy bench` once, as small as it goes: shape of its report, counts, refusal of bad options. No time is judged."""
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 500
PER_SAMPLE = ["samples_ms", "guest_ms", "busy_madvise_ms", "host_free_ms", "host_resident_before_bytes", "host_resident_after_bytes"]
number = 0
failed = 0


def verdict(held, text, why=""):
    global number, failed
    number += 1
    if not held:
        failed += 1
        for line in str(why).splitlines()[-5:]:
            print("# " + line)
    print("%s %d - %s" % ("ok" if held else "not ok", number, text), flush=True)


def bench(*options):
    done = subprocess.run(["build/squeezy", "bench", *options], cwd=TOP, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = None
    return done, report


def check_shape(report):
    verdict(report["accel"] in ("tcg", "kvm") and report["kernel"], "the report says accelerator and kernel", report)
    measured = [(r["method"], r["schedule"]) for r in report["results"]]
    verdict(measured == [("squeezy", "after the end"), ("squeezy", "with the kill"), ("virtio-mem", "after the end")],
            "both methods were measured, partitions in both schedules", measured)
    lengths = {len(result[key]) for result in report["results"] for key in PER_SAMPLE}
    verdict(lengths == {1}, "one value per sample", lengths)
    verdict(len(report["ratios"]) == 1 and report["ratios"][0]["median_ratio"] > 0, "one ratio", report["ratios"])


def check_counts(report):
    ours = report["results"][0]
    fell = ours["host_resident_before_bytes"][0] - ours["host_resident_after_bytes"][0]
    verdict(ours["pages_migrated"] == 0, "no page was migrated with partitions", ours)
    verdict(ours["touched_bytes"] >= 0.9 * ours["size_bytes"], "the instance had written 90 % of its limit", ours)
    verdict(fell >= 0.95 * ours["touched_bytes"], "the host's resident size fell by what was written", ours)
    answering = [m for m in report["must_hold"] if "answered" in m["what"]]
    verdict(len(answering) == 3 and all(m["held"] for m in answering), "the other instances answered", answering)


def reclaim():
    done, report = bench("reclaim", "--quick", "--against", "virtio-mem", "--json")
    verdict(done.returncode in (0, 1) and report is not None, "bench reclaim --quick runs", done.stderr)
    if report is not None:
        check_shape(report)
        check_counts(report)
        verdict(done.returncode == (0 if all(m["held"] for m in report["must_hold"]) else 1), "the exit status is the verdict",
                done.returncode)


def populate():
    done, report = bench("populate", "--quick", "--json")
    verdict(done.returncode == 0 and report is not None, "bench populate --quick runs", done.stderr)
    if report is not None:
        verdict(report["first"]["n"] == report["partitions"] and report["parked"]["n"] == report["partitions"],
                "each partition was populated twice", report)


def invoke():
    done, report = bench("invoke", "--quick", "--json")
    verdict(done.returncode in (0, 1) and report is not None, "bench invoke --quick runs", done.stderr)
    if report is not None:
        verdict(report["cpu_us_per_call"]["median"] > 0 and report["calls_per_s"]["median"] > 0, "it counted CPU and calls", report)
        verdict([row["entities"] for row in report["lists"]] == [100, 150, 100, 300], "lists of two lengths of both collections", report["lists"])
        verdict(report["idle"]["resident_bytes"] > 0, "idle connections were held", report["idle"])


def refusals():
    for options, word in ((["reclaim", "--size", "100M"], "128M"), (["reclaim", "--kernel", "/nonexistent"], "/nonexistent"),
                          (["nothing"], "nothing")):
        done, _ = bench(*options)
        verdict(done.returncode == 2 and word in done.stderr, "bench %s is refused with a reason" % " ".join(options), done.stderr)


def main():
    refusals()
    reclaim()
    populate()
    invoke()
    print("1..%d" % number)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
