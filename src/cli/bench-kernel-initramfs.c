// SPDX-License-Identifier: Apache-2.0
/* A cpio archive in "newc" format: 13 fields of 8 hexadecimal digits after the magic, the name, the data, each padded to 4 bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/bench-kernel-vm.h"

#define CONSOLE_MAJOR 5
#define CONSOLE_MINOR 1

struct member {
	const char *name;
	unsigned int mode, major, minor;
	const void *data;
	size_t size;
};

static void pad(FILE *out, size_t written)
{
	static const char zeros[4];

	fwrite(zeros, 1, -written % 4, out);
}

static void write_member(FILE *out, const struct member *m, unsigned int ino)
{
	size_t name_size = strlen(m->name) + 1;

	fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ino, m->mode, 0, 0, 1, 0, m->size, 0, 0, m->major, m->minor,
		name_size, 0);
	fwrite(m->name, 1, name_size, out);
	pad(out, 110 + name_size);
	fwrite(m->data, 1, m->size, out);
	pad(out, m->size);
}

static int read_all(const char *path, void **ret, size_t *ret_size)
{
	FILE *in = fopen(path, "re");
	struct stat st;
	void *data;
	int r = 0;

	if (!in)
		return -errno;
	if (fstat(fileno(in), &st)) {
		r = -errno;
		fclose(in);
		return r;
	}
	data = malloc((size_t)st.st_size);
	if (!data)
		r = -ENOMEM;
	else if (fread(data, 1, (size_t)st.st_size, in) != (size_t)st.st_size)
		r = -EIO;
	fclose(in);
	if (r) {
		free(data);
		return r;
	}
	*ret = data;
	*ret_size = (size_t)st.st_size;
	return 0;
}

int kernel_vm_initramfs(const char *program, const char *path, struct err *err)
{
	struct member members[] = {
		{ .name = "dev", .mode = S_IFDIR | 0755 },
		{ .name = "dev/console", .mode = S_IFCHR | 0600, .major = CONSOLE_MAJOR, .minor = CONSOLE_MINOR },
		{ .name = "init", .mode = S_IFREG | 0755 },
		{ .name = "TRAILER!!!" },
	};
	void *data = NULL;
	int r = read_all(program, &data, &members[2].size);
	FILE *out;

	if (r)
		return err_set(err, -r, "%s: %s (tools/build programs makes it)", program, strerror(-r));
	members[2].data = data;
	out = fopen(path, "we");
	for (unsigned int i = 0; out && i < sizeof(members) / sizeof(*members); i++)
		write_member(out, &members[i], i + 1);
	free(data);
	if (!out || ferror(out) | fclose(out))
		return err_set(err, EIO, "%s: cannot be written", path);
	return 0;
}
