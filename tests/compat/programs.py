# SPDX-License-Identifier: Apache-2.0
"""What is run: the kernel's selftests and stress-ng's stressors, each with its time limit.

Limits are for an emulator on a busy machine; nothing here measures time. Every program runs in /mnt, a writable disk.
"""


def program(name, command=None, seconds=120, hugepages=0, folder="mm", prefix=""):
    return {
        "name": f"{folder}/{name}", "command": f"{prefix}/opt/{folder}/{command or name}", "folder": "/mnt",
        "seconds": seconds, "hugepages": hugepages,
    }


def cgroup(name, seconds=240, **more):
    return program(name, seconds=seconds, folder="cgroup", **more)


# Allocates, and asks the kernel where that came from: a run in a claim that is none would prove nothing.
PLACED = r"""python3 -c '
pages = bytearray(32 << 20)
with open("/sys/fs/cgroup/memory.squeezy.stat") as f:
    stat = dict(line.split() for line in f)
print("ok 1 memory comes from the partition" if int(stat["anon"]) >= len(pages) else f"not ok 1 {stat}")
'"""

# Not here: of mm, what is about pages of hugetlb's pools, which never come from a partition (hugetlb_fault_after_madv, hugetlb-soft-offline,
# hugetlb-read-hwpoison, charge_reserved_hugetlb.sh, hugetlb_reparenting_test.sh), ksm_tests (KSM is excluded), test_vmalloc.sh and hmm-tests
# (modules), virtual_address_range (address space without memory); of cgroup, test_cpu, test_cpuset_prs.sh and test_cpuset_v1_hp.sh (CPUs),
# test_stress.sh (test_core once more) and test_zswap (swap).
MM = [
    program("cow", seconds=900, hugepages=32),
    program("gup_longterm", seconds=300, hugepages=32),
    program("gup_test-fast", "gup_test -u"),
    program("gup_test-pin-fast", "gup_test -a"),
    program("gup_test-basic", "gup_test -U -t -w"),
    program("gup_test-pin-basic", "gup_test -b -T -w"),
    program("gup_test-longterm", "gup_test -L -T -w"),
    program("gup_test-longterm-huge", "gup_test -L -t -w -n 512"),
    program("gup_test-dump", "gup_test -ct -F 0x1 0 19 0x1000"),
    program("uffd-unit-tests", seconds=900, hugepages=32),
    program("uffd-unit-tests-move", "uffd-unit-tests -f move", seconds=300),
    program("uffd-unit-tests-zeropage", "uffd-unit-tests -f zeropage", seconds=300, hugepages=32),
    program("uffd-stress-anon", "uffd-stress anon 8 4", seconds=300),
    program("uffd-stress-shmem", "uffd-stress shmem 8 4", seconds=300),
    program("uffd-stress-hugetlb", "uffd-stress hugetlb 32 4", seconds=300, hugepages=64),
    program("madv_populate"),
    program("mremap_test", seconds=600),
    program("mremap_dontunmap"),
    program("mlock2-tests"),
    program("mlock-random-test"),
    program("on-fault-limit", prefix="setpriv --reuid=65534 --clear-groups "),
    program("map_populate"),
    program("map_fixed_noreplace"),
    program("mkdirty"),
    program("droppable"),
    program("mrelease_test"),
    program("soft-dirty", seconds=300),
    program("pagemap_ioctl", seconds=300),
    program("khugepaged", "khugepaged all:anon", seconds=600),
    program("khugepaged-shmem", "khugepaged all:shmem", seconds=600),
    program("khugepaged-order2", "khugepaged -s 2 all:anon", seconds=600),
    program("split_huge_page_test", seconds=900),
    program("migration", seconds=300),
    program("mdwe_test"),
    program("memfd_secret"),
    program("mseal_test", seconds=300),
    program("seal_elf"),
    program("protection_keys_64", seconds=600),
    program("pkey_sighandler_tests_64"),
    program("va_high_addr_switch"),
    program("transhuge-stress", "transhuge-stress -d 5 128", seconds=300),
    program("compaction_test", seconds=600),
    program("ksm_functional_tests"),
    program("hugepage-mmap", hugepages=128),
    program("hugepage-shm", hugepages=128),
    program("map_hugetlb", hugepages=128),
    program("hugepage-mremap", hugepages=128),
    program("hugepage-vmemmap", hugepages=8),
    program("hugetlb-madvise", hugepages=64),
    program("hugetlb_dio", hugepages=64),
    program("hugetlb_madv_vs_map", hugepages=1, seconds=300),
    program("thuge-gen", hugepages=16),
]

