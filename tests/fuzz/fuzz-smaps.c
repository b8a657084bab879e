// SPDX-License-Identifier: Apache-2.0
/* Text of /proc/PID/smaps: whatever it holds, what is found has the size that was asked for. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "vm/vm-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_resident found = { 0 };
	int fd = memfd_create("smaps", MFD_CLOEXEC);

	must(fd >= 0);
	if (write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0 && smaps_find(fd, 8 << 20, &found) == 0)
		must(found.size_bytes == 8 << 20);
	close(fd);
	return 0;
}
