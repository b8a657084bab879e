// SPDX-License-Identifier: Apache-2.0
/* What holds a partition of a VM: a question to its agent, passed through. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/pool-internal.h"

#define ANSWER_MS 10000

struct inspection {
	struct inspect_done done;
};

static void on_answer(void *arg, const struct vm_reply *reply)
{
	struct inspection *inspection = arg;
	json_t *said = json_object_get(reply->body, "error");

	if (reply->status == 200)
		inspection->done.fn(inspection->done.arg, 200, reply->body, NULL);
	else if (json_is_string(said))
		inspection->done.fn(inspection->done.arg, reply->status == 404 ? 404 : 502, NULL, json_string_value(said));
	else
		inspection->done.fn(inspection->done.arg, 502, NULL, reply->err.code ? reply->err.text : "the agent gave no reason");
	free(inspection);
}

static struct machine *find_machine(struct pool *pool, const char *id)
{
	struct machine *machine;

	TAILQ_FOREACH(machine, &pool->machines, link)
		if (!strcmp(machine->id, id))
			return machine;
	return NULL;
}

int pool_inspect(struct pool *pool, const char *vm, unsigned int partition, struct inspect_done done, struct err *err)
{
	struct machine *machine = find_machine(pool, vm);
	struct inspection *inspection;
	int r;

	if (!machine)
		return err_set(err, ENOENT, "there is no VM '%.32s': GET /squeezy/v1/status lists them", vm);
	inspection = malloc(sizeof(*inspection));
	if (!inspection)
		return err_set(err, ENOMEM, "out of memory");
	inspection->done = done;
	r = vm_inspect(machine->vm, partition, ANSWER_MS, (struct vm_done){ on_answer, inspection }, err);
	if (r < 0)
		free(inspection);
	return r;
}
