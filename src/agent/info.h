/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says about itself and its memory, as answers. */
#ifndef SQUEEZY_AGENT_INFO_H
#define SQUEEZY_AGENT_INFO_H

struct agent;
struct h2_call;

/* Reads the layout of the partitions into the agent and watches their states. Once, at boot. */
void info_boot(struct agent *agent);

/* GET /v1/hello, /v1/memory, /v1/containers */
void info_hello(struct agent *agent, struct h2_call *call);
void info_memory(struct agent *agent, struct h2_call *call);
void info_containers(struct agent *agent, struct h2_call *call);

#endif
