/* SPDX-License-Identifier: GPL-2.0-only */
/* What mm/page_alloc.c has for mm/squeezy alone. */
#ifndef _MM_SQUEEZY_PCP_H
#define _MM_SQUEEZY_PCP_H

struct zone;

/* Puts what CPUs keep of a zone back on its free lists. */
void __squeezy_drain_pages(struct zone *zone);

#endif /* _MM_SQUEEZY_PCP_H */
