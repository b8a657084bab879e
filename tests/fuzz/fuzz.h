/* SPDX-License-Identifier: Apache-2.0 */
/* What libFuzzer calls. A property that does not hold ends in abort(). */
#ifndef SQUEEZY_FUZZ_H
#define SQUEEZY_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)			\
	do {				\
		if (!(condition))	\
			abort();	\
	} while (0)

#endif
