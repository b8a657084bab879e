// SPDX-License-Identifier: Apache-2.0
/* The boot memory that a VM gets by default. In a file of its own: the kernel tests boot VMs with exactly that. */
#include "vm/normal-memory.h"

#define MIB (1ull << 20)

uint64_t vm_base_bytes(unsigned int partitions, uint64_t partition_bytes, uint64_t shared_bytes)
{
	uint64_t plugged = partitions * partition_bytes + shared_bytes;
	uint64_t bytes = 192 * MIB + partitions * 24 * MIB + plugged / 64;

	return (bytes + 64 * MIB - 1) / (64 * MIB) * (64 * MIB);
}
