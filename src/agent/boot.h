/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SQUEEZY_AGENT_BOOT_H
#define SQUEEZY_AGENT_BOOT_H

struct err;
struct event_base;

/* What a fresh boot lacks before the agent can work: descriptors 0 to 3 taken, file systems mounted, the containers' root, the kernel's settings,
 * cgroups. 0 or -errno. PID 1 only. */
int boot_system(struct err *err);

/* Syncs nothing (nothing is stored) and powers the VM off. Does not return. */
void boot_poweroff(void) __attribute__((noreturn));

/* The same, a moment later, so that an answer can go out. */
void boot_poweroff_soon(struct event_base *base);

#endif
