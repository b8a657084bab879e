/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_AGENT_OCI_H
#define SQUEEZY_AGENT_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a container is made from. */
struct oci_spec {
	const char *id;
	const char *const *argv;	/* NULL-terminated: the runtime */
	const char *netns;		/* path of its network namespace */
	uint32_t uid;			/* also its gid; never 0 */
	uint64_t tmpfs_bytes;		/* writable file space: 1/2 /tmp, 3/8 /action, 1/8 /dev/shm */
	uint64_t pids_max;
};

#define OCI_ROOTFS		"/run/squeezy/root"	/* a read-only mount of the image */
#define OCI_TMPFS_MIN		(1u << 20)

/* 1 to 32 of a-z, 0-9 and '-', not '-' first. */
bool oci_id_valid(const char *id);

/* The text of config.json, malloc()ed; NULL: out of memory. */
char *oci_config(const struct oci_spec *spec);

#endif
