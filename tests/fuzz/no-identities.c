// SPDX-License-Identifier: Apache-2.0
/* For fuzzers that link the REST front without its store: there is nobody to be known. */
#include <stddef.h>

#include "daemon/identity.h"

const struct identity *identities_check(const struct identities *identities, const char *credentials)
{
	return NULL;
}
