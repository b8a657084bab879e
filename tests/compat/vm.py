# SPDX-License-Identifier: Apache-2.0
"""One boot of one kernel that runs a list of programs; reuses the machinery of tests/kernel/run.py."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "..", ".."))
ROOT_IMAGE = os.path.join(TOP, "build", "image", "root.erofs")
MIB = 1 << 20
PARTITION = 512 * MIB
MEMORY_MIB = 1536
SCRATCH = 1024 * MIB
BOOT_SECONDS = 300
SPARE_SECONDS = 300


sys.path.append(os.path.join(TOP, "tests", "kernel"))


def load_kernel_tests():
    spec = importlib.util.spec_from_file_location("kernel_tests", os.path.join(TOP, "tests", "kernel", "run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PARTITIONS, module.PARTITION = 1, PARTITION
    return module


kernel_tests = load_kernel_tests()
LAYOUT = f"squeezy=1x{PARTITION // MIB}M"


def write_initramfs(path, setup):
    """busybox, our guest programs, and what to run."""
    files = {"jobs.json": (0o100644, json.dumps(setup).encode())}
    for name in ("init", "enter", "inside", "jobs.py"):
        with open(os.path.join(HERE, "guest", name), "rb") as f:
            files[name] = (0o100755, f.read())
    with open(os.path.join(TOP, "build", "compat", "image", "bin", "busybox"), "rb") as f:
        files["bin/busybox"] = (0o100755, f.read())
    with open(path, "wb") as f:
        for folder in ("dev", "root", "bin"):
            f.write(kernel_tests.entry(folder, 0o40755))
        f.write(kernel_tests.entry("dev/console", 0o20600, rdev=(5, 1)))
        for name, (mode, data) in files.items():
            f.write(kernel_tests.entry(name, mode, data))
        f.write(kernel_tests.entry("TRAILER!!!", 0))


def make_scratch(path):
    with open(path, "wb") as f:
        f.truncate(SCRATCH)
    subprocess.run(["/usr/sbin/mkfs.ext2", "-q", "-F", "-m", "0", path], check=True, timeout=60)


def machine(workdir, cmdline):
    def disk(name, path, more):
        return ["-drive", f"if=none,id={name},file={path},format=raw,{more}", "-device", f"virtio-blk-pci,drive={name}"]

    return kernel_tests.Variant(
        cmdline, memory_mib=MEMORY_MIB, qemu=[
            *disk("root", ROOT_IMAGE, "readonly=on,file.locking=off"),
            *disk("image", os.path.join(TOP, "build", "compat", "image.erofs"), "readonly=on,file.locking=off"),
            *disk("scratch", os.path.join(workdir, "scratch"), "cache=unsafe"),
            "-device", "virtio-serial-pci", "-chardev", f"file,id=results,path={workdir}/results", "-device", "virtserialport,chardev=results",
        ])


class Boot:
    """One boot. `unfinished` is the program that ran when the machine ended, `ended` how many had ended before. What the kernel complains of
    between two programs is counted to the earlier one (`latest`), before the first to that."""

    def __init__(self, kernel, cmdline, claim, jobs, log):
        self.kernel, self.cmdline, self.log = kernel, cmdline, log
        self.setup = {"claim": claim, "limit": PARTITION, "jobs": jobs}
        self.unfinished, self.ended, self.splats, self.latest = None, 0, {}, jobs[0]["name"]

    def run(self, on_record):
        """Calls back with the record of each program that ended, also when we are interrupted."""
        with tempfile.TemporaryDirectory() as workdir:
            try:
                self.run_in(workdir)
            finally:
                self.harvest(f"{workdir}/results", on_record)

    def run_in(self, workdir):
        write_initramfs(f"{workdir}/initramfs", self.setup)
        make_scratch(f"{workdir}/scratch")
        command = kernel_tests.qemu_command(self.kernel, f"{workdir}/initramfs", machine(workdir, self.cmdline), f"{workdir}/qmp", "")
        proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
        timer = threading.Timer(BOOT_SECONDS + sum(job["seconds"] + SPARE_SECONDS for job in self.setup["jobs"]), proc.kill)
        timer.start()
        try:
            qmp = kernel_tests.Qmp(f"{workdir}/qmp")
            qmp.call("qom-set", path="/machine/peripheral/vm0", property="requested-size", value=PARTITION)
            with open(self.log, "a") as f:
                for line in proc.stdout:
                    f.write(line)
                    f.flush()
                    self.look_at(line.rstrip())
        finally:
            timer.cancel()
            proc.kill()
            proc.wait()

    def look_at(self, line):
        if match := re.search(r"compat: start (\S+)", line):
            self.unfinished = self.latest = match[1]
        elif re.search(r"compat: end ", line):
            self.unfinished = None
        elif kernel_tests.SPLAT.search(line):
            self.splats.setdefault(self.latest, []).append(line[:160])

    def harvest(self, path, on_record):
        if not os.path.exists(path):
            return
        with open(path) as f:
            for record in (json.loads(line) for line in f if line.endswith("\n")):
                record["splats"] = self.splats.get(record["name"], [])
                self.ended += 1
                on_record(record)
