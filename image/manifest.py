#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lists what is in an unpacked image: package, version, licences, one line each, tab-separated.

usage: manifest.py ROOT. Licences are the short names of /usr/share/doc/PACKAGE/copyright: those of the machine-readable format where it is
used, else the files of /usr/share/common-licenses it refers to, else the well-known ones it quotes.
"""
import json
import os
import re
import sys

QUOTED = (
    ("Apache License", "Apache-2.0"), ("Mozilla Public License", "MPL-2.0"), ("Permission is hereby granted, free of charge", "Expat"),
    ("Redistribution and use in source and binary forms", "BSD"), ("public domain", "public-domain"), ("Python Software Foundation", "PSF-2.0"),
    ("GNU General Public License", "GPL"), ("GNU Lesser General Public License", "LGPL"), ("provided 'as-is'", "Zlib"),
)


def packages(root):
    """(name, version) of each installed package."""
    with open(os.path.join(root, "var/lib/dpkg/status"), encoding="utf-8") as status:
        for entry in status.read().split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", entry, re.M))
            if fields.get("Status") == "install ok installed":
                yield fields["Package"], fields["Version"]


def inside(root, path):
    """A path below root with symbolic links followed inside it; None if it is not there."""
    for _ in range(8):
        full = os.path.join(root, path)
        head = os.path.dirname(full)
        if os.path.islink(head):
            target = os.readlink(head)
            start = "" if target.startswith("/") else os.path.dirname(os.path.dirname(path))
            path = os.path.normpath(os.path.join(start, target.lstrip("/"), os.path.basename(path)))
        elif os.path.islink(full):
            target = os.readlink(full)
            start = "" if target.startswith("/") else os.path.dirname(path)
            path = os.path.normpath(os.path.join(start, target.lstrip("/")))
        else:
            return full if os.path.exists(full) else None
    return None


def node_packages(root):
    """(name, version, licence) of each npm package, and of node itself."""
    folder = os.path.join(root, "usr/lib/squeezy/runtimes/nodejs")
    paths = [os.path.join(folder, "node.json")]
    for place, folders, files in os.walk(os.path.join(folder, "node_modules")):
        parent = os.path.basename(os.path.dirname(place))
        if "package.json" in files and (parent == "node_modules" or parent.startswith("@")):
            paths.append(os.path.join(place, "package.json"))
    for path in paths:
        with open(path, encoding="utf-8") as file:
            package = json.load(file)
        licence = package.get("license") or "unknown"
        yield "npm:" + package["name"], package["version"], licence if isinstance(licence, str) else licence.get("type", "unknown")


def licences(text):
    if re.search(r"^Format:.*(copyright-format|dep5)", text, re.M | re.I):
        names = re.findall(r"^License:[ \t]*(\S[^\n]*)$", text, re.M)
        if names:
            return sorted({re.sub(r"\s+", " ", name.strip()) for name in names})
    names = re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.+-]*[A-Za-z0-9])", text)
    if not names:
        plain = re.sub(r"\s+", " ", text)
        names = [name for phrase, name in QUOTED if phrase in plain]
    return sorted(set(names))


def main():
    root = sys.argv[1]
    print("package\tversion\tlicences")
    for name, version in sorted(packages(root)):
        path = inside(root, "usr/share/doc/%s/copyright" % name)
        found = []
        if path:
            with open(path, encoding="utf-8", errors="replace") as file:
                found = licences(file.read())
        print("%s\t%s\t%s" % (name, version, ", ".join(found) or "unknown"))
    for line in sorted(node_packages(root)):
        print("%s\t%s\t%s" % line)


if __name__ == "__main__":
    main()
