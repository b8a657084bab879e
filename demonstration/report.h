/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the demonstration, and the data of its picture. */
#ifndef SQUEEZY_DEMONSTRATION_REPORT_H
#define SQUEEZY_DEMONSTRATION_REPORT_H

#include "demonstration/side.h"

/* One line per evicted instance. */
void report_evictions(const struct side *side);

/*
 * Both sides' medians and their ratio. 0, or -EBADMSG when what must be true of the run is not: every eviction complete, no page
 * migrated with partitions.
 */
int report_compare(const struct side *ours, const struct side *stock, struct err *err);

/*
 * Writes the time series as <dir>/<backend>.tsv: seconds, plugged, used in the guest, resident on the host (MiB, the device's part),
 * and the raw records as <dir>/<backend>.json.
 */
int report_save(const struct side *side, const char *dir, struct err *err);

#endif
