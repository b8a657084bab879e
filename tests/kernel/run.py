#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Boots the guest kernel with a test program as init, one VM per boot variant, and prints one TAP stream.

The program (tests/kernel/guest) asks for device changes with console lines "@host request BYTES", and for anything else of QMP with
"@host qmp COMMAND JSON-ARGUMENTS"; we pass them on, and answer the latter with 0, or 1 for an error. "@host ask QUESTION" is answered
with a number, typed on the guest's console (hostmem.py; "size" is what the device says is plugged), and results are "@tap" lines; all of these come through the kernel's log,
which never cuts a line in two.
A kernel warning of any kind fails the variant. Usage: run.py [--kernel BZIMAGE] [--only VARIANT] [--log-dir DIR]
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import hostmem
from splat import SPLAT

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
GUEST = os.path.join(TOP, "tests", "kernel", "guest")
MIB = 1 << 20
PARTITIONS, PARTITION = 4, 128 * MIB
SHARED = 256 * MIB
BOOT_SECONDS = 420
# A debug kernel does more in the same time, and an emulated one has no other time.
DEBUG_SLOWER = 4
KTAP = re.compile(r"\[ *\d+\.\d+\] ( *)(?:(not ok|ok) \d+ (\S+)(.*)|1\.\.(\d+)|# Subtest: (\S+))$")
LAYOUT = f"squeezy={PARTITIONS}x{PARTITION // MIB}M"


class Variant:
    """One boot: kernel command line, words that the log must hold, suites to run, and what the machine has."""

    def __init__(self, cmdline, expected="", suites="off", memory_mib=512, qemu=(), block="2M", needs=(), seconds=BOOT_SECONDS,
                 backend="memory-backend-ram", disk=None, on_debug=True, must_fail="", allowed=(),
                 size=PARTITION, count=PARTITIONS, reboot=False, second_node_mib=0, slow=False, port=False):
        """disk: a disk with one file of so many MiB of random bytes, or "boot" for one with the kernel and the initramfs. on_debug: also
        on a debug kernel. must_fail: words of the failure that this boot must have. allowed: splats that it may have.
        memory_mib: None is what vm_base_bytes() says. second_node_mib: memory of a second NUMA node, beside memory_mib of the first;
        slow: it is slower, by the firmware's HMAT. port: the partitions'
        device is behind a port that devices can be removed from."""
        self.cmdline, self.expected, self.suites, self.memory_mib = cmdline, expected, suites, memory_mib
        self.qemu, self.block, self.needs, self.seconds = list(qemu), block, needs, seconds
        self.backend, self.disk, self.on_debug, self.must_fail, self.allowed = backend, disk, on_debug, must_fail, allowed
        self.size, self.count, self.reboot, self.second_node_mib, self.slow = size, count, reboot, second_node_mib, slow
        self.port = port

    @property
    def region(self):
        return self.count * self.size


class FakeVariant(Variant):
    """Boots with RAM that the kernel is not told of, as the memory of the device inside it, and without QEMU's virtio-mem."""

    def __init__(self, suites, more="", needs=()):
        region = PARTITIONS * PARTITION
        super().__init__(f"{LAYOUT} mem={BASE_MIB}M squeezy_fake={BASE_MIB}M,{region}{more}", WITH, suites, BASE_MIB + region // MIB + 64,
                         needs=("SQUEEZY_FAKE_DEVICE", *needs), seconds=1200, allowed=("refused as wrong", "no more memory is plugged"))


