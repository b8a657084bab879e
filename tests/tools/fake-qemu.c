// SPDX-License-Identifier: Apache-2.0
/* Command line, QMP and memory of the stand-in (fake.h). */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "fake.h"

#define TOUCH_BYTES (4u << 20)	/* of a populated partition: something for smaps to see */

bool fake_is(const struct fake *fake, const char *mode)
{
	return !strcmp(fake->mode, mode);
}

static unsigned int populated(const struct fake *fake)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < fake->partitions; i++)
		count += fake->state[i].populated;
	return count;
}

static void populate_lowest(struct fake *fake)
{
	unsigned int i = 0;

	while (fake->state[i].populated)
		i++;
	fake->state[i].populated = true;
	memset(fake->memory + i * fake->partition_bytes, 1, TOUCH_BYTES);
}

/* False when every populated partition is claimed. */
static bool drain_highest(struct fake *fake)
{
	for (unsigned int i = fake->partitions; i-- > 0;) {
		if (!fake->state[i].populated || fake->state[i].claimed)
			continue;
		fake->state[i].populated = false;
		fake->state[i].drained_ns = clock_ns(CLOCK_BOOTTIME);
		madvise(fake->memory + i * fake->partition_bytes, fake->partition_bytes, MADV_DONTNEED);
		return true;
	}
	return false;
}

static void say(struct bufferevent *stream, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	bufferevent_write(stream, text, strlen(text));
	bufferevent_write(stream, "\r\n", 2);
	free(text);
	json_decref(json);
}

/* As QEMU does, at once, but at most once a second; ours does not tell the others later either. */
static void tell_size(struct fake *fake, uint64_t size)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	bool tell = size != fake->size && now - fake->told_ns >= 1000000000ull && fake->qmp;

	fake->size = size;
	if (!tell)
		return;
	fake->told_ns = now;
	say(fake->qmp, json_pack("{s:s, s:{s:s, s:I, s:s}}", "event", "MEMORY_DEVICE_SIZE_CHANGE", "data", "id", "vm0", "size",
				 fake_is(fake, "mad-size") ? (json_int_t)1 << 60 : (json_int_t)size, "qom-path", "/machine/peripheral/vm0"));
}

void fake_resize(struct fake *fake)
{
	uint64_t floor = fake->squeezy ? 0 : fake->device_bytes - fake->partitions * fake->partition_bytes;
	unsigned int wanted = (unsigned int)((fake->requested - floor) / fake->partition_bytes);

	if (fake_is(fake, "stuck-size"))
		return;
	while (populated(fake) < wanted)
		populate_lowest(fake);
	while (populated(fake) > wanted && drain_highest(fake))
		;
	tell_size(fake, floor + populated(fake) * fake->partition_bytes);
	fake_agent_retry();
}

int fake_claim(struct fake *fake)
{
	for (unsigned int i = 0; i < fake->partitions; i++) {
		if (!fake->state[i].populated || fake->state[i].claimed)
			continue;
		fake->state[i].claimed = true;
		return (int)i;
	}
	return -1;
}

void fake_release(struct fake *fake, int partition)
{
	if (partition >= 0)
		fake->state[partition].claimed = false;
	fake_resize(fake);
}

static json_t *command(struct fake *fake, const char *name, const json_t *arguments)
{
	if (!strcmp(name, "qom-set")) {
		fake->requested = (uint64_t)json_integer_value(json_object_get(arguments, "value"));
		fake_resize(fake);
	} else if (!strcmp(name, "qom-get")) {
		return json_integer(fake_is(fake, "mad-size") ? 1ll << 60 : (json_int_t)fake->size);
	} else if (!strcmp(name, "query-status")) {
		return json_pack("{s:s, s:b}", "status", "running", "running", 1);
	} else if (!strcmp(name, "quit")) {
		exit(0);
	}
	return json_object();
}