CGROUP = [
    cgroup("test_core"),
    cgroup("test_cpuset"),
    cgroup("test_freezer"),
    cgroup("test_kill"),
    cgroup("test_kmem", seconds=600),
    cgroup("test_memcontrol", seconds=900),
    cgroup("test_memcontrol-noswap", seconds=900),
    cgroup("test_pids"),
    cgroup("test_hugetlb_memcg", hugepages=0),
]

HOTPLUG = [program("mem-on-off-test", "mem-on-off-test.sh", folder="memory-hotplug", seconds=300)]

# stressor: how many operations, more options. Not here: madvise (poisons memory until the next boot), mmapfork (the stock kernel itself reports
# leaked VM_FAULT_OOMs), pipeherd and mcontend (do not come to their end), resources (takes all there is of everything), mlockmany
# (stress-ng itself calls it pathological), what needs swap, /dev/mem or a watchdog, and what only computes (sorts, searches, trees, matrices,
# strings). stress-ng 0.15.06 has no cgroup stressor.
STRESSORS = {
    "bad-altstack": "20", "bigheap": "20", "brk": "200", "dev-shm": "1", "env": "1", "malloc": "2000", "mlock": "50",
    "mmap": "4 --mmap-bytes 16M", "mmapaddr": "200", "mmapfixed": "4", "mmaphuge": "4", "mmapmany": "200", "mprotect": "50",
    "mremap": "4 --mremap-bytes 8M", "msync": "10 --msync-bytes 4M", "munmap": "1", "pagemove": "1 --pagemove-bytes 4M", "shm": "1 --shm-bytes 1M",
    "shm-sysv": "1 --shm-sysv-bytes 1M", "stack": "1", "stackmmap": "1", "tmpfs": "1", "userfaultfd": "1 --userfaultfd-bytes 1M",
    "vm": "40 --vm-bytes 32M", "vm-addr": "1", "vm-rw": "4 --vm-rw-bytes 4M", "vm-segv": "4", "vm-splice": "200",
    "context": "20", "full": "4", "lockbus": "4", "membarrier": "4", "memcpy": "1", "memfd": "1 --memfd-bytes 8M",
    "memthrash": "1", "mincore": "20", "null": "20", "numa": "1", "oom-pipe": "1", "pipe": "200", "remap": "4", "rmap": "10",
    "tlb-shootdown": "4", "zero": "20",
    "msyncmany": "10", "physpage": "100", "memrate": "1 --memrate-bytes 16M", "randlist": "1 --randlist-items 10000",
    "stream": "1 --stream-l3-size 1M", "prefetch": "1 --prefetch-l3-size 1M", "misaligned": "4",
}


def stressor(name, operations):
    command = f"stress-ng --no-rand-seed --temp-path /mnt --{name} 1 --{name}-ops {operations}"
    return {"name": f"stress-ng/{name}", "command": command, "folder": "/mnt", "seconds": 300, "hugepages": 0}


CLAIMED = {"name": "placed", "command": PLACED, "folder": "/mnt", "seconds": 60, "hugepages": 0}
SELFTESTS = MM + CGROUP + HOTPLUG
ALL = SELFTESTS + [stressor(name, operations) for name, operations in STRESSORS.items()]