WITH = "partitions of 128 MiB"
BASE_MIB = 512
# Which random walk, and for how many seconds.
FUZZ = os.environ.get("SQUEEZY_FUZZ", "1,20")
MEMFD = "memory-backend-memfd"
# A disk whose reads the guest can have held up.
SLOW_DISK = ("-drive", "if=none,id=null,driver=null-co,size=64M,read-zeroes=on", "-device", "virtio-blk-pci,drive=null")
# Claims, drains, where memory comes from, what holds it, what is full: for kernels that treat every page in a way of their own.
BROAD = "claim,drain,placement,processes,huge,remote,nobodys,holders,late-tasks,full,full-exits,reclaim,waiting"
VARIANTS = {
    "partitions": Variant(LAYOUT, WITH, "claim,drain"),
    "placement": Variant(LAYOUT, WITH, "placement,processes,huge,remote,nobodys,outside", seconds=900),
    "exclusion": Variant(LAYOUT, WITH, "exclusion", seconds=900),
    # Partitions behind a second node of the firmware's, which there is then to migrate to; slower than the first, also to demote to.
    "two-nodes": Variant(LAYOUT, "on nodes 2 to 5", "exclusion,claim,drain", second_node_mib=256, seconds=900),
    "cpuset": Variant(LAYOUT, "on nodes 2 to 5", "cpuset", second_node_mib=256, needs=("CPUSETS",), seconds=900),
    "slow-node": Variant(LAYOUT + " slow_node=1", "on nodes 2 to 5", "exclusion", second_node_mib=256, slow=True, needs=("ACPI_HMAT",), seconds=900),
    "secrecy": Variant(LAYOUT, WITH, "secrecy", backend=MEMFD),
    "secrecy-init": Variant(LAYOUT + " init_on_alloc=1 init_on_free=1", WITH, "secrecy", backend=MEMFD),
    "secrecy-poison": Variant(LAYOUT + " page_poison=1", WITH, "secrecy", backend=MEMFD, needs=("PAGE_POISONING",), seconds=900),
    "reporting": Variant(LAYOUT, WITH, "reporting", backend=MEMFD, qemu=["-device", "virtio-balloon-pci,free-page-reporting=on"]),
    "walkers": Variant(LAYOUT, WITH, "walkers,hugetlb,pins", backend=MEMFD, seconds=900,
                       needs=("PROC_KCORE", "IDLE_PAGE_TRACKING", "DAMON_PADDR", "DAMON_SYSFS", "HUGETLBFS", "GUP_TEST")),
    "shared": Variant(LAYOUT, WITH, "shared", disk=320),
    "hostile": Variant(LAYOUT, WITH, "holders,late-tasks,poison", needs=("MEMORY_FAILURE",), qemu=SLOW_DISK, seconds=900),
    "full": Variant(LAYOUT + " psi=1", WITH, "full,full-exits,reclaim"),
    "stress": Variant(LAYOUT, WITH, "stress", seconds=1200),
    "check": Variant(LAYOUT, WITH, "check", needs=("SQUEEZY_DEBUG",)),
    "faults": Variant(LAYOUT, WITH, "faults", needs=("FAILSLAB", "FAIL_PAGE_ALLOC", "MEMORY_NOTIFIER_ERROR_INJECT"),
                      allowed=("Huh VM_FAULT_OOM",)),  # once for each allocation of a fault that is made to fail
    "fake-answers": FakeVariant("fakeanswers,fakelost"),
    "fake-config": FakeVariant("fakeconfig"),
    "fake-fuzz": FakeVariant(f"fakefuzz fuzz={FUZZ}"),
    "init-on-free": Variant(LAYOUT + " init_on_alloc=1 init_on_free=1 psi=1", "heap alloc:on, heap free:on", BROAD, qemu=SLOW_DISK, seconds=900),
    "page-poison": Variant(LAYOUT + " page_poison=1 psi=1", WITH, BROAD, qemu=SLOW_DISK, needs=("PAGE_POISONING",), seconds=900),
    "slub-debug": Variant(LAYOUT + " slub_debug=FZPU psi=1", WITH, "options," + BROAD, qemu=SLOW_DISK, needs=("DEBUG_VM", "SLUB_DEBUG"), seconds=900),
    "page-owner": Variant(LAYOUT + " page_owner=on psi=1", WITH, "options," + BROAD, qemu=SLOW_DISK, needs=("PAGE_OWNER",), seconds=900),
    "kmemleak": Variant(LAYOUT + " kmemleak=on", WITH, "claim,drain,holders,late-tasks,poison,controller,leaks", memory_mib=768, qemu=SLOW_DISK,
                        needs=("DEBUG_KMEMLEAK", "MEMORY_FAILURE"), seconds=900),
    "kmemleak-fake": FakeVariant("fakeconfig,fakeanswers,fakelost,leaks", " kmemleak=on", ("DEBUG_KMEMLEAK",)),
    "planted-warning": Variant(LAYOUT, WITH, "plant_warning", needs=("SQUEEZY_DEBUG",), must_fail="mm/squeezy/debug.c"),
    "planted-leak": Variant(LAYOUT + " kmemleak=on", WITH, "plant_leak,leaks", needs=("SQUEEZY_DEBUG", "DEBUG_KMEMLEAK"),
                            must_fail="kmemleak finds nothing"),
    "maps": Variant("squeezy=4x256M", "partitions of 256 MiB", "maps", size=256 * MIB, seconds=900),
    # Lockdep calls an offline through sysfs and a removal, on any 6.12, a possible deadlock: device_hotplug_lock, which keeps them apart, is
    # tried there and not waited for.
    "maps-lock": Variant("squeezy=4x256M", "partitions of 256 MiB", "maps-lock", size=256 * MIB, on_debug=False),
    "maps-online": Variant("squeezy=3x256M memhp_default_state=online", "partitions of 256 MiB", "maps", size=256 * MIB, count=3, seconds=900),
    "maps-fail": Variant("squeezy=3x256M", "partitions of 256 MiB", "maps-fail", size=256 * MIB, count=3, needs=("MEMORY_NOTIFIER_ERROR_INJECT",),
                         allowed=("vmemmap alloc failure",)),
    "maps-fail-plugged": Variant(LAYOUT + " init_on_free=1", WITH, "maps-fail,claim", needs=("MEMORY_NOTIFIER_ERROR_INJECT",),
                                 allowed=("vmemmap alloc failure",)),
    "maps-room": Variant("squeezy=2x32G", "no memory map (error -12)", "maps-room", size=32768 * MIB, count=2),
    # With the boot memory that the runtime gives such a VM. Few and large partitions: most of it is maps.
    "base-16": Variant("squeezy=16x1G", "partitions of 1024 MiB", "base", size=1024 * MIB, count=16, memory_mib=None, seconds=900, on_debug=False),
    "base-64": Variant("squeezy=64x128M", WITH, "base", count=64, memory_mib=None, seconds=900, on_debug=False),
    "base-126": Variant("squeezy=126x128M", WITH, "base", count=126, memory_mib=None, seconds=900, on_debug=False),
    "driver": Variant(LAYOUT, WITH, "driver", seconds=900),
    "driver-4m": Variant(LAYOUT, "device blocks of 4096 KiB", "driver", block="4M", seconds=900, port=True),
    "driver-64m": Variant(LAYOUT, "device blocks of 65536 KiB", "driver", block="64M", seconds=900),
    "driver-256m": Variant(LAYOUT, "block size 268435456 does not divide", "driver-none", block="256M"),
    "driver-twins": Variant(LAYOUT, "left to the stock driver", "claim", qemu=(
        "-object", f"memory-backend-ram,id=mem2,size={PARTITIONS * PARTITION},reserve=off",
        "-device", "virtio-mem-pci,id=vm2,memdev=mem2,node=0,requested-size=128M,block-size=2M")),
    "driver-kdump": Variant(LAYOUT + " elfcorehdr=0x4000000000", "left to the stock driver", "driver-none", needs=("PROC_VMCORE",)),
    "driver-power": Variant(LAYOUT, WITH, "driver-power", needs=("SUSPEND",)),
    "driver-reboot": Variant(LAYOUT, WITH, "driver-reboot", reboot=True),
    "driver-kexec": Variant(LAYOUT, WITH, "kexec", backend=MEMFD, disk="boot", needs=("KEXEC_FILE",)),
    "driver-crash": Variant(LAYOUT + " crashkernel=256M", WITH, "crash", backend=MEMFD, disk="boot", memory_mib=1024,
                            needs=("KEXEC_FILE", "PROC_VMCORE"), allowed=("Kernel panic - not syncing: sysrq triggered crash",)),
    "waiting": Variant(LAYOUT, WITH, "waiting,delegation,controller"),
    "moving": Variant(LAYOUT, WITH, "moving", needs=("SQUEEZY_DEBUG",)),
    "injected": Variant(LAYOUT, WITH, "injected,freezing,core-dump,controller-hidden",
                        needs=("FAIL_PAGE_ALLOC", "PM_DEBUG", "COREDUMP", "BLK_CGROUP")),
    "events": Variant(LAYOUT, WITH, "events", qemu=("-smp", "1"), needs=("EVENT_TRACING",)),
    "off": Variant(""),
    "bad-text": Variant("squeezy=nonsense", "squeezy=nonsense is not <count>x<size>", on_debug=False),
    "bad-zero": Variant("squeezy=0x512M", "is out of range", on_debug=False),
    "bad-count": Variant("squeezy=128x128M", "is out of range", on_debug=False),
    "bad-nodes": Variant("squeezy=127x128M", "127 partitions need 127 node ids, the kernel has 126 left", on_debug=False, second_node_mib=256),
    "bad-size": Variant("squeezy=4x100M", "not a multiple of the memory block size", on_debug=False),
    "bad-wrap": Variant("squeezy=18446744073709551617x512M", "is out of range", on_debug=False),
    "bad-size-wrap": Variant("squeezy=1x16777217T", "is out of range", on_debug=False),
    "bad-suffix": Variant("squeezy=4x128Mi", "is not <count>x<size>", on_debug=False),
    "bad-huge": Variant("squeezy=4x99999999G", "is out of range", on_debug=False),
    "bad-second": Variant(LAYOUT + " squeezy=nonsense", "squeezy=nonsense is not <count>x<size>", on_debug=False),
    "no-memcg": Variant(LAYOUT + " cgroup_disable=memory", "the memory controller is disabled"),
}


