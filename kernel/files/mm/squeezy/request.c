// SPDX-License-Identifier: GPL-2.0-only
/*
 * The request in flight. It covers device blocks of a run of adjacent
 * partitions, front to back when it plugs and back to front when it unplugs,
 * so that each partition is always plugged from its front.
 *
 * Only the mover comes here, but for the knob.
 */
#include <linux/math64.h>
#include <linux/timekeeping.h>

#include "internal.h"

/*
 * A VMM may free memory under its main lock, which stalls every vCPU that
 * needs the VMM: a request is as large as should fit into this time, as far as
 * the ones before it tell.
 */
#define DEFAULT_US 10000
/* The first request of its kind; 20 ms on a host that frees 4 KiB pages. */
#define FIRST_BYTES (256ULL << 20)
#define MAX_BLOCKS U16_MAX		/* a field of the request */

unsigned int squeezy_request_us = DEFAULT_US;

/* What is known of requests of a kind. Plugging is much cheaper. */
struct experience {
	unsigned int bound;	/* device blocks per request; 0: not known yet */
	bool slow;		/* the last that tells something took longer than it should */
};

/* So much larger than the last one a request may be, however fast that was. */
#define GROWTH_MAX 4
/* So many times what it should take a request does not take by chance. */
#define CHANCE_MAX 4

static struct experience experiences[2];

/* Blocks are counted from the first one of partition 0. */
static struct {
	bool pending;
	bool cleaning;		/* of none of our blocks; the rest means nothing */
	bool plug;
	u64 first;
	unsigned int nr;
	u64 started_ns;
} request;

/**
 * squeezy_request_reset - the time that a request may take has changed
 */
void squeezy_request_reset(void)
{
	WRITE_ONCE(experiences[0].bound, 0);
	WRITE_ONCE(experiences[1].bound, 0);
}

unsigned int squeezy_partition_blocks(void)
{
	return squeezy_layout.bytes / squeezy_layout.block_size;
}

static unsigned int bound_of(bool plug)
{
	if (!READ_ONCE(squeezy_request_us))
		return MAX_BLOCKS;
	return READ_ONCE(experiences[plug].bound) ?:
	       clamp_t(u64, FIRST_BYTES / squeezy_layout.block_size, 1, MAX_BLOCKS);
}

/*
 * The bound after a request of @nr blocks. A host that is busy with other
 * things makes one take longer now and then; only when the next one is slow
 * as well, or it was slow beyond that, is it the memory that takes the time.
 */
static unsigned int next_bound(unsigned int bound, unsigned int nr, u64 took_ns, u64 target_ns,
			       bool *slow)
{
	u64 fits = div64_u64(nr * target_ns, max(took_ns, 1ULL));
	bool again = *slow;

	if (took_ns > target_ns) {
		*slow = true;
		if (again || took_ns > CHANCE_MAX * target_ns)
			return clamp_t(u64, fits, 1, bound);
		return bound;
	}
	if (nr < bound)
		return bound;	/* it says little of larger ones */
	*slow = false;
	return min3(fits, (u64)nr * GROWTH_MAX, (u64)MAX_BLOCKS);
}

static void adapt_bound(void)
{
	struct experience *e = &experiences[request.plug];
	u64 target_ns = (u64)READ_ONCE(squeezy_request_us) * NSEC_PER_USEC;
	unsigned int bound = READ_ONCE(e->bound);

	if (!bound)
		e->slow = false;
	/* What was to be forgotten meanwhile is not written again. */
	cmpxchg(&e->bound, bound, next_bound(bound ?: bound_of(request.plug), request.nr,
					     ktime_get_ns() - request.started_ns, target_ns,
					     &e->slow));
}

static bool send(bool plug, u64 first, u64 nr)
{
	request.cleaning = false;
	request.plug = plug;
	request.nr = min_t(u64, nr, bound_of(plug));
	request.first = plug ? first : first + nr - request.nr;
	request.started_ns = ktime_get_ns();
	request.pending = !squeezy_device_send(plug, squeezy_layout.start +
					       request.first * squeezy_layout.block_size,
					       request.nr);
	return request.pending;
}

/**
 * squeezy_request_plug - begin to plug the rest of a run of partitions
 * @first: the lowest; it may be plugged in part, the others are not
 * @nr: how many
 *
 * Return: whether a request is on its way. It may cover less than the run.
 */
bool squeezy_request_plug(struct squeezy_partition *first, unsigned int nr)
{
	u64 start = (u64)first->id * squeezy_partition_blocks() + first->plugged_blocks;
	u64 end = (u64)(first->id + nr) * squeezy_partition_blocks();

	return send(true, start, end - start);
}

/**
 * squeezy_request_unplug - begin to unplug a run of partitions
 * @last: the highest; it may be plugged in part, the others are plugged
 * @nr: how many
 */
bool squeezy_request_unplug(struct squeezy_partition *last, unsigned int nr)
{
	u64 start = (u64)(last->id + 1 - nr) * squeezy_partition_blocks();
	u64 end = (u64)last->id * squeezy_partition_blocks() + last->plugged_blocks;

	return send(false, start, end - start);
}

/**
 * squeezy_request_clean - begin to unplug what is of no use to us
 *
 * See squeezy_device_unclean().
 */
bool squeezy_request_clean(void)
{
	request.cleaning = true;
	request.pending = !squeezy_device_clean();
	return request.pending;
}

/* Carried out. */
static void account(void)
{
	unsigned int per = squeezy_partition_blocks(), nr = request.nr;
	u64 block = request.first;

	while (nr) {
		u32 offset;
		struct squeezy_partition *p = squeezy_layout.partitions +
					      div_u64_rem(block, per, &offset);
		unsigned int step = min(nr, per - offset);

		WRITE_ONCE(p->plugged_blocks, request.plug ? offset + step : offset);
		block += step;
		nr -= step;
	}
}

/* Nobody will ever say. What may have been unplugged must not be used. */
static void account_unanswered(void)
{
	if (!request.plug)
		account();
}

/**
 * squeezy_request_forget - there is another device; nobody answers any more
 */
void squeezy_request_forget(void)
{
	if (request.pending && !request.cleaning)
		account_unanswered();
	request.pending = false;
	squeezy_request_reset();
}

/**
 * squeezy_request_result - what became of the request in flight, if any
 *
 * Return: -EINPROGRESS, 0 once it has been carried out (or there was none), the
 * device's refusal, or -EIO if it will never be known.
 */
int squeezy_request_result(void)
{
	int rc;

	if (!request.pending)
		return 0;
	rc = squeezy_device_answer();
	if (rc == -EINPROGRESS)
		return rc;
	request.pending = false;
	if (request.cleaning)
		return rc;
	if (rc == -EIO)
		account_unanswered();
	if (rc)
		return rc;
	account();
	if (READ_ONCE(squeezy_request_us))
		adapt_bound();
	return 0;
}

#ifdef CONFIG_SQUEEZY_KUNIT_TEST
#include "tests/request_kunit.c"
#endif
