// SPDX-License-Identifier: Apache-2.0
#include "bench-kernel-vm.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "qmp/qmp.h"

#define FD_CONSOLE 10		/* in QEMU */
#define FD_QMP 11
#define MARGIN_BYTES (1ul << 30)	/* QEMU aligns each device to a GiB */
#define GREETING_MS 60000
#define REQUEST_MS 60000

struct run {
	const struct kernel_vm *vm;
	struct event_base *base;
	struct qmp *qmp;
	json_t *results;
	struct err err;			/* the first thing that went wrong */
	pid_t pid;
	int console, log;
	struct evbuffer *text;
	struct event *readable, *deadline;
	unsigned int passed, planned;
};

static void fail(struct run *run, int code, const char *what, const char *line)
{
	if (!run->err.code)
		err_set(&run->err, code, "%s: %s", what, line);
	event_base_loopbreak(run->base);
}

static void add(char **argv, unsigned int *n, const char *option, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void add(char **argv, unsigned int *n, const char *option, const char *fmt, ...)
{
	va_list ap;

	argv[(*n)++] = strdup(option);
	if (!fmt)
		return;
	va_start(ap, fmt);
	if (vasprintf(&argv[*n], fmt, ap) >= 0)
		(*n)++;
	va_end(ap);
}

static void add_memory(char **argv, unsigned int *n, unsigned int id, uint64_t bytes, uint64_t requested)
{
	if (!bytes)
		return;
	add(argv, n, "-object", "memory-backend-ram,id=mem%u,size=%" PRIu64 ",reserve=off", id, bytes);
	add(argv, n, "-device", "virtio-mem-pci,id=vm%u,memdev=mem%u,node=0,block-size=2M,requested-size=%" PRIu64, id, id, requested);
}

static void free_argv(char **argv)
{
	for (unsigned int i = 0; argv[i]; i++)
		free(argv[i]);
}

static void make_argv(const struct kernel_vm *vm, char **argv)
{
	unsigned int n = 0;

	add(argv, &n, "qemu-system-x86_64", NULL);
	add(argv, &n, "-nodefaults", NULL);
	add(argv, &n, "-no-user-config", NULL);
	add(argv, &n, "-no-reboot", NULL);
	add(argv, &n, "-display", "none");
	add(argv, &n, "-machine", "q35,usb=off,mem-merge=off");
	add(argv, &n, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	if (vm->counted)
		add(argv, &n, "-icount", "shift=0,sleep=off");
	else
		add(argv, &n, "-accel", vm->kvm ? "kvm" : "tcg,thread=multi,tb-size=64");
	add(argv, &n, "-cpu", vm->kvm && !vm->counted ? "host" : "max");
	add(argv, &n, "-smp", "%u", vm->vcpus);
	add(argv, &n, "-m", "size=%" PRIu64 "K,maxmem=%" PRIu64 "K", vm->base_bytes >> 10,
	    (vm->base_bytes + vm->region_bytes + vm->shared_bytes + MARGIN_BYTES) >> 10);
	add_memory(argv, &n, 0, vm->region_bytes, 0);
	add_memory(argv, &n, 1, vm->shared_bytes, vm->shared_bytes);
	add(argv, &n, "-kernel", "%s", vm->kernel);
	add(argv, &n, "-initrd", "%s", vm->initramfs);
	add(argv, &n, "-append", "console=ttyS0 quiet printk.devkmsg=on panic=-1 memhp_default_state=online_movable rcupdate.rcu_expedited=1 %s%s",
	    vm->counted ? "tsc=reliable " : "", vm->append);
	add(argv, &n, "-chardev", "socket,id=console,fd=%d", FD_CONSOLE);
	add(argv, &n, "-serial", "chardev:console");
	add(argv, &n, "-chardev", "socket,id=qmp,fd=%d", FD_QMP);
	add(argv, &n, "-mon", "chardev=qmp,mode=control");
	argv[n] = NULL;
}

static void run_child(char **argv, int console, int qmp, int log, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);

	signal(SIGPIPE, SIG_DFL);
	/* High numbers first: a target of dup2() may be one of the sources. */
	console = fcntl(console, F_DUPFD, 100);
	qmp = fcntl(qmp, F_DUPFD, 100);
	log = fcntl(log, F_DUPFD, 100);
	if (null < 0 || console < 0 || qmp < 0 || log < 0)
		_exit(126);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	dup2(console, FD_CONSOLE);
	dup2(qmp, FD_QMP);
	close_range(FD_QMP + 1, ~0u, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int spawn(struct run *run, int *ret_qmp)
{
	int console[2], qmp[2];
	char *argv[64];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, console))
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, qmp)) {
		close(console[0]);
		close(console[1]);
		return -ENFILE;
	}
	make_argv(run->vm, argv);
	run->pid = fork();
	if (!run->pid)
		run_child(argv, console[1], qmp[1], run->log, parent);
	free_argv(argv);
	close(console[1]);
	close(qmp[1]);
	run->console = console[0];
	*ret_qmp = qmp[0];
	return run->pid < 0 ? -EAGAIN : 0;
}

