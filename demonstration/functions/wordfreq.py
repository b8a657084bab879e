# SPDX-License-Identifier: Apache-2.0
"""How often each word occurs in a text the caller sends.

args: text (string), top (int, default 10). A word is a run of ASCII letters, compared in lower case.
Answer: words (int), distinct (int), top ([[word, count], ...], most frequent first, then alphabetical).
"""
import collections
import re


def main(args):
    words = re.findall("[a-z]+", args["text"].lower())
    counts = collections.Counter(words)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {"words": len(words), "distinct": len(counts), "top": [[w, n] for w, n in ranked[:args.get("top", 10)]]}
