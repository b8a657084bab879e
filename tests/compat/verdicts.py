# SPDX-License-Identifier: Apache-2.0
"""From what a program printed to results: one for the program, one for each of its subtests."""

import re

PASS, FAIL, SKIP = "PASS", "FAIL", "SKIP"
KSFT_SKIP = 4
STRESS_NG_SKIP = {2: "no resources", 3: "no resources", 4: "not implemented"}

TAP = re.compile(r"(?P<not>not )?ok\b(?: (?P<number>\d+))?(?: -)? ?(?P<name>.*?)(?: *# *(?P<directive>SKIP|XFAIL|XPASS|TODO)\b *(?P<why>.*))?$")
RUN = re.compile(r"# \[(?:RUN|INFO)\] (?P<name>.*)")
UFFD = re.compile(r"Testing (?P<name>.*?)\.\.\. *(?P<result>done|skipped|failed)")
KHUGEPAGED_NAME = re.compile(r"Run test: (?P<name>\S+ \(\S+\))")
KHUGEPAGED_RESULT = re.compile(r".*\.\.\. *(?:\x1b\[[0-9;]*m)?(?P<result>OK|Success|Fail|Skip|Unexpected)")
PLAIN = re.compile(r"\[(?P<result>PASS|OK|FAIL|SKIP)\]\s*(?P<name>.*)")
# What changes from run to run in a name: addresses, times, pids.
VARIES = re.compile(r"0x[0-9a-f]+|Extra pages.*|\b\d+ *(?:ns|us|ms|s)\b|mremap time:.*")


class Subtests(dict):
    """name -> result; a name that comes again gets a number."""

    def add(self, name, result):
        name = VARIES.sub("", name).strip() or "?"
        base, number = name, 1
        while name in self:
            number += 1
            name = f"{base} #{number}"
        self[name] = result

    def count(self, result):
        return sum(r == result for r in self.values())


def from_tap(line, context, subtests):
    match = TAP.fullmatch(line)
    if not match:
        return False
    directive = match["directive"]
    result = SKIP if directive == "SKIP" else FAIL if match["not"] and directive not in ("XFAIL", "TODO") else PASS
    # Some put the name behind the directive.
    name = match["name"] or match["why"] or ""
    subtests.add(f"{context}: {name}" if context else name, result)
    return True


def from_khugepaged(text):
    """One result a test: the worst of its steps."""
    subtests = Subtests()
    for part in KHUGEPAGED_NAME.split(text)[1:]:
        if KHUGEPAGED_NAME.fullmatch("Run test: " + part):
            name, failed, skipped = part, False, False
            continue
        results = [m["result"] for line in part.splitlines() if (m := KHUGEPAGED_RESULT.match(line))]
        failed, skipped = bool({"Fail", "Unexpected"} & set(results)), "Skip" in results
        subtests.add(name, FAIL if failed else SKIP if skipped else PASS)
    return subtests


def parse(text):
    if KHUGEPAGED_NAME.search(text):
        return from_khugepaged(text)
    subtests, context = Subtests(), ""
    for line in text.splitlines():
        if match := RUN.match(line):
            context = match["name"]
        elif from_tap(line, context, subtests):
            pass
        elif match := UFFD.match(line):
            subtests.add(match["name"], {"done": PASS, "skipped": SKIP, "failed": FAIL}[match["result"]])
        elif match := PLAIN.match(line):
            subtests.add(match["name"], {"PASS": PASS, "OK": PASS, "FAIL": FAIL, "SKIP": SKIP}[match["result"]])
    return subtests


def of_program(name, status, subtests):
    """The exit status and the subtests together; a program that forgets to fail does not pass for that."""
    if status is None or FAIL in subtests.values():
        return FAIL
    if name.startswith("stress-ng/"):
        return PASS if status == 0 else SKIP if status in STRESS_NG_SKIP else FAIL
    if status == KSFT_SKIP:
        return PASS if PASS in subtests.values() else SKIP
    if status != 0:
        return FAIL
    return SKIP if subtests and PASS not in subtests.values() else PASS
