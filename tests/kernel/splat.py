#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of a console by which a kernel says that something is wrong with it: each fails the boot. Run by itself: does the pattern know them?"""
import re
import sys

SPLAT = re.compile(
    r"WARNING:|BUG[: ]|Oops|INFO: (task|rcu|trying|lockdep)|possible (circular|recursive)|general protection|kernel BUG at|"
    r"Huh VM_FAULT_OOM|Kernel panic|bad page state|UBSAN|refcount_t|leaked|refused as wrong|no more memory is plugged|"
    r"page allocation failure|vmemmap alloc failure|vmalloc error|percpu: allocation failed|"
    r"ODEBUG|(?<!hardware )memory corruption|pagealloc: single bit|list_(add|del) corruption|cannot create duplicate filename|"
    r"Object already free|Voluntary context switch"
)
# As Linux 6.12 prints them, by the detector that each test kernel and boot is there for.
WRONG = [
    "WARNING: CPU: 1 PID: 88 at mm/squeezy/zone.c:150 squeezy_zone_empty+0x1d1/0x1f0",
    "WARNING: possible circular locking dependency detected",
    "WARNING: possible recursive locking detected",
    "WARNING: inconsistent lock state",
    "WARNING: suspicious RCU usage",
    "WARNING: bad unlock balance detected!",
    "BUG: KASAN: slab-use-after-free in squeezy_visit_used+0x5b/0x2c0",
    "BUG: Bad page state in process kernel-tests  pfn:40001",
    "BUG: Bad rss-counter state mm:00000000deadbeef type:MM_ANONPAGES val:1",
    "BUG: sleeping function called from invalid context at mm/squeezy/map.c:99",
    "BUG: scheduling while atomic: squeezy_mover/61/0x00000002",
    "BUG: unable to handle page fault for address: ffffea0001000008",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 34s!",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [squeezy_mover:61]",
    "BUG kmalloc-64 (Not tainted): Right Redzone overwritten",
    "kernel BUG at mm/page_table_check.c:97!",
    "Oops: invalid opcode: 0000 [#1] PREEMPT SMP KASAN",
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP",
    "INFO: task squeezy_mover:61 blocked for more than 122 seconds.",
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu: INFO: rcu_sched self-detected stall on CPU",
    "INFO: trying to register non-static key.",
    "UBSAN: array-index-out-of-bounds in mm/squeezy/holders.c:88:9",
    "refcount_t: underflow; use-after-free.",
    "ODEBUG: init active (active state 0) object: 00000000deadbeef object type: work_struct",
    "list_add corruption. prev->next should be next (ffff888), but was ffff889.",
    "list_del corruption. next->prev should be ffff888, but was ffff889",
    "pagealloc: memory corruption",
    "pagealloc: single bit error",
    "init: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
    "Kernel panic - not syncing: Attempted to kill init!",
]
FINE = [
    "Memory failure: 0x40123: recovery action for dirty LRU page: Recovered",
    "Memory failure: 0x40123: Sending SIGBUS to kernel-tests:101 due to hardware memory corruption",
    "squeezy: 4 partitions of 128 MiB on nodes 1 to 4",
    "Memory cgroup out of memory: Killed process 101 (kernel-tests) total-vm:140000kB",
    "DEBUG_PAGEALLOC is off",
]


def main():
    """TAP."""
    number = failed = 0
    for lines, must in ((WRONG, True), (FINE, False)):
        for number, line in enumerate(lines, number + 1):
            held = bool(SPLAT.search(f"[   12.345678] {line}")) == must
            failed += not held
            print(f"{'ok' if held else 'not ok'} {number} - {'a splat' if must else 'no splat'}: {line[:70]}")
    print(f"1..{number}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