static void on_qmp(struct bufferevent *stream, void *arg)
{
	struct fake *fake = arg;
	size_t len;
	char *line;

	while ((line = evbuffer_readln(bufferevent_get_input(stream), &len, EVBUFFER_EOL_CRLF))) {
		json_t *json = json_loadb(line, len, 0, NULL);
		const char *name = json_string_value(json_object_get(json, "execute"));

		if (name && !strcmp(name, "qom-set") && fake_is(fake, "refuse-size"))
			say(stream, json_pack("{s:{s:s, s:s}, s:O}", "error", "class", "GenericError", "desc", "not this size", "id",
					      json_object_get(json, "id")));
		else if (name)
			say(stream, json_pack("{s:o, s:O}", "return", command(fake, name, json_object_get(json, "arguments")), "id",
					      json_object_get(json, "id")));
		json_decref(json);
		free(line);
	}
}

static void on_qmp_event(struct bufferevent *stream, short what, void *arg)
{
	exit(0);	/* the daemon is gone */
}

static void greet(struct fake *fake, struct bufferevent *stream)
{
	static char filler[1 << 20];

	if (fake_is(fake, "no-qmp"))
		return;
	if (fake_is(fake, "bad-qmp")) {
		bufferevent_write(stream, "{]\n", 3);
	} else if (fake_is(fake, "long-qmp")) {
		memset(filler, 'x', sizeof(filler));
		bufferevent_write(stream, filler, sizeof(filler));
	} else {
		say(stream, json_pack("{s:{s:{}, s:[]}}", "QMP", "version", "capabilities"));
		say(stream, json_pack("{s:s, s:{}}", "event", "SOMETHING_NEW", "data"));
	}
}

static void serve_qmp(struct fake *fake, int fd)
{
	struct bufferevent *stream;

	evutil_make_socket_nonblocking(fd);
	stream = bufferevent_socket_new(fake->base, fd, 0);
	bufferevent_setcb(stream, on_qmp, NULL, on_qmp_event, fake);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	greet(fake, stream);
	fake->qmp = stream;
}

/* What we need of the command line. */
static void read_argument(struct fake *fake, const char *text, int *qmp, int *agent)
{
	unsigned long long bytes, requested, mib;
	const char *word;

	sscanf(text, "socket,id=qmp,fd=%d", qmp);
	sscanf(text, "socket,id=agent,fd=%d", agent);
	if (sscanf(text, "memory-backend-ram,id=mem-vm0,size=%llu", &bytes) == 1)
		fake->device_bytes = bytes;
	if (sscanf(text, "virtio-mem-pci,id=vm0,memdev=mem-vm0,block-size=2M,requested-size=%llu", &requested) == 1)
		fake->requested = fake->size = requested;
	word = strstr(text, " squeezy=");
	if (word && sscanf(word, " squeezy=%ux%lluM", &fake->partitions, &mib) == 2) {
		fake->partition_bytes = (uint64_t)mib << 20;
		fake->squeezy = true;
	}
	word = strstr(text, " fake=");
	if (word)
		fake->mode = word + 6;
}

int main(int argc, char **argv)
{
	struct fake fake = { .mode = "" };
	int qmp = -1, agent = -1;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i < argc; i++)
		read_argument(&fake, argv[i], &qmp, &agent);
	if (!fake.squeezy) {
		/* The baseline's layout is not on its command line: the tests use four units of 256 MiB. */
		fake.partitions = 4;
		fake.partition_bytes = 256u << 20;
	}
	if (qmp < 0 || agent < 0 || !fake.device_bytes || fake_is(&fake, "exit")) {
		fprintf(stderr, "fake-qemu: as asked, or a command line without sockets and memory device\n");
		return 1;
	}
	fake.memory = mmap(NULL, fake.device_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fake.memory == MAP_FAILED)
		return 1;
	madvise(fake.memory, fake.device_bytes, MADV_HUGEPAGE);
	fake.base = event_base_new();
	serve_qmp(&fake, qmp);
	evutil_make_socket_nonblocking(agent);
	fake_agent_serve(&fake, agent);
	event_base_dispatch(fake.base);
	return 0;
}
