/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio-mem device inside the test kernel (CONFIG_SQUEEZY_FAKE_DEVICE, mm/squeezy/fake/device.c says what its files do). */
#ifndef SQUEEZY_TESTS_KERNEL_FAKE_H
#define SQUEEZY_TESTS_KERNEL_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Files below /sys/kernel/debug/squeezy/fake. */
void fake_write(const char *file, const char *text);
void fake_set(const char *file, uint64_t value);
uint64_t fake_value(const char *file);

/* The configuration of a device that is as it should be, no script, the product's patience. */
void fake_make_honest(void);
/* Device added, device gone. Going is bounded (wait_until(), 20 s), whatever is in flight. */
void fake_plug_in(void);
void fake_pull_out(void);
/* Which driver has it? */
bool fake_has_driver(const char *name);

/* fake_make_honest() and a new device; nothing is plugged. Every test begins with it. */
void fake_start(void);
/* The same with device blocks as large as a partition: one request moves one partition, however slow the machine is. */
void fake_start_coarse(void);
/* Everything is returned, the device goes, and unplugged memory was never touched. Every test ends with it, or with the next. */
void fake_end(void);
/* The same for a device that has been given up: nothing can be returned any more. */
void fake_end_lost(void);

/* Sets the requested size and tells the driver. */
void fake_request(uint64_t bytes);
/* The same in partitions, and waits until the driver has followed. */
void fake_populate(unsigned int partitions);
/* Waits until that many partitions are plugged, in the driver's view and in the device's. */
void fake_wait_plugged(unsigned int partitions);

/* Waits until so many bytes are plugged in the device's view, whatever the driver knows. */
void fake_wait_has(uint64_t bytes);

/* Fills three quarters of a partition: zeroes before, a value after. */
void fake_use_partition(void *arg);
/* The same for a new cgroup, which ends then. */
void fake_claim_and_use(const char *cgroup);
/* Makes a cgroup and a process that waits in its claim, which has to return this. wait_for() it. */
pid_t fake_start_claim(const char *cgroup, int expected);

/* Does a claim say that there is no device? Only while no partition is free: that would be given. */
bool fake_is_given_up(void);
void fake_wait_given_up(void);

#endif
