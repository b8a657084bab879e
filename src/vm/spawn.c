// SPDX-License-Identifier: Apache-2.0
/* Starting QEMU: fork, own process group, death with the parent, descriptors at fixed numbers, another user, exec. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "vm/vm-internal.h"

#define N_FDS	(SPAWN_FD_END - SPAWN_FD_QMP)
#define LOG_FILE_MAX (64u << 20)
#define HIGH_FD	64		/* above every number we hand out, so that moving cannot overwrite a source */

/* What the child could not do: sent through a close-on-exec pipe. */
struct failure {
	int code;
	char step[32];
};

struct identity {
	bool change;
	uid_t uid;
	gid_t gid, kvm;
};

static int find_identity(const char *user, struct identity *ret, struct err *err)
{
	struct passwd *entry;
	struct stat kvm;

	*ret = (struct identity){ 0 };
	if (!user || !strcmp(user, "root") || geteuid() != 0)
		return 0;
	entry = getpwnam(user);
	if (!entry)
		return err_set(err, ENOENT, "there is no user '%s' to run QEMU as; give --qemu-user, or root to keep root", user);
	*ret = (struct identity){ .change = true, .uid = entry->pw_uid, .gid = entry->pw_gid, .kvm = entry->pw_gid };
	if (!stat("/dev/kvm", &kvm))
		ret->kvm = kvm.st_gid;
	return 0;
}

static int become(const struct identity *identity)
{
	gid_t groups[] = { identity->kvm };

	if (!identity->change)
		return 0;
	/* The group of /dev/kvm, but never root's: it would open files that root's group may read. */
	if (setgroups(identity->kvm ? 1 : 0, groups) < 0 || setgid(identity->gid) < 0 || setuid(identity->uid) < 0)
		return -errno;
	return 0;
}

static int move_fds(const struct spawn *spawn, int report)
{
	int high[N_FDS];
	int out = fcntl(spawn->output, F_DUPFD_CLOEXEC, HIGH_FD);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (out < 0 || null < 0)
		return -errno;
	for (int i = 0; i < N_FDS; i++) {
		high[i] = fcntl(spawn->fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (high[i] < 0)
			return -errno;
	}
	if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		return -errno;
	for (int i = 0; i < N_FDS; i++)
		if (dup2(high[i], SPAWN_FD_QMP + i) < 0)
			return -errno;
	if (close_range(3, SPAWN_FD_QMP - 1, 0) < 0)
		return -errno;
	if (close_range(SPAWN_FD_END, (unsigned int)report - 1, 0) < 0 || close_range((unsigned int)report + 1, ~0u, 0) < 0)
		return -errno;
	return 0;
}

static int join_cgroups(const struct spawn *spawn)
{
	for (int i = 0; i < 2; i++)
		if (spawn->cgroup_procs[i] >= 0 && write(spawn->cgroup_procs[i], "0", 1) < 0)
			return -errno;
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The guest writes its console to a file: a file of ours may not fill the disk. */
static void limit_files(void)
{
	const struct rlimit limit = { LOG_FILE_MAX, LOG_FILE_MAX };

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
}

static int die_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;	/* it died before we asked */
}

static void fail_child(int report, const char *step, int code)
{
	struct failure failure = { .code = -code };

	snprintf(failure.step, sizeof(failure.step), "%s", step);
	if (write(report, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

static void run_child(const struct spawn *spawn, const struct identity *identity, pid_t parent, int report)
{
	int r;

	reset_signals();
	limit_files();
	if (setpgid(0, 0) < 0)
		fail_child(report, "make a process group", -errno);
	r = join_cgroups(spawn);
	if (r < 0)
		fail_child(report, "enter its cgroup", r);
	r = move_fds(spawn, report);
	if (r < 0)
		fail_child(report, "arrange descriptors", r);
	r = become(identity);
	if (r < 0)
		fail_child(report, "become its user", r);
	r = die_with_parent(parent);	/* after become(): a change of user clears it */
	if (r < 0)
		fail_child(report, "tie itself to its parent", r);
	execvp(spawn->argv[0], spawn->argv);
	fail_child(report, "execute", -errno);
}

static int await_exec(const char *program, pid_t pid, int report, struct err *err)
{
	struct failure failure;
	ssize_t n;

	do
		n = read(report, &failure, sizeof(failure));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	waitpid(pid, NULL, 0);
	if (n != (ssize_t)sizeof(failure))
		return err_set(err, EIO, "%s: the new process died before it ran", program);
	failure.step[sizeof(failure.step) - 1] = '\0';
	return err_set(err, failure.code, "%s: the new process could not %s: %s%s", program, failure.step, strerror(failure.code),
		       failure.code == ENOENT ? " (install qemu-system-x86, or give --qemu)" : "");
}

int spawn_process(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	struct identity identity;
	int pipe_fds[2], pidfd, r;
	pid_t pid, parent = getpid();

	r = find_identity(spawn->user, &identity, err);
	if (r < 0)
		return r;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		int report = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, HIGH_FD * 2);

		if (report >= 0)
			run_child(spawn, &identity, parent, report);
		_exit(126);
	}
	r = pid < 0 ? err_set(err, errno, "fork: %s", strerror(errno)) : 0;
	close(pipe_fds[1]);
	if (r == 0)
		r = await_exec(spawn->argv[0], pid, pipe_fds[0], err);
	close(pipe_fds[0]);
	if (r < 0)
		return r;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		r = err_set(err, errno, "pidfd_open: %s", strerror(errno));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}
