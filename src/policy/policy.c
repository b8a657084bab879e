// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.h"

#define BLOCK_BYTES (128ull << 20)

uint64_t policy_partition_bytes(uint64_t limit_bytes, uint64_t least_bytes)
{
	uint64_t bytes = limit_bytes > least_bytes ? limit_bytes : least_bytes;

	if (!limit_bytes)
		return 0;
	return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

bool policy_expired(const struct policy_instance *instance, uint64_t keep_alive_ns, uint64_t now_ns)
{
	return instance->state == POLICY_IDLE && now_ns >= instance->idle_since_ns &&
	       now_ns - instance->idle_since_ns >= keep_alive_ns;
}

uint64_t policy_promised_bytes(const struct policy_view *view)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < view->n_vms; i++)
		bytes += view->vms[i].fixed_bytes + view->vms[i].populated * view->vms[i].partition_bytes;
	return bytes;
}

size_t policy_oldest_idle(const struct policy_view *view, size_t vm)
{
	size_t best = view->n_instances;

	for (size_t i = 0; i < view->n_instances; i++) {
		const struct policy_instance *instance = &view->instances[i];

		if (instance->state != POLICY_IDLE || (vm != view->n_vms && instance->vm != vm))
			continue;
		if (best == view->n_instances || instance->idle_since_ns < view->instances[best].idle_since_ns)
			best = i;
	}
	return best;
}

/* The warm instance used last: the others get the chance to grow old and give their memory back. */
static size_t newest_idle_of_action(const struct policy_view *view, uint64_t action)
{
	size_t best = view->n_instances;

	for (size_t i = 0; i < view->n_instances; i++) {
		const struct policy_instance *instance = &view->instances[i];

		if (instance->state != POLICY_IDLE || instance->action != action || !view->vms[instance->vm].ready)
			continue;
		if (best == view->n_instances || instance->idle_since_ns > view->instances[best].idle_since_ns)
			best = i;
	}
	return best;
}

/* One that has work and takes more: whoever is idle may go on growing old. */
static size_t spare_of_action(const struct policy_view *view, uint64_t action)
{
	size_t i;

	for (i = 0; i < view->n_instances; i++) {
		const struct policy_instance *instance = &view->instances[i];

		if (instance->state == POLICY_SPARE && instance->action == action && view->vms[instance->vm].ready)
			break;
	}
	return i;
}

static unsigned int live_in_vm(const struct policy_view *view, size_t vm)
{
	unsigned int count = 0;

	for (size_t i = 0; i < view->n_instances; i++)
		if (view->instances[i].vm == vm)
			count++;
	return count;
}

static bool someone_leaves(const struct policy_view *view)
{
	for (size_t i = 0; i < view->n_instances; i++)
		if (view->instances[i].state == POLICY_LEAVING)
			return true;
	return false;
}

/*
 * Makes room in the budget: the oldest idle instance goes, or we wait for one to become idle. While one is leaving nobody else goes: its
 * memory may be all that is needed.
 */
static struct policy_decision make_room(const struct policy_view *view, size_t home)
{
	size_t victim = policy_oldest_idle(view, view->n_vms);

	if (victim == view->n_instances || someone_leaves(view))
		return (struct policy_decision){ POLICY_QUEUE, 0 };
	if (view->instances[victim].vm == home)
		return (struct policy_decision){ POLICY_SWAP, victim };
	return (struct policy_decision){ POLICY_EVICT, victim };
}

static bool fits(const struct policy_view *view, uint64_t bytes)
{
	uint64_t promised = policy_promised_bytes(view);

	return promised <= view->budget_bytes && bytes <= view->budget_bytes - promised;
}

static struct policy_decision place_new_vm(const struct policy_view *view, const struct policy_call *call)
{
	uint64_t fixed = 0;

	if (fits(view, call->vm_fixed_bytes + call->partition_bytes))
		return (struct policy_decision){ POLICY_START_VM, 0 };
	/* VMs keep their fixed memory as long as they live: if that alone is in the way, waiting does not help. */
	for (size_t i = 0; i < view->n_vms; i++)
		fixed += view->vms[i].fixed_bytes;
	if (fixed + call->vm_fixed_bytes + call->partition_bytes > view->budget_bytes)
		return (struct policy_decision){ POLICY_REFUSE, 0 };
	return make_room(view, view->n_vms);
}

struct policy_decision policy_place(const struct policy_view *view, const struct policy_call *call)
{
	size_t warm = spare_of_action(view, call->action), vm, live, victim;

	if (warm == view->n_instances)
		warm = newest_idle_of_action(view, call->action);
	if (warm != view->n_instances)
		return (struct policy_decision){ POLICY_REUSE, warm };
	for (vm = 0; vm < view->n_vms; vm++)
		if (view->vms[vm].class == call->class)
			break;
	if (vm == view->n_vms)
		return place_new_vm(view, call);
	if (!view->vms[vm].ready)
		return (struct policy_decision){ POLICY_QUEUE, 0 };
	live = live_in_vm(view, vm);
	if (live < view->vms[vm].partitions) {
		/* A populated partition that nobody holds needs no new memory. */
		if (live < view->vms[vm].populated || fits(view, view->vms[vm].partition_bytes))
			return (struct policy_decision){ POLICY_CREATE, vm };
		return make_room(view, vm);
	}
	victim = policy_oldest_idle(view, vm);
	if (victim != view->n_instances)
		return (struct policy_decision){ POLICY_SWAP, victim };
	return (struct policy_decision){ POLICY_QUEUE, 0 };
}
