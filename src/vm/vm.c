// SPDX-License-Identifier: Apache-2.0
/*
 * The state machine of one VM (enum vm_state). One direction only:
 *
 *	NEW -> SPAWNED -> BOOTING -> READY -> STOPPING -> KILLED -> DEAD
 *
 * with shortcuts to KILLED from every living state (something broke, or a deadline passed), and to DEAD whenever the process is reaped.
 * Reaping (on_exited) is the only place that tears down: sessions are freed there, so nothing frees a session from its own callback.
 */
#include "vm/vm.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "h2/client.h"
#include "qmp/qmp.h"
#include "vm/leftover.h"
#include "vm/vm-internal.h"

/* What QEMU itself may take beside guest memory (code buffer 64 MiB, device state, network buffers), for its cgroup's bound. */
#define QEMU_OVERHEAD_BYTES (512ull << 20)

static const char *const state_names[VM_STATE_MAX] = {
	[VM_NEW] = "new", [VM_SPAWNED] = "spawned", [VM_BOOTING] = "booting", [VM_READY] = "ready", [VM_STOPPING] = "stopping",
	[VM_KILLED] = "killed", [VM_DEAD] = "dead",
};

const char *vm_state_name(enum vm_state state)
{
	return (unsigned int)state < VM_STATE_MAX ? state_names[state] : "unknown";
}

enum vm_state vm_state(const struct vm *vm) { return vm->state; }
const char *vm_id(const struct vm *vm) { return vm->config.id; }
pid_t vm_pid(const struct vm *vm) { return vm->pid; }
const struct err *vm_why(const struct vm *vm) { return &vm->why; }
bool vm_is_kvm(const struct vm *vm) { return vm->kvm; }
bool vm_in_cgroup(const struct vm *vm) { return vm->in_cgroup; }
json_t *vm_hello(const struct vm *vm) { return vm->hello; }
const struct vm_config *vm_get_config(const struct vm *vm) { return &vm->config; }
unsigned int vm_requested_units(const struct vm *vm) { return vm->units; }
uint64_t vm_size_bytes(const struct vm *vm) { return vm->size_bytes; }
uint64_t vm_spawned_ns(const struct vm *vm) { return vm->spawned_ns; }
uint64_t vm_ready_ns(const struct vm *vm) { return vm->ready_ns; }

static void set_deadline(struct vm *vm, unsigned int ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	event_add(vm->deadline, &after);
}

static void remember(struct vm *vm, const struct err *why)
{
	if (why && why->code && !vm->why.code)
		vm->why = *why;
}

static void enter(struct vm *vm, enum vm_state state)
{
	vm->state = state;
	if (vm->cb.state)
		vm->cb.state(vm->arg, vm, state, vm->why.code ? &vm->why : NULL);
}

static void send_kill(struct vm *vm)
{
	event_del(vm->deadline);
	if (vm->pidfd >= 0)
		(void)pidfd_send_signal(vm->pidfd, SIGKILL, NULL, 0);	/* ESRCH: it is gone already, on_exited() will come */
}

void vm_kill(struct vm *vm, const struct err *why)
{
	if (vm->state == VM_NEW || vm->state >= VM_KILLED)
		return;
	remember(vm, why);
	vm->state = VM_KILLED;
	send_kill(vm);
}

void vm_fail(struct vm *vm, const struct err *why)
{
	if (vm->state == VM_NEW || vm->state >= VM_KILLED)
		return;
	remember(vm, why);
	send_kill(vm);
	enter(vm, VM_KILLED);
}

