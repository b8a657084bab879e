# SPDX-License-Identifier: Apache-2.0
"""A virtual machine with our kernel and image, and a connection to its agent, for the tests in this folder."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(TOP, "tests", "kernel"))
from run import Qmp  # noqa: E402
KERNEL = os.environ.get("KERNEL", os.path.join(TOP, "build/kernel/bzImage"))
IMAGE = os.environ.get("IMAGE", os.path.join(TOP, "build/image/root.erofs"))
AGENTCTL = os.environ.get("AGENTCTL", os.path.join(TOP, "build/meson/tests/tools/agentctl"))
MIB = 1 << 20
LIMIT_S = 1100  # life of a VM, should everything else fail


class Agent:
    """A connection to the agent. call() waits for the answer, start() does not."""

    def __init__(self, socket, options=()):
        self.process = subprocess.Popen(["timeout", str(LIMIT_S), AGENTCTL, *options, socket], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.answers = {}
        self.changed = threading.Condition()
        self.ended = False
        self.number = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            tag, status, body = line.rstrip("\n").split(" ", 2)
            with self.changed:
                self.answers[tag] = (status if status == "error" else int(status), body)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def start(self, method, path, body=None, limit_s=120):
        self.number += 1
        tag = "t%d" % self.number
        text = "" if body is None else " " + (body if isinstance(body, str) else json.dumps(body))
        self.process.stdin.write("%s %s %s %d%s\n" % (tag, method, path, limit_s * 1000, text))
        self.process.stdin.flush()
        return tag

    def cancel(self, tag):
        self.process.stdin.write("cancel %s\n" % tag)
        self.process.stdin.flush()

    def wait(self, tag, limit_s=180):
        """(status, object) of a started call; ("error", sentence) when there was no answer."""
        with self.changed:
            if not self.changed.wait_for(lambda: tag in self.answers or self.ended, limit_s) or tag not in self.answers:
                return "error", "no answer"
            status, body = self.answers.pop(tag)
        return status, (body if status == "error" else json.loads(body))

    def call(self, method, path, body=None, limit_s=120):
        return self.wait(self.start(method, path, body, limit_s))

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Vm:
    """A running VM; use it in a with statement. squeezy: None, or (count, bytes of one, bytes plugged)."""

    def __init__(self, squeezy=None):
        self.folder = tempfile.mkdtemp(prefix="squeezy-vm-")
        self.socket = os.path.join(self.folder, "agent.sock")
        self.serial = os.path.join(self.folder, "serial.log")
        self.qmp = os.path.join(self.folder, "qmp")
        self.monitor = None
        self.process = subprocess.Popen(["timeout", str(LIMIT_S), *self._command(squeezy)], stdin=subprocess.DEVNULL)

    def _command(self, squeezy):
        append = ("console=ttyS0 quiet root=/dev/vda rootfstype=erofs ro init=/usr/lib/squeezy/agent panic=-1 "
                  "memhp_default_state=online_movable rcupdate.rcu_expedited=1")
        memory = "512M"
        extra = []
        if squeezy:
            count, size, plugged = squeezy
            append += " squeezy=%dx%dM" % (count, size // MIB)
            memory = "512M,maxmem=8G,slots=4"
            for name, total, asked in (("vm0", count * size, plugged), ("vm1", 512 * MIB, 512 * MIB)):
                extra += ["-object", "memory-backend-memfd,id=%sb,size=%d,reserve=off" % (name, total), "-device",
                          "virtio-mem-pci,id=%s,memdev=%sb,block-size=2M,requested-size=%d" % (name, name, asked)]
        return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max", "-smp", "2", "-m", memory,
                "-nodefaults", "-display", "none", "-no-reboot", *extra, "-kernel", KERNEL, "-append", append,
                "-drive", "if=none,id=root,file=%s,format=raw,readonly=on" % IMAGE, "-device", "virtio-blk-pci,drive=root",
                "-serial", "file:" + self.serial, "-qmp", "unix:%s,server=on,wait=off" % self.qmp, "-device", "virtio-serial-pci",
                "-chardev", "socket,id=agent,path=%s,server=on,wait=off" % self.socket,
                "-device", "virtserialport,chardev=agent,name=org.squeezy.agent.0",
                "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"]

    def agent(self, *options):
        return Agent(self.socket, options)

    def resize(self, size):
        """Asks for so many bytes of the device with the partitions."""
        self.monitor = self.monitor or Qmp(self.qmp)
        answer = self.monitor.call("qom-set", path="/machine/peripheral/vm0", property="requested-size", value=size)
        if "error" in answer:
            raise RuntimeError("QEMU does not set the device's size to %d: %s" % (size, answer["error"]["desc"]))

    def log(self):
        with open(self.serial, encoding="utf-8", errors="replace") as file:
            return file.read()

    def ended(self, limit_s):
        try:
            self.process.wait(limit_s)
            return True
        except subprocess.TimeoutExpired:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.terminate()
            if not self.ended(10):
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Tap:
    """Counts and prints verdicts."""

    def __init__(self):
        self.number = 0
        self.failed = 0

    def check(self, good, text, *details):
        self.number += 1
        if not good:
            self.failed += 1
            for detail in details:
                print("# %.2000s" % (detail,))
        print("%sok %d - %s" % ("" if good else "not ", self.number, text), flush=True)
        return good

    def skip(self, text, why):
        self.number += 1
        print("ok %d - %s # SKIP %s" % (self.number, text, why), flush=True)

    def end(self):
        print("1..%d" % self.number)
        return 1 if self.failed else 0


def missing():
    """What a test here needs and is not there; None if all is."""
    for path, what in ((KERNEL, "kernel"), (IMAGE, "image"), (AGENTCTL, "programs")):
        if not os.path.exists(path):
            return "%s is missing: build it with tools/build %s" % (path, what)
    return None