def entry(name, mode, data=b"", rdev=(0, 0), ino=[0]):
    """One member of a newc cpio archive."""
    ino[0] += 1
    fields = [ino[0], mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name) + 1, 0]
    out = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(out) % 4)


def make_initramfs(path):
    """Compiles the test program and wraps it with a console into an initramfs."""
    program = path + ".init"
    sources = sorted(os.path.join(GUEST, f) for f in os.listdir(GUEST) if f.endswith(".c"))
    flags = "-std=gnu17 -O2 -static -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE".split()
    subprocess.run(["gcc", *flags, "-o", program, *sources], check=True, timeout=300)
    with open(program, "rb") as f:
        init = f.read()
    members = [("dev", 0o40755, b"", (0, 0)), ("dev/console", 0o20600, b"", (5, 1)), ("init", 0o100755, init, (0, 0))]
    with open(path, "wb") as f:
        for name, mode, data, rdev in members:
            f.write(entry(name, mode, data, rdev))
        f.write(entry("TRAILER!!!", 0))


def make_disk(path, disk, kernel, initramfs):
    """A read-only disk for the guest: an erofs with what Variant.disk says."""
    folder = path + ".files"
    os.makedirs(folder)
    if disk == "boot":
        shutil.copy(kernel, os.path.join(folder, "kernel"))
        shutil.copy(initramfs, os.path.join(folder, "initramfs"))
    else:
        with open(os.path.join(folder, "data"), "wb") as f:
            for _ in range(disk):
                f.write(os.urandom(MIB))
    subprocess.run(["mkfs.erofs", "--quiet", path, folder], check=True, timeout=300)
    return ["-drive", f"file={path},format=raw,if=virtio,readonly=on"]


