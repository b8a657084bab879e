/* SPDX-License-Identifier: Apache-2.0 */
/* What partitions and containers cost in normal memory: `squeezy bench kernel` measures it, vm_base_bytes() has to have room for it. */
#ifndef SQUEEZY_VM_NORMAL_MEMORY_H
#define SQUEEZY_VM_NORMAL_MEMORY_H

#include <stdint.h>

/*
 * Normal memory in KiB. Boot: pgdat, zone, sysfs of a partition, and once the accounting array of a second chunk of per-CPU memory,
 * which a VM without partitions makes with its first cgroups (4 MiB divided by the CPUs). Map: struct pages, 1/64, and what holds
 * them. Cgroup: what a memory cgroup keeps per possible node, with 2 CPUs. Page tables: 2 MiB a GiB and the upper levels.
 */
#define FORMULA_BOOT(partitions, cpus) (256 + 32.0 * (partitions) + 4096.0 / (cpus))
#define FORMULA_MAP(mib) ((mib) * 1024.0 / 64 + 128)
#define FORMULA_CGROUP(nodes) (20 + 4.5 * (nodes))
#define FORMULA_TABLES(mib) ((mib) * 2.0 + 64)

/*
 * Boot memory for N partitions of S bytes: 192 MiB for kernel, agent and file cache of the start, 24 MiB per partition for a
 * container's kernel memory (page tables of S bytes 1/512, stacks, sockets, cgroup), and 1/64 of all hot-plugged memory for its
 * memory map; rounded up to 64 MiB.
 */
uint64_t vm_base_bytes(unsigned int partitions, uint64_t partition_bytes, uint64_t shared_bytes);

#endif
