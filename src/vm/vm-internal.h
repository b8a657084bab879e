/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/vm share. Only they and their unit tests include this. */
#ifndef SQUEEZY_VM_INTERNAL_H
#define SQUEEZY_VM_INTERNAL_H

#include <stddef.h>
#include <sys/queue.h>

#include "vm/vm.h"

struct event;
struct h2_client;
struct qmp;

#define VM_MEMDEV	"vm0"		/* QOM id of the partitions' virtio-mem device */
#define VM_BLOCK_BYTES	(128ull << 20)	/* Linux memory block below 64 GiB: what sizes must be multiples of */

/* Where QEMU finds what we hand over, as descriptor numbers in the child. */
enum spawn_fd {
	SPAWN_FD_QMP = 10,
	SPAWN_FD_AGENT,
	SPAWN_FD_KERNEL,
	SPAWN_FD_IMAGE,
	SPAWN_FD_SERIAL,
	SPAWN_FD_END,
};

struct spawn {
	char *const *argv;
	int fds[SPAWN_FD_END - SPAWN_FD_QMP];	/* to become SPAWN_FD_QMP + index in the child; all >= 0 */
	int output;				/* stdout and stderr */
	int cgroup_procs[2];			/* cgroup.procs files to write "0" to before the user changes; -1: none */
	const char *user;			/* NULL: stay what we are */
};

/* A growing argument vector, NULL-terminated. ENOMEM is remembered and told by argv_done(). */
struct argv {
	char **items;
	size_t count;
	bool failed;
};

struct resize;

struct vm {
	struct event_base *base;
	struct vm_config config;
	struct vm_callbacks cb;
	void *arg;
	enum vm_state state;
	bool kvm, in_cgroup;
	struct err why;			/* the first thing that went wrong */

	char cgroup[64];		/* squeezy-<our pid>-<id>: daemons beside each other have VMs of one id */
	pid_t pid;			/* 0: not running */
	int pidfd;
	struct event *exited;
	struct event *deadline;		/* boot, or the next step of stopping */
	unsigned int stop_step_ms;
	bool quit_sent;

	struct qmp *qmp;
	struct h2_client *agent;
	int agent_fd;			/* ours until the client takes it */
	json_t *hello;

	unsigned int units;		/* as last asked for */
	uint64_t size_bytes;
	TAILQ_HEAD(resize_list, resize) resizes;
	struct event *poll_timer;
	bool poll_busy;
	uint64_t told_ns;		/* when QEMU last told the size by itself */

	uint64_t spawned_ns, ready_ns;
};

/* config.c */
int vm_config_copy(const struct vm_config *from, struct vm_config *to, struct err *err);	/* fills defaults, checks */
void vm_config_clear(struct vm_config *config);
/* Path arguments so that tests can feed them. */
bool vm_cpu_has_virt(const char *cpuinfo_path);

/* argv.c */
int vm_argv(const struct vm *vm, struct argv *argv, struct err *err);
void argv_clear(struct argv *argv);

/* spawn.c: starts the program; *ret_pidfd is owned by the caller. Tells a failed exec as well. */
int spawn_process(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct err *err);

/* cgroup.c: own cgroup where v1 or v2 lets us. fds are -1 where it does not, false: nowhere; remove is idempotent. */
bool cgroup_open(const char *name, uint64_t limit_bytes, int procs[2]);
void cgroup_remove(const char *name);

/* agent.c */
int agent_open(struct vm *vm, struct err *err);		/* client on agent_fd, sends hello; vm_on_hello() tells */
int agent_poweroff(struct vm *vm);

/* resize.c */
void resize_abort(struct vm *vm, const struct err *why);
void resize_event(struct vm *vm, uint64_t size_bytes);	/* QEMU told the device's size by itself */

/* vm.c */
void vm_on_hello(struct vm *vm, json_t *hello, const struct err *err);
void vm_on_agent_closed(struct vm *vm, const char *text);
void vm_fail(struct vm *vm, const struct err *why);	/* SIGKILL because of why */

/*
 * smaps.c: finds the anonymous mapping of exactly size_bytes in text of /proc/PID/smaps. Prefers one with MADV_HUGEPAGE ("hg"), and
 * stops reading there. -ENOENT: none, -E2BIG: more than 64 MiB of text.
 */
int smaps_find(int fd, uint64_t size_bytes, struct vm_resident *ret);

#endif