def has_options(kernel, options):
    """Was the kernel built with all these options? kernel/scripts/build.sh leaves its configuration beside it."""
    if not options:
        return True
    with open(os.path.join(os.path.dirname(kernel), "config")) as f:
        config = set(f.read().split("\n"))
    return all(f"CONFIG_{name}=y" in config for name in options)


def kunit_results(lines, may_skip):
    """What KUnit said on the console: [(ok, name)]. Fails when a test was skipped that need not be, or when none ran."""
    suite, ran, bad, done, planned = "", [], [], 0, None
    for match in filter(None, map(KTAP.match, lines)):
        indent, verdict, name, rest, plan, subtest = match.groups()
        if subtest:
            suite = subtest
        elif plan and not indent:
            planned = (planned or 0) + int(plan)  # once a boot
        elif verdict:
            done += not indent
            ran += [name] if indent else []
            if verdict != "ok" or ("# SKIP" in rest and not may_skip):
                bad.append(f"{suite}/{name}")
    return [(bool(ran) and done == planned and not bad, f"KUnit: {len(ran)} tests in {done} suites" + "".join(f" [{b}]" for b in bad))]


def invert(results, words):
    """The verdict on a boot that has to fail with these words."""
    failures = [what for ok, what in results if not ok]
    return [(any(words in what for what in failures), f"is found failed ('{words}'), as it must be")]