/* Leaves the last line that QEMU wrote on its stderr in text, "" if there is none. */
static void last_words(const struct vm *vm, char *text, size_t size)
{
	char path[512], buf[4096], *line;
	cleanup_fd int fd = -1;
	off_t end;
	ssize_t n;

	text[0] = '\0';
	snprintf(path, sizeof(path), "%s/qemu.log", vm->config.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	end = lseek(fd, 0, SEEK_END);
	n = pread(fd, buf, sizeof(buf) - 1, end > (off_t)sizeof(buf) - 1 ? end - (off_t)sizeof(buf) + 1 : 0);
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	buf[n] = '\0';
	line = strrchr(buf, '\n');
	snprintf(text, size, ": %.200s", line ? line + 1 : buf);
}

static void explain_exit(struct vm *vm, const siginfo_t *info)
{
	char words[220];
	struct err why;

	last_words(vm, words, sizeof(words));
	if (info->si_code != CLD_EXITED)
		err_set(&why, EPIPE, "VM %s: QEMU was ended by signal %d%s", vm->config.id, info->si_status, words);
	else if (info->si_status)
		err_set(&why, EPIPE, "VM %s: QEMU ended with status %d%s", vm->config.id, info->si_status, words);
	else
		err_set(&why, EPIPE, "VM %s: the guest powered off or its kernel stopped; see %s/serial.log", vm->config.id, vm->config.dir);
	if (vm->state != VM_STOPPING)
		remember(vm, &why);
}

/* Everything that belongs to the process: sessions, files, cgroup. Calls under way complete. */
static void tear_down(struct vm *vm)
{
	struct err gone;

	err_set(&gone, EPIPE, "VM %s has ended", vm->config.id);
	vm->state = VM_KILLED;
	event_del(vm->deadline);
	if (vm->exited)
		event_free(vm->exited);
	vm->exited = NULL;
	fd_close(&vm->pidfd);
	vm->pid = 0;
	h2_client_free(vm->agent);
	vm->agent = NULL;
	fd_close(&vm->agent_fd);
	qmp_free(vm->qmp);	/* its commands refer to resizes: before them */
	vm->qmp = NULL;
	resize_abort(vm, vm->why.code ? &vm->why : &gone);
	leftover_forget(vm->config.dir);
	cgroup_remove(vm->cgroup);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	struct vm *vm = arg;
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)vm->pidfd, &info, WEXITED) < 0 && errno != ECHILD)
		return;
	explain_exit(vm, &info);
	tear_down(vm);
	enter(vm, VM_DEAD);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct qmp_done nobody = { 0 };
	struct vm *vm = arg;
	struct err why;

	if (vm->state == VM_STOPPING && !vm->quit_sent) {
		vm->quit_sent = true;
		set_deadline(vm, vm->stop_step_ms);
		if (vm->qmp && !qmp_quit(vm->qmp, vm->stop_step_ms, nobody, NULL))
			return;
	}
	if (vm->state == VM_STOPPING)
		err_set(&why, ETIMEDOUT, "VM %s did not end in time and was killed", vm->config.id);
	else if (vm->state == VM_SPAWNED)
		err_set(&why, ETIMEDOUT, "VM %s: QEMU did not open its QMP session in time; see %s/qemu.log", vm->config.id, vm->config.dir);
	else
		err_set(&why, ETIMEDOUT, "VM %s: the agent did not answer within %u s of the start; see %s/serial.log", vm->config.id,
			vm->config.boot_timeout_ms / 1000, vm->config.dir);
	vm_fail(vm, &why);
}

static void on_qmp_ready(void *arg)
{
	struct vm *vm = arg;
	struct err why;

	if (vm->state != VM_SPAWNED)
		return;
	if (agent_open(vm, &why) < 0)
		vm_fail(vm, &why);
	else
		enter(vm, VM_BOOTING);
}

static void on_qmp_event(void *arg, enum qmp_event event, const char *id, uint64_t size_bytes)
{
	struct vm *vm = arg;

	if (event == QMP_EVENT_MEMORY_SIZE && !strcmp(id, VM_MEMDEV) && size_bytes <= vm_device_bytes(vm))
		resize_event(vm, size_bytes);
}

