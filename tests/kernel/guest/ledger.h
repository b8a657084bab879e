/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does everything come back? What the VM owns before and after a test, the kernel's own check of every page (CONFIG_SQUEEZY_DEBUG),
 * and files of debugfs.
 */
#ifndef SQUEEZY_TESTS_KERNEL_LEDGER_H
#define SQUEEZY_TESTS_KERNEL_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger {
	uint64_t free_kib;	/* nothing else that could be reclaimed is in use */
	uint64_t slab_kib;
};

/* All partitions parked or absent, caches dropped: what is free then. Returns it parks everything first. */
void ledger_open(struct ledger *l);
/* The same again; CHECKs that memory, slab and memory cgroups have come back. */
void ledger_close(const struct ledger *l);

/* Reads the check of all pages, CHECKs that it says "ok"; nothing on a kernel without it. */
void check_pages(void);
/* The same without a CHECK; the text of the check is written to buf. */
bool pages_are_right(char *buf, size_t size);

/* A whole file, cut off at size - 1: 0 or -errno. */
int file_read(const char *path, char *buf, size_t size);

#endif
