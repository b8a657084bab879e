// SPDX-License-Identifier: Apache-2.0
#include "agent/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/socket.h>

/* By what they are for. */
static const char *const allowed[] = {
	/* files */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "open", "openat",
	"openat2", "creat", "close", "close_range", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
	"faccessat2", "getdents", "getdents64", "getcwd", "chdir", "fchdir", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir",
	"link", "linkat", "unlink", "unlinkat", "symlink", "symlinkat", "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "chown",
	"fchown", "lchown", "fchownat", "umask", "utime", "utimes", "utimensat", "futimesat", "truncate", "ftruncate", "fallocate", "fsync",
	"fdatasync", "sync", "syncfs", "sync_file_range", "fadvise64", "readahead", "flock", "fcntl", "ioctl", "dup", "dup2", "dup3", "pipe",
	"pipe2", "sendfile", "splice", "tee", "copy_file_range", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
	"inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "memfd_create",
	/* waiting */
	"poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime", "pause", "nanosleep",
	"clock_nanosleep", "futex", "futex_waitv", "restart_syscall",
	/* memory */
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "msync", "mlock", "mlock2", "munlock", "mlockall", "munlockall",
	"membarrier", "rseq", "pkey_alloc", "pkey_free", "pkey_mprotect",
	/* processes and threads */
	"fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill", "tkill", "tgkill", "pidfd_open",
	"pidfd_send_signal", "getpid", "getppid", "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "set_tid_address",
	"set_robust_list", "get_robust_list", "arch_prctl", "prctl", "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
	"sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_getattr", "sched_setattr", "sched_get_priority_max",
	"sched_get_priority_min", "sched_rr_get_interval", "getpriority", "setpriority", "ioprio_get", "ioprio_set", "getrlimit", "setrlimit",
	"prlimit64", "getrusage", "times", "getcpu",
	/* identity; without capabilities these change nothing of interest, but crun's last step and libraries call them */
	"getuid", "geteuid", "getresuid", "getgid", "getegid", "getresgid", "getgroups", "setuid", "setgid", "setreuid", "setregid", "setresuid",
	"setresgid", "setgroups", "setfsuid", "setfsgid", "capget", "capset",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigqueueinfo",
	"rt_tgsigqueueinfo", "sigaltstack", "alarm", "getitimer", "setitimer", "timer_create", "timer_settime", "timer_gettime",
	"timer_getoverrun", "timer_delete",
	/* time and system facts */
	"time", "gettimeofday", "clock_gettime", "clock_getres", "uname", "sysinfo", "getrandom",
	/* sockets; "socket" and "setsockopt" are below */
	"socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
	"sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
	/* System V IPC, in its own namespace */
	"shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

#define CLONE_NAMESPACES \
	((json_int_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))

static json_t *plain_rule(void)
{
	json_t *names = json_array();

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		json_array_append_new(names, json_string(allowed[i]));
	return json_pack("{s:o, s:s}", "names", names, "action", "SCMP_ACT_ALLOW");
}

/*
 * Any option but SO_ZEROCOPY: a peer that does not read would keep pages of the container for minutes after its end, in a socket that no
 * process has open. (With it goes IPV6_RECVPATHMTU, the same number of another level.) The kernel looks at 32 bits and a filter compares 64,
 * so another option is one of which one of the 32 bits is another.
 */
static void allow_options(json_t *rules)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		json_int_t mask = (json_int_t)1 << bit, other = ~(json_int_t)SO_ZEROCOPY & mask;

		json_array_append_new(rules, json_pack("{s:[s], s:s, s:[{s:i, s:I, s:I, s:s}]}", "names", "setsockopt", "action",
						       "SCMP_ACT_ALLOW", "args", "index", 2, "value", mask, "valueTwo", other, "op",
						       "SCMP_CMP_MASKED_EQ"));
	}
}

json_t *seccomp_profile(void)
{
	json_t *rules = json_array();

	json_array_append_new(rules, plain_rule());
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		json_array_append_new(rules, json_pack("{s:[s], s:s, s:[{s:i, s:i, s:s}]}", "names", "socket", "action", "SCMP_ACT_ALLOW", "args",
						       "index", 0, "value", families[i], "op", "SCMP_CMP_EQ"));
	allow_options(rules);
	json_array_append_new(rules, json_pack("{s:[s], s:s, s:[{s:i, s:I, s:i, s:s}]}", "names", "clone", "action", "SCMP_ACT_ALLOW", "args",
					       "index", 0, "value", CLONE_NAMESPACES, "valueTwo", 0, "op", "SCMP_CMP_MASKED_EQ"));
	/* Its flags are in memory, out of a filter's reach; the C library falls back to clone on ENOSYS. */
	json_array_append_new(rules, json_pack("{s:[s], s:s, s:i}", "names", "clone3", "action", "SCMP_ACT_ERRNO", "errnoRet", ENOSYS));
	return json_pack("{s:s, s:i, s:[s], s:o}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", EPERM, "architectures",
			 "SCMP_ARCH_X86_64", "syscalls", rules);
}
