# SPDX-License-Identifier: Apache-2.0
"""The memory behind the partitions as the host sees it: which pages it holds, and their bytes.

It is QEMU's memfd, so a page that the guest touches, even by reading, becomes allocated, and one that was unplugged is a hole.
"""

import mmap
import os

PAGE = 4096


class HostMemory:
    def __init__(self, pid, region_bytes, partition_bytes):
        self.partition_bytes = partition_bytes
        self.fd = self._open(pid, region_bytes)

    @staticmethod
    def _open(pid, region_bytes):
        folder = f"/proc/{pid}/fd"
        for fd in os.listdir(folder):
            path = os.path.join(folder, fd)
            try:
                if os.readlink(path).startswith("/memfd:") and os.stat(path).st_size == region_bytes:
                    return os.open(path, os.O_RDWR)
            except FileNotFoundError:
                pass
        raise RuntimeError("the partitions' memory is no memfd")

    def close(self):
        os.close(self.fd)

    def allocated(self, partition):
        """Bytes of a partition that the host holds memory for."""
        at, end, total = partition * self.partition_bytes, (partition + 1) * self.partition_bytes, 0
        while at < end:
            try:
                data = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(self.fd, data, os.SEEK_HOLE)
            total += max(0, min(hole, end) - data)
            at = hole
        return total

    def paint(self, partition, byte):
        """Fills a partition behind the guest's back."""
        with mmap.mmap(self.fd, self.partition_bytes, offset=partition * self.partition_bytes) as memory:
            memory[:] = bytes([byte]) * self.partition_bytes
        return self.partition_bytes

    def painted(self, partition, byte):
        """Pages of a partition that hold nothing but this byte."""
        page, count = bytes([byte]) * PAGE, 0
        with mmap.mmap(self.fd, self.partition_bytes, offset=partition * self.partition_bytes) as memory:
            for at in range(0, self.partition_bytes, PAGE):
                count += memory[at : at + PAGE] == page
        return count


VERBS = {"allocated", "paint", "painted"}


def answer(pid, region_bytes, partition_bytes, words):
    """Serves one "@host ask" line: a verb of HostMemory and its numbers. Returns the number to tell the guest."""
    if words[0] not in VERBS:
        raise RuntimeError(f"the guest asks for {words[0]}")
    memory = HostMemory(pid, region_bytes, partition_bytes)
    try:
        return getattr(memory, words[0])(*(int(word, 0) for word in words[1:]))
    finally:
        memory.close()
