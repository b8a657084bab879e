/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for qemu-system with our guest in it, for tests of the daemon without a VM: speaks QMP and the agent protocol on the
 * descriptors of the real command line, and holds a real anonymous mapping of the memory device's size, so that smaps of this process
 * tells the truth. Misbehaviour is asked for by words on the guest's kernel command line (squeezyd --append):
 *
 *	fake=no-qmp		never greets on QMP		fake=bad-qmp		sends a line that is no JSON
 *	fake=long-qmp		sends a line without end	fake=no-hello		never answers hello
 *	fake=old-agent		speaks another protocol		fake=exit		ends at once with status 1
 *	fake=stuck-size		the device never changes size	fake=mad-size		the device has an impossible size
 *	fake=no-partition	every claim times out		fake=bad-delete		DELETE answers 500
 *	fake=bad-memory		GET /v1/memory answers nonsense	fake=bad-h2		bytes that are no HTTP/2 on the agent's port
 *	fake=refuse-size	QEMU takes no requested-size
 *	fake=bad-events		GET /v1/events answers nonsense	fake=stock-kernel	the kernel has no partitions
 *
 * and, for one action, by its code, which is a word with an optional argument:
 *
 *	echo			returns its arguments		error			returns {"error": "as asked"}
 *	scalar			returns 7			array			returns [1, 2]
 *	sleep MS		answers later			never			never answers a run
 *	die			the whole process ends		exited, oom, timeout	the agent's reasons
 *	bad-result, large	more of them			garbage			the run's answer is not JSON
 *	flood			the answer is 70 MiB long	log			writes two lines, and too many
 *	result JSON		returns that		add			returns {"n": arguments.n + 1}
 *	ask			arguments.fail: that reason of the agent's; else arguments, after arguments.ms
 *	leave			like echo, and its container ends a moment later
 *	env			returns what init got as env	init-error, init-oom, init-exited, init-timeout	the same for init
 */
#ifndef SQUEEZY_FAKE_H
#define SQUEEZY_FAKE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_PARTITIONS_MAX 126

struct bufferevent;
struct event_base;

struct fake_partition {
	bool populated;
	bool claimed;
	uint64_t drained_ns;
};

struct fake {
	struct event_base *base;
	const char *mode;		/* word behind fake=, "" if none */
	uint64_t device_bytes, partition_bytes;
	uint64_t requested, size;
	struct bufferevent *qmp;	/* NULL before the greeting */
	uint64_t told_ns;		/* the last event of the size */
	unsigned int partitions;
	bool squeezy;
	char *memory;			/* device_bytes, anonymous */
	struct fake_partition state[FAKE_PARTITIONS_MAX];
};

bool fake_is(const struct fake *fake, const char *mode);

/* memory.c of the pair: follows requested as far as claims allow; agent_retry() is called when something was populated. */
void fake_resize(struct fake *fake);
int fake_claim(struct fake *fake);		/* lowest populated free partition, -1: none */
void fake_release(struct fake *fake, int partition);

void fake_agent_serve(struct fake *fake, int fd);
void fake_agent_retry(void);			/* looks at waiting claims again */

#endif
