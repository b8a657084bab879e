// SPDX-License-Identifier: GPL-2.0-only
/* The bodies of include/trace/events/squeezy.h. */
#define CREATE_TRACE_POINTS
#include <trace/events/squeezy.h>