/* The request is done: the program goes on. */
static void on_requested(void *arg, const struct qmp_reply *reply)
{
	struct run *run = arg;

	if (reply->err.code)
		fail(run, reply->err.code, "the memory device", reply->err.text);
	else if (write(run->console, "done\n", 5) != 5)
		fail(run, EPIPE, "the console", "cannot be written");
}

static void request(struct run *run, const char *bytes)
{
	struct qmp_done done = { on_requested, run };

	qmp_memdev_request(run->qmp, "vm0", strtoull(bytes, NULL, 10), REQUEST_MS, done, &run->err);
	if (run->err.code)
		event_base_loopbreak(run->base);
}

static bool is_splat(const char *line)
{
	static const char *const words[] = { "WARNING:", "BUG:", "Oops", "Kernel panic", "INFO: task", "INFO: rcu", "Huh VM_FAULT_OOM" };

	for (unsigned int i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

static void on_line(struct run *run, const char *line)
{
	const char *asked = strstr(line, "@host request "), *tap = strstr(line, "@tap ");

	dprintf(run->log, "%s\n", line);
	if (asked) {
		request(run, asked + 14);
	} else if (!strncmp(line, "@bench ", 7)) {
		json_t *result = json_loads(line + 7, 0, NULL);

		if (!result || json_array_append_new(run->results, result))
			fail(run, EPROTO, "not a result", line);
	} else if (tap && !strncmp(tap + 5, "not ok ", 7)) {
		fail(run, EBADMSG, "the test program says", tap + 5);
	} else if (tap && !strncmp(tap + 5, "ok ", 3)) {
		run->passed++;
	} else if (tap && !strncmp(tap + 5, "1..", 3)) {
		run->planned = (unsigned int)strtoul(tap + 8, NULL, 10);
	} else if (is_splat(line)) {
		fail(run, EPROTO, "the kernel says", line);
	}
}

static void on_console(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;
	char *line;
	int n = evbuffer_read(run->text, fd, -1);

	while (!run->err.code && (line = evbuffer_readln(run->text, NULL, EVBUFFER_EOL_CRLF))) {
		on_line(run, line);
		free(line);
	}
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	event_base_loopbreak(run->base);	/* QEMU has ended */
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	fail(arg, ETIMEDOUT, "no end", "the boot took too long");
}

static void on_qmp_ready(void *arg)
{
}

static void on_qmp_event(void *arg, enum qmp_event event, const char *id, uint64_t size_bytes)
{
}

/* QEMU ends when the guest has powered off; the console tells. */
static void on_qmp_closed(void *arg, const struct err *why)
{
}

static const struct qmp_ops qmp_ops = { .ready = on_qmp_ready, .event = on_qmp_event, .closed = on_qmp_closed };

static int start(struct run *run)
{
	struct timeval limit = { .tv_sec = run->vm->timeout_s };
	int qmp = -1, r;

	run->log = open(run->vm->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (run->log < 0)
		return err_set(&run->err, errno, "%s: %s", run->vm->log, strerror(errno));
	r = spawn(run, &qmp);
	if (r)
		return err_set(&run->err, -r, "QEMU cannot be started: %s", strerror(-r));
	r = qmp_new(run->base, qmp, &qmp_ops, run, GREETING_MS, &run->qmp, &run->err);
	if (r) {
		close(qmp);
		return r;
	}
	run->text = evbuffer_new();
	run->readable = event_new(run->base, run->console, EV_READ | EV_PERSIST, on_console, run);
	run->deadline = event_new(run->base, -1, 0, on_deadline, run);
	if (!run->text || !run->readable || !run->deadline)
		return err_set(&run->err, ENOMEM, "out of memory");
	event_add(run->readable, NULL);
	event_add(run->deadline, &limit);
	return 0;
}

static void finish(struct run *run)
{
	if (run->readable)
		event_free(run->readable);
	if (run->deadline)
		event_free(run->deadline);
	if (run->text)
		evbuffer_free(run->text);
	qmp_free(run->qmp);
	fd_close(&run->console);
	if (run->pid > 0) {
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
	}
	fd_close(&run->log);
}

int kernel_vm_run(const struct kernel_vm *vm, struct event_base *base, json_t *results, struct err *err)
{
	struct run run = { .vm = vm, .base = base, .results = results, .console = -1, .log = -1 };

	if (!start(&run))
		event_base_dispatch(base);
	if (!run.err.code && (!run.planned || run.passed != run.planned))
		err_set(&run.err, EPROTO, "the test program did not come to its end");
	finish(&run);
	if (run.err.code)
		return err_set(err, run.err.code, "%s (console: %s)", run.err.text, vm->log);
	return 0;
}
