/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the in-VM kernel tests share. The test program is PID 1 of a VM made for it; it prints TAP on the console and asks the host
 * (tests/kernel/run.py) for device changes with lines "@host ...".
 *
 * Every test is a function that returns normally when it passed; CHECK ends it (and it alone) with the line that failed.
 */
#ifndef SQUEEZY_TESTS_KERNEL_HARNESS_H
#define SQUEEZY_TESTS_KERNEL_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

struct test {
	const char *name;
	void (*run)(void);
};

#define CHECK(cond) check((cond), #cond, __FILE__, __LINE__, "")
/* The message's arguments are looked at after the condition, which may change them. */
#define CHECK_MSG(cond, ...)                                                    \
	do {                                                                    \
		bool holds_ = (cond);                                           \
		check_msg(holds_, #cond, __FILE__, __LINE__, __VA_ARGS__);      \
	} while (0)

void check(bool ok, const char *what, const char *file, int line, const char *detail);
void check_msg(bool ok, const char *what, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* In a process that a test started: a failed CHECK ends it. */
extern bool in_child;

/* Of newer headers. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Partition size and the number of partitions, from sysfs. */
extern size_t partition_bytes;
extern unsigned int partition_count;

/* A line for run.py. */
__attribute__((format(printf, 1, 2))) void host_say(const char *fmt, ...);
/* Asks the host to set the requested size to this many partitions. */
void host_request(unsigned int partitions);
void host_request_bytes(size_t bytes);

/* Any other command of QMP, with its arguments as JSON; returns when QEMU has taken it, CHECKs that it has. */
void host_qmp(const char *command, const char *arguments);
/* The same; has QEMU taken it? */
bool host_try_qmp(const char *command, const char *arguments);

/* Asks run.py something that only the host can see or do, and waits for the number it answers. */
uint64_t host_ask(const char *question);

/* The kernel's log from here on; then how many lines the kernel has added that hold a word. Closes it. */
int kernel_log(void);
unsigned int kernel_log_lines(int log, const char *word);

/* The read-only disk of boots that have one (Variant.disk in run.py). Once a boot. */
void mount_disk(const char *where);

/* Waits (20 s, on a busy machine four times that: see wait_until()) until a partition is in a state; CHECKs that it gets there. */
void wait_state(unsigned int id, const char *state);
bool has_state(unsigned int id, const char *state);

/* Sets the request and waits until that many partitions are plugged. */
void populate(unsigned int partitions);

uint64_t counter(const char *name);
/* What has been done can be seen before it is counted: waits until it is, and once only. */
void wait_counter(const char *name, uint64_t value);
uint64_t vmstat(const char *name);
/* KiB behind "Name:". */
uint64_t meminfo(const char *name);
uint64_t partition_value(unsigned int id, const char *file);
int partition_nid(unsigned int id);

/* Any other file: its number, or 0 or -errno of a write. */
uint64_t file_number(const char *path);
int file_write(const char *path, const char *text);

/* Any file; flags besides O_WRONLY. 0 or -errno. */
int write_file(const char *path, const char *text, int flags);
/* The first line of a file; all of it when there is room for more than 4 KiB. 0 or -errno. */
int read_file(const char *path, char *buf, size_t size);
/* The number behind "key " in a flat keyed file. */
uint64_t flat_key(const char *path, const char *key);

/* Files of a cgroup below /sys/fs/cgroup. Writes return 0 or -errno. */
int cg_make(const char *cgroup);
int cg_remove(const char *cgroup);
int cg_write(const char *cgroup, const char *file, const char *text);
int cg_write_nonblock(const char *cgroup, const char *file, const char *text);
void cg_read(const char *cgroup, const char *file, char *buf, size_t size);
uint64_t cg_event(const char *cgroup, const char *file, const char *key);
uint64_t cg_number(const char *cgroup, const char *file);
/* Waits until a key of a flat keyed file has this value. */
void wait_event(const char *cgroup, const char *file, const char *key, uint64_t value);

/* Claims any partition for a new cgroup and returns its id. */
unsigned int claim_new(const char *cgroup);
/* Kills what is in it, removes it. */
void cg_end(const char *cgroup);
/* The same for what a failed test may have left behind. */
void cg_sweep(const char *cgroup);

/* Runs fn in a child inside the cgroup; returns its wait status. A failed CHECK in the child counts as this test's. */
int run_in(const char *cgroup, void (*fn)(void *arg), void *arg);
pid_t start_in(const char *cgroup, void (*fn)(void *arg), void *arg);
/* The same for a child that stops itself (SIGSTOP); returns when it has. */
pid_t start_stopped(const char *cgroup, void (*fn)(void *arg), void *arg);
int wait_for(pid_t pid);
bool was_killed(int status);
/* Runs fn in a child inside the new cgroup "a", which claims a partition; *nid is the partition's node. */
void run_claimed(void (*fn)(void *nid));
/* Waits until a child has come to its pause(), or hangs in a claim (killable, which Linux shows as D). */
void wait_asleep(pid_t pid);
bool is_blocked(pid_t pid);
void wait_blocked(pid_t pid);

/* Anonymous memory, and on which node a page of it lies (-errno if not there). */
char *map_anon(size_t bytes);
void touch(char *mem, size_t bytes, char value);
int node_of(const void *page);
/* Number of pages of [mem, mem + bytes) that are not on this node. */
size_t pages_elsewhere(const char *mem, size_t bytes, int nid);

/* The time is what a machine needs that does nothing else; four times as much is given, by the clock. */
bool wait_until(bool (*fn)(void *arg), void *arg, unsigned int timeout_ms);
void sleep_ms(unsigned int ms);

#endif
