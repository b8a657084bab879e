// SPDX-License-Identifier: Apache-2.0
#include "bench-kernel-plan.h"

#include <string.h>

#define COUNTED .kernel = PLAN_COUNTED, .counted = true
#define STOCK .kernel = PLAN_STOCK, .counted = true
/* Real time: two vCPUs of the kernel that this machine's accelerator can run. */
#define TIMED .kernel = PLAN_PRODUCT, .vcpus = 2
/* The device is as large as the partitions are together; it is there on the other side of a comparison too. */
#define PARTITIONS(n, mib) .partitions = (n), .region_partitions = (n), .partition_mib = (mib)
#define REGION(n, mib) .region_partitions = (n), .partition_mib = (mib)

#define MEMORY "bench-boot,bench-memory"

const struct plan_boot plan_boots[] = {
	{ "fault-on", "bench-boot,bench-fault", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(4, 128), .base_mib = 512 },
	{ "fault-off", "bench-boot,bench-fault", COUNTED, .quick = true, .vcpus = 1, REGION(4, 128), .base_mib = 512 },
	{ "fault-stock", "bench-boot,bench-fault", STOCK, .vcpus = 1, REGION(4, 128), .base_mib = 512 },
	{ "others-64", "bench-others", COUNTED, .vcpus = 1, PARTITIONS(64, 128), .base_mib = 1024 },
	{ "others-9", "bench-others", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(9, 128), .base_mib = 512 },
	{ "adjacent", "bench-adjacent", COUNTED, .vcpus = 1, PARTITIONS(64, 128), .base_mib = 1024 },
	{ "full", "bench-full", COUNTED, .vcpus = 1, PARTITIONS(3, 512), .base_mib = 512 },
	{ "size-128", "bench-size", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(1, 128), .base_mib = 512 },
	{ "size-512", "bench-size", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(1, 512), .base_mib = 512 },
	{ "size-2048", "bench-size", COUNTED, .vcpus = 1, PARTITIONS(1, 2048), .base_mib = 512 },
	{ "reason", "bench-reason", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(1, 128), .base_mib = 512 },
	{ "reclaims-counted", "bench-reclaims", COUNTED, .vcpus = 2, PARTITIONS(1, 128), .base_mib = 512 },
	{ "reclaims", "bench-reclaims", TIMED, PARTITIONS(1, 512), .base_mib = 512 },
	{ "populate-counted", "bench-populate", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(4, 512), .base_mib = 512 },
	{ "beside-counted", "bench-beside", COUNTED, .vcpus = 1, PARTITIONS(4, 512), .base_mib = 512 },
	{ "prepared-counted", "bench-prepared", COUNTED, .vcpus = 1, PARTITIONS(4, 512), .base_mib = 512 },
	{ "grow", "bench-grow", COUNTED, .quick = true, .vcpus = 1, PARTITIONS(4, 512), .base_mib = 512 },
	/* The stock driver, in the same kernel. */
	{ "grow-stock", "bench-grow", COUNTED, .quick = true, .vcpus = 1, REGION(4, 512), .base_mib = 512 },
	{ "populate", "bench-populate", TIMED, PARTITIONS(4, 512), .base_mib = 512 },
	{ "beside", "bench-beside", TIMED, PARTITIONS(4, 512), .base_mib = 512 },
	{ "prepared", "bench-prepared", TIMED, PARTITIONS(4, 512), .base_mib = 512 },
	{ "plug", "bench-plug", TIMED, REGION(4, 512), .base_mib = 512 },
	/* Nodes: one more than partitions. */
	{ "nodes-1", MEMORY, COUNTED, .quick = true, .vcpus = 1, REGION(64, 128), .base_mib = 512 },
	{ "nodes-9", MEMORY, COUNTED, .vcpus = 1, PARTITIONS(8, 128), .base_mib = 512 },
	{ "nodes-18", MEMORY, COUNTED, .vcpus = 1, PARTITIONS(17, 128), .base_mib = 512 },
	{ "nodes-65", MEMORY, COUNTED, .quick = true, .vcpus = 1, PARTITIONS(64, 128), .base_mib = 512 },
	{ "nodes-66", MEMORY, COUNTED, .vcpus = 1, PARTITIONS(65, 128), .base_mib = 512 },
	{ "nodes-127", MEMORY, COUNTED, .vcpus = 1, PARTITIONS(126, 128), .base_mib = 512 },
	{ "nodes-128", MEMORY, COUNTED, .vcpus = 1, PARTITIONS(127, 128), .base_mib = 512 },
	/* The same with the CPUs of a real VM: what is kept per CPU counts. */
	{ "memory-1", MEMORY, COUNTED, .vcpus = 2, REGION(64, 128), .base_mib = 512 },
	{ "memory-9", MEMORY, COUNTED, .vcpus = 2, PARTITIONS(8, 128), .base_mib = 512 },
	{ "memory-65", MEMORY, COUNTED, .vcpus = 2, PARTITIONS(64, 128), .base_mib = 512 },
	{ "memory-127", MEMORY, COUNTED, .vcpus = 2, PARTITIONS(126, 128), .base_mib = 512 },
};

const size_t plan_n_boots = sizeof(plan_boots) / sizeof(*plan_boots);

const struct plan_boot *plan_find(const char *name)
{
	for (size_t i = 0; i < plan_n_boots; i++)
		if (!strcmp(plan_boots[i].name, name))
			return &plan_boots[i];
	return NULL;
}

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += len) {
		if ((at == list || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
	}
	return false;
}

unsigned int plan_times(const struct plan_run *run, const struct plan_boot *boot)
{
	bool wanted = run->only ? in_list(run->only, boot->name) : !run->quick || boot->quick;

	if (!wanted)
		return 0;
	return boot->counted && !run->quick ? 2 : 1;
}