def virtio_mem(variant):
    return [
        "-object", f"{variant.backend},id=mem0,size={variant.region},reserve=off",
        *(["-device", "pcie-root-port,id=port0"] if variant.port else []),
        "-device", f"virtio-mem-pci,id=vm0,memdev=mem0,node=0,requested-size=0,block-size={variant.block}" + (",bus=port0" if variant.port else ""),
        "-object", f"memory-backend-ram,id=mem1,size={SHARED},reserve=off",
        "-device", f"virtio-mem-pci,id=vm1,memdev=mem1,node=0,requested-size={SHARED},block-size=2M",
    ]


def vm_base_mib(variant):
    """What the runtime's vm_base_bytes() says for these partitions."""
    source = f"""#include <stdio.h>
#include "vm/normal-memory.h"
int main(void) {{ printf("%llu", (unsigned long long)vm_base_bytes({variant.count}, {variant.size}ull, {SHARED}ull) >> 20); }}"""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "base")
        subprocess.run(["gcc", "-I", os.path.join(TOP, "src"), "-o", program, os.path.join(TOP, "src", "vm", "normal-memory.c"), "-x", "c", "-"],
                       input=source, text=True, check=True, timeout=60)
        return int(subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout)


def speeds():
    """HMAT: the second node has ten times the latency and a tenth of the bandwidth."""
    command = []
    for target, latency, bandwidth in ((0, 10, "10G"), (1, 100, "1G")):
        place = f"hmat-lb,initiator=0,target={target},hierarchy=memory,data-type=access-"
        command += ["-numa", f"{place}latency,latency={latency}", "-numa", f"{place}bandwidth,bandwidth={bandwidth}"]
    return command


