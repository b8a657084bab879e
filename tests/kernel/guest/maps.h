/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of memory maps share. */
#ifndef SQUEEZY_TESTS_KERNEL_MAPS_H
#define SQUEEZY_TESTS_KERNEL_MAPS_H

/* keep_memmap, prepare_memmap. */
void set_knob(const char *name, unsigned int value);

/* The state that a boot begins with, and every test of maps ends with: no map is there, all that are made are kept. */
void forget_maps(void);

/* Partitions in a state. */
unsigned int count_state(const char *state);

#endif
