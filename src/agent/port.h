/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream to the host: virtio-serial port org.squeezy.agent.0, or vsock port 1024 when the kernel command line says squeezy.transport=vsock.
 * Serves one connection at a time; when it ends, the next.
 */
#ifndef SQUEEZY_AGENT_PORT_H
#define SQUEEZY_AGENT_PORT_H

struct agent;
struct err;
struct port;

/* Starts serving. There is one for the life of the agent. 0 or -errno. */
int port_new(struct agent *agent, struct port **ret, struct err *err);

#endif