def qemu_command(kernel, initramfs, variant, qmp, append):
    kvm = os.access("/dev/kvm", os.W_OK) and re.search(r"^flags.* (vmx|svm)( |$)", open("/proc/cpuinfo").read(), re.M)
    accel = ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max"]
    region, second = variant.region, variant.second_node_mib
    kasan = has_options(kernel, ["KASAN"])
    # KASAN's shadow is an eighth of all memory, what it keeps of freed objects comes on top.
    memory_mib = (variant.memory_mib or vm_base_mib(variant)) * (2 if kasan else 1)
    # What free memory may lack when all is given back: KASAN keeps up to a 32nd of it.
    slack_kib = 32768 if kasan else 8192
    if kasan:
        # identify_cpu() of 6.12 forgets for a moment that page tables have five levels: KASAN takes what an interrupt touches then for wild.
        append += " no5lvl"
    return [
        "qemu-system-x86_64", "-M", "q35,usb=off" + (",hmat=on" if variant.slow else ""), *accel, "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none",
        "-m", f"size={memory_mib + second}M,slots=2,maxmem={(memory_mib + second) * MIB + region + SHARED + 1024 * MIB}",
        "-kernel", kernel, "-initrd", initramfs,
        "-append", f"console=ttyS0 loglevel=7 printk.devkmsg=on panic=-1 no_timer_check memhp_default_state=online_movable rcupdate.rcu_expedited=1 "
        f"{variant.cmdline} suites={variant.suites} ram_mib={memory_mib} block_mib={variant.block[:-1]} slack_kib={slack_kib} {append}",
        "-serial", "stdio", "-qmp", f"unix:{qmp},server=on,wait=off",
        *([] if isinstance(variant, FakeVariant) else virtio_mem(variant)),
        "-numa", "node,nodeid=0,memdev=base" + (",cpus=0-1,initiator=0" if variant.slow else ""), "-object", f"memory-backend-ram,id=base,size={memory_mib}M",
        *(["-numa", "node,nodeid=1,memdev=second" + (",initiator=0" if variant.slow else ""),
           "-object", f"memory-backend-ram,id=second,size={second}M"] if second else []),
        *(speeds() if variant.slow else []),
        *([] if variant.reboot else ["-no-reboot"]), *variant.qemu,
    ]


