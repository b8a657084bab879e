// SPDX-License-Identifier: Apache-2.0
#include "daemon/invoke.h"

#include <errno.h>

#include "base/err.h"
#include "daemon/action.h"
#include "daemon/pool-internal.h"
#include "daemon/throttle.h"

static int submit(const struct invoker *invoker, const struct invocation *invocation, struct call_done done, char id[ACTIVATION_ID_SIZE],
		  struct err *err)
{
	char path[PATH_TEXT_SIZE];
	struct call_request request = {
		.ns = invocation->ns, .action = path, .document = invocation->action->document, .arguments = invocation->arguments,
		.transaction = invocation->transaction, .cause = invocation->cause, .key = invocation->key,
		.binding = invocation->action->binding[0] ? invocation->action->binding : NULL, .throttle = invocation->throttle,
	};

	path_full(&invocation->action->path, path);
	return pool_submit(invoker->pool, &request, done, id, err);
}

int invoke(const struct invoker *invoker, const struct invocation *invocation, struct call_done done, char id[ACTIVATION_ID_SIZE],
	   struct err *err)
{
	int r = invocation->throttle ? throttle_call(invocation->throttle, epoch_ms(), err) : 0;

	if (r < 0)
		return r;
	if (action_is_sequence(invocation->action->document))
		r = sequence_start(invoker, invocation, done, id, err);
	else
		r = submit(invoker, invocation, done, id, err);
	if (r < 0 && invocation->throttle)
		throttle_done(invocation->throttle);
	return r;
}