static void on_qmp_closed(void *arg, const struct err *why)
{
	struct vm *vm = arg;

	/* An ending QEMU closes its sockets before it can be reaped: give its exit status the first word. */
	if (vm->state == VM_STOPPING || vm->state >= VM_KILLED)
		return;
	if (why->code != EPIPE)
		remember(vm, why);
	vm_fail(vm, NULL);
}

static const struct qmp_ops qmp_ops = { .ready = on_qmp_ready, .event = on_qmp_event, .closed = on_qmp_closed };

void vm_on_hello(struct vm *vm, json_t *hello, const struct err *err)
{
	if (vm->state != VM_BOOTING)
		return;
	if (err) {
		vm_fail(vm, err);
		return;
	}
	event_del(vm->deadline);
	vm->hello = json_incref(hello);
	vm->ready_ns = clock_ns(CLOCK_MONOTONIC);
	enter(vm, VM_READY);
}

void vm_on_agent_closed(struct vm *vm, const char *text)
{
	struct err why;

	if (vm->state == VM_STOPPING || vm->state >= VM_KILLED)
		return;
	err_set(&why, EPROTO, "VM %s: the connection to the agent is lost: %s", vm->config.id, text);
	vm_fail(vm, *text ? &why : NULL);
}

int vm_new(struct event_base *base, const struct vm_config *config, const struct vm_callbacks *cb, void *arg, struct vm **ret,
	   struct err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_set(err, ENOMEM, "out of memory");
	TAILQ_INIT(&vm->resizes);
	vm->base = base;
	vm->pidfd = vm->agent_fd = -1;
	vm->arg = arg;
	if (cb)
		vm->cb = *cb;
	r = vm_config_copy(config, &vm->config, err);
	if (r == 0)
		r = vm_choose_accel(config->accel, &vm->kvm, err);
	if (r == 0) {
		snprintf(vm->cgroup, sizeof(vm->cgroup), "squeezy-%d-%s", getpid(), vm->config.id);
		vm->deadline = evtimer_new(base, on_deadline, vm);
		if (!vm->deadline)
			r = err_set(err, ENOMEM, "out of memory");
	}
	if (r < 0) {
		vm_free(vm);
		return r;
	}
	*ret = vm;
	return 0;
}

void vm_end(struct vm *vm)
{
	if (!vm->pid)
		return;
	send_kill(vm);
	(void)waitpid(vm->pid, NULL, 0);
	tear_down(vm);
	vm->state = VM_DEAD;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_end(vm);
	if (vm->deadline)
		event_free(vm->deadline);
	if (vm->poll_timer)
		event_free(vm->poll_timer);
	json_decref(vm->hello);
	vm_config_clear(&vm->config);
	free(vm);
}

static int open_product(const char *what, const char *path, int *ret_fd, struct err *err)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	return err_set(err, errno, "%s %s: %s%s", what, path, strerror(errno), errno == ENOENT ? "; ./demo builds it" : "");
}

static int open_log(const struct vm *vm, const char *name, int *ret_fd, struct err *err)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", vm->config.dir, name);
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? err_set(err, errno, "%s: %s", path, strerror(errno)) : 0;
}

static int make_pair(int *ret_ours, int *ret_theirs, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "socketpair: %s", strerror(errno));
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
		int code = errno;

		close(pair[0]);
		close(pair[1]);
		return err_set(err, code, "socketpair: %s", strerror(code));
	}
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

#define FD(spawn, name) (&(spawn)->fds[SPAWN_FD_##name - SPAWN_FD_QMP])