class Qmp:
    def __init__(self, path):
        deadline = time.monotonic() + 30
        self.sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.sock.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.sock.settimeout(30)
        self.file = self.sock.makefile("rw")
        self.file.readline()
        self.call("qmp_capabilities")

    def call(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "return" in answer or "error" in answer:
                return answer


def reason(lines):
    """What the guest's checks said since the result before this failure: it stands in the result's line, so that no reader of results loses it."""
    said = []
    for line in reversed(lines[:-1]):
        if "@tap " in line:
            break
        if match := re.search(r"# (\S+\.c:\d+: .*)$", line):
            said.insert(0, match[1].strip())
    return "".join(f" [{text[:300]}]" for text in said[:3])


def time_limit(options, variant):
    if options.seconds:
        return options.seconds
    return variant.seconds * (DEBUG_SLOWER if any(has_options(options.kernel, [o]) for o in ("DEBUG_VM", "KASAN")) else 1)


def run_variant(name, options, initramfs, workdir):
    """Boots one VM. Returns the TAP results [(ok, name)] and the console's lines."""
    variant = VARIANTS[name]
    if not has_options(options.kernel, variant.needs):
        return [(False, f"was asked for, and the kernel lacks one of {', '.join(variant.needs)}")], []
    qmp_path = os.path.join(workdir, "qmp")
    command = qemu_command(options.kernel, initramfs, variant, qmp_path, options.append)
    if variant.disk:
        command += make_disk(os.path.join(workdir, f"disk-{name}"), variant.disk, options.kernel, initramfs)
    proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace")
    timer = threading.Timer(time_limit(options, variant), proc.kill)
    timer.start()
    results, lines, planned = [], [], None
    try:
        qmp = Qmp(qmp_path)
        for line in proc.stdout:
            line = line.rstrip("\r\n")
            lines.append(line)
            if match := re.search(r"@host request (\d+)$", line):
                answer = qmp.call("qom-set", path="/machine/peripheral/vm0", property="requested-size", value=int(match[1]))
                if "error" in answer:
                    lines.append(f"# QMP: {answer}")
            elif match := re.search(r"@host qmp (\S+) (.*)$", line):
                answer = qmp.call(match[1], **json.loads(match[2]))
                lines.append(f"# QMP: {answer}")
                proc.stdin.write(f"{int('error' in answer)}\n")
                proc.stdin.flush()
            elif line.endswith("@host ask boots"):
                proc.stdin.write(f"{sum('Linux version' in text for text in lines)}\n")
                proc.stdin.flush()
            elif line.endswith("@host ask size"):
                answer = qmp.call("qom-get", path="/machine/peripheral/vm0", property="size")
                proc.stdin.write(f"{answer.get('return', -1)}\n")
                proc.stdin.flush()
            elif match := re.search(r"@host ask (.*)$", line):
                proc.stdin.write(f"{hostmem.answer(proc.pid, variant.region, variant.size, match[1].split())}\n")
                proc.stdin.flush()
            elif match := re.search(r"@tap (not ok|ok) \d+ - (.*)", line):
                ok = match[1] == "ok"
                results.append((ok, match[2] + ("" if ok else reason(lines))))
            elif match := re.search(r"@tap 1\.\.(\d+)$", line):
                planned = int(match[1])
    finally:
        timer.cancel()
        proc.kill()
        proc.wait()
        if os.path.exists(qmp_path):
            os.unlink(qmp_path)
    splats = [line for line in lines if SPLAT.search(line) and not any(word in line for word in variant.allowed)]
    results.append((planned is not None and planned == len(results), "all tests were run"))
    results.append((not splats, "no kernel warning" + "".join(f" [{s[:100]}]" for s in splats[:3])))
    results.append((any(variant.expected in line for line in lines), f"the log says '{variant.expected}'"))
    if name.startswith(("bad-", "no-memcg")):
        said = [line for line in lines if re.search(r"\] squeezy: ", line)]
        results.append((len(said) == 1, "the kernel says so in one line" + "".join(f" [{s[:100]}]" for s in said if len(said) > 1)))
    if has_options(options.kernel, ["SQUEEZY_KUNIT_TEST"]):
        results += kunit_results(lines, may_skip="squeezy=" in variant.cmdline)
    return invert(results, variant.must_fail) if variant.must_fail else results, lines


def chosen(options):
    """Variants to run on this kernel."""
    debug = has_options(options.kernel, ["DEBUG_VM"])
    for name in options.only or VARIANTS:
        variant = VARIANTS[name]
        if options.only or has_options(options.kernel, variant.needs) and (variant.on_debug or not debug):
            yield name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", default=os.path.join(TOP, "build", "kernel", "bzImage"))
    parser.add_argument("--only", action="append", choices=VARIANTS)
    parser.add_argument("--log-dir", default=os.path.join(TOP, "build", "log"))
    parser.add_argument("--append", default="", help="more words of the kernel's command line")
    parser.add_argument("--expect", type=int, help="so many boots this kernel has to be able to do")
    parser.add_argument("--seconds", type=int, help="time limit of each boot")
    options = parser.parse_args()
    if not os.access(options.kernel, os.R_OK):
        sys.exit(f"kernel tests: there is no kernel {options.kernel}: run tools/build kernel first")
    os.makedirs(options.log_dir, exist_ok=True)
    number, failed = 0, 0
    with tempfile.TemporaryDirectory() as workdir:
        initramfs = os.path.join(workdir, "initramfs")
        make_initramfs(initramfs)
        names = list(chosen(options))
        if options.expect is not None:
            number, failed = 1, len(names) != options.expect
            print(f"{'not ok' if failed else 'ok'} 1 - kernel: {options.expect} of {len(VARIANTS)} boots are for this kernel ({len(names)})", flush=True)
        for name in names:
            results, lines = run_variant(name, options, initramfs, workdir)
            log = os.path.join(options.log_dir, f"kernel-{name}.log")
            with open(log, "w") as f:
                f.write("\n".join(lines) + "\n")
            if not all(ok for ok, _ in results):
                for line in lines:
                    if line.startswith("# ") or SPLAT.search(line):
                        print("# " + line)
                print(f"# the whole console: {log}", flush=True)
            for ok, what in results:
                number += 1
                failed += not ok
                print(f"{'ok' if ok else 'not ok'} {number} - kernel {name}: {what}", flush=True)
    print(f"1..{number}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
