// SPDX-License-Identifier: GPL-2.0-only
/*
 * fake/answers: what is done with the next requests, one word for each, e.g.
 * "nack:3 late:50 never" (nack three times; 50 ms late; not at all). When the
 * words are used up the device is honest, or, after "busy:0", always busy.
 */
#include <linux/debugfs.h>
#include <linux/limits.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "fake.h"

#define FULL_LEN sizeof(struct virtio_mem_resp)
#define UNKNOWN_TYPE 0x4242
#define MAX_ANSWERS 256
#define MAX_TEXT 4096

/* Does what was asked and says so, whatever else it does. */
#define ACTS(_name, _len, _uses) \
	.name = _name, .acts = true, .writes = true, .len = _len, .uses = _uses
/* Says this and does nothing. */
#define SAYS(_name, _type) \
	.name = _name, .writes = true, .type = _type, .len = FULL_LEN, .uses = 1
/* Gives the buffer back as it is. */
#define RETURNS(_name) \
	.name = _name, .len = FULL_LEN, .uses = 1

static const struct fake_behaviour honest = { ACTS("ack", FULL_LEN, 1) };
static const struct fake_behaviour late = { ACTS("late", FULL_LEN, 1) };

static const struct fake_behaviour behaviours[] = {
	{ SAYS("nack", VIRTIO_MEM_RESP_NACK) },
	{ SAYS("busy", VIRTIO_MEM_RESP_BUSY) },
	{ SAYS("error", VIRTIO_MEM_RESP_ERROR) },
	{ SAYS("garbage", UNKNOWN_TYPE) },
	{ ACTS("short", 1, 1) },
	{ ACTS("empty", 0, 1) },
	{ ACTS("long", U32_MAX, 1) },
	{ RETURNS("unwritten") },
	{ .name = "never" },
	/* Does it, and never says so. */
	{ ACTS("lost", 0, 0) },
	/* The second one looks like the answer to the next request. */
	{ ACTS("twice", FULL_LEN, 2) },
	{ RETURNS("bad-id"), .id_offset = 0x8000 },
	/* A buffer that the driver has not given away. */
	{ RETURNS("free-id"), .id_offset = 2 },
	/* A good answer, and after it a thousand that were never given. */
	{ ACTS("jump", FULL_LEN, 1), .idx_jump = 999 },
};

struct scripted {
	const struct fake_behaviour *behaviour;
	unsigned int delay_ms;
};

/* A queue; script_mutex. */
static struct scripted script[MAX_ANSWERS];
static unsigned int script_head, script_len;
static const struct fake_behaviour *afterwards = &honest;
static DEFINE_MUTEX(script_mutex);

/**
 * fake_next_behaviour - how the request just taken is answered
 * @ret_delay_ms: after how long
 */
const struct fake_behaviour *fake_next_behaviour(unsigned int *ret_delay_ms)
{
	struct scripted next = { .delay_ms = 0 };

	mutex_lock(&script_mutex);
	next.behaviour = afterwards;
	if (script_head < script_len)
		next = script[script_head++];
	mutex_unlock(&script_mutex);
	*ret_delay_ms = next.delay_ms;
	return next.behaviour;
}

static const struct fake_behaviour *behaviour_named(const char *name)
{
	unsigned int i;

	if (!strcmp(name, honest.name))
		return &honest;
	if (!strcmp(name, late.name))
		return &late;
	for (i = 0; i < ARRAY_SIZE(behaviours); i++)
		if (!strcmp(name, behaviours[i].name))
			return &behaviours[i];
	return NULL;
}

/* "word" or "word:number"; the number is a count (0: from then on), or the delay of "late". */
static int add_word(char *word)
{
	const struct fake_behaviour *behaviour;
	unsigned int number = 1, delay_ms = 0;
	char *colon = strchr(word, ':');

	if (colon) {
		*colon = '\0';
		if (kstrtouint(colon + 1, 10, &number))
			return -EINVAL;
	}
	behaviour = behaviour_named(word);
	if (!behaviour)
		return -EINVAL;
	if (behaviour == &late) {
		delay_ms = number;
		number = 1;
	}
	if (number > MAX_ANSWERS - script_len)
		return -ENOSPC;
	if (!number)
		afterwards = behaviour;
	while (number--)
		script[script_len++] = (struct scripted){ behaviour, delay_ms };
	return 0;
}

/* Replaces what is left of the old script. */
static ssize_t answers_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char *text, *rest, *word;
	int rc = 0;

	if (size > MAX_TEXT)
		return -E2BIG;
	text = memdup_user_nul(from, size);
	if (IS_ERR(text))
		return PTR_ERR(text);
	rest = strim(text);
	mutex_lock(&script_mutex);
	script_head = 0;
	script_len = 0;
	afterwards = &honest;
	while (!rc && (word = strsep(&rest, " ")))
		if (*word)
			rc = add_word(word);
	mutex_unlock(&script_mutex);
	kfree(text);
	return rc ?: size;
}

/* How many words are left. */
static ssize_t answers_read(struct file *file, char __user *to, size_t size, loff_t *pos)
{
	char text[16];
	int len;

	mutex_lock(&script_mutex);
	len = scnprintf(text, sizeof(text), "%u\n", script_len - script_head);
	mutex_unlock(&script_mutex);
	return simple_read_from_buffer(to, size, pos, text, len);
}

static const struct file_operations answers_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = answers_read,
	.write = answers_write,
};

void __init fake_answers_init(struct dentry *dir)
{
	debugfs_create_file("answers", 0600, dir, NULL, &answers_fops);
}