/* Opens all that QEMU gets, and our ends. On failure the caller closes what is open (>= 0). */
static int open_all(struct vm *vm, struct spawn *spawn, int *ret_qmp, struct err *err)
{
	uint64_t bound = vm->config.base_bytes + vm->config.partitions * vm->config.partition_bytes + vm->config.shared_bytes;
	int r;

	if (mkdir(vm->config.dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "%s: %s", vm->config.dir, strerror(errno));
	r = open_product("guest kernel", vm->config.kernel, FD(spawn, KERNEL), err);
	if (r == 0)
		r = open_product("guest image", vm->config.image, FD(spawn, IMAGE), err);
	if (r == 0)
		r = open_log(vm, "serial.log", FD(spawn, SERIAL), err);
	if (r == 0)
		r = open_log(vm, "qemu.log", &spawn->output, err);
	if (r == 0)
		r = make_pair(ret_qmp, FD(spawn, QMP), err);
	if (r == 0)
		r = make_pair(&vm->agent_fd, FD(spawn, AGENT), err);
	if (r == 0)
		vm->in_cgroup = cgroup_open(vm->cgroup, bound + QEMU_OVERHEAD_BYTES, spawn->cgroup_procs);
	return r;
}

static int watch(struct vm *vm, int *qmp_fd, struct err *err)
{
	int r;

	vm->exited = event_new(vm->base, vm->pidfd, EV_READ | EV_PERSIST, on_exited, vm);
	if (!vm->exited || event_add(vm->exited, NULL) < 0)
		return err_set(err, ENOMEM, "VM %s: the event loop refuses the process", vm->config.id);
	r = qmp_new(vm->base, *qmp_fd, &qmp_ops, vm, vm->config.boot_timeout_ms, &vm->qmp, err);
	if (r < 0)
		return r;
	*qmp_fd = -1;
	return leftover_remember(vm->config.dir, vm->pid, vm->cgroup, err);
}

static int launch(struct vm *vm, struct spawn *spawn, int *qmp_fd, struct err *err)
{
	struct argv argv;
	int r = vm_argv(vm, &argv, err);

	if (r < 0)
		return r;
	spawn->argv = argv.items;
	spawn->user = vm->config.user;
	vm->spawned_ns = clock_ns(CLOCK_MONOTONIC);
	r = spawn_process(spawn, &vm->pid, &vm->pidfd, err);
	argv_clear(&argv);
	if (r < 0)
		return r;
	vm->state = VM_SPAWNED;
	r = watch(vm, qmp_fd, err);
	if (r < 0) {
		send_kill(vm);
		waitpid(vm->pid, NULL, 0);
		tear_down(vm);
		vm->state = VM_NEW;
	}
	return r;
}

int vm_start(struct vm *vm, struct err *err)
{
	struct spawn spawn = { .output = -1, .cgroup_procs = { -1, -1 } };
	int qmp_fd = -1, r;

	if (vm->state != VM_NEW)
		return err_set(err, EALREADY, "VM %s was started before", vm->config.id);
	memset(spawn.fds, -1, sizeof(spawn.fds));
	r = open_all(vm, &spawn, &qmp_fd, err);
	if (r == 0)
		r = launch(vm, &spawn, &qmp_fd, err);
	for (size_t i = 0; i < sizeof(spawn.fds) / sizeof(spawn.fds[0]); i++)
		fd_close(&spawn.fds[i]);
	fd_close(&spawn.output);
	fd_close(&spawn.cgroup_procs[0]);
	fd_close(&spawn.cgroup_procs[1]);
	fd_close(&qmp_fd);
	if (r < 0) {
		fd_close(&vm->agent_fd);
		cgroup_remove(vm->cgroup);
		return r;
	}
	set_deadline(vm, vm->config.boot_timeout_ms);
	return 0;
}

void vm_stop(struct vm *vm, unsigned int timeout_ms)
{
	bool ready = vm->state == VM_READY;

	if (vm->state == VM_NEW || vm->state >= VM_STOPPING)
		return;
	vm->state = VM_STOPPING;
	vm->stop_step_ms = timeout_ms / 2;
	/* With no agent to ask, the next step (quit) is due at once. */
	set_deadline(vm, ready && agent_poweroff(vm) == 0 ? vm->stop_step_ms : 0);
}
