// SPDX-License-Identifier: Apache-2.0
#include "daemon/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/fd.h"

#define NONCE_BYTES	12
#define TAG_BYTES	16

/* Written under another name and renamed, so that a crash never leaves half a key. */
static int make_key(const char *path, struct seal *ret, struct err *err)
{
	cleanup_fd int fd = -1;
	char temporary[4096];

	if (getrandom(ret->key, SEAL_KEY_BYTES, 0) != SEAL_KEY_BYTES)
		return err_set(err, EIO, "the system has no random numbers");
	snprintf(temporary, sizeof(temporary), "%.4000s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, ret->key, SEAL_KEY_BYTES) != SEAL_KEY_BYTES || fsync(fd) < 0 || rename(temporary, path) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

int seal_open(const char *dir, struct seal *ret, struct err *err)
{
	cleanup_fd int fd = -1;
	uint8_t more;
	char path[4096];

	snprintf(path, sizeof(path), "%.4000s/seal.key", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return make_key(path, ret, err);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	if (read(fd, ret->key, SEAL_KEY_BYTES) != SEAL_KEY_BYTES || read(fd, &more, 1) != 0)
		return err_set(err, EINVAL, "%s: must hold %d bytes; bring back the file the keys in squeezy.db were sealed with", path,
			       SEAL_KEY_BYTES);
	return 0;
}

/* buffer: nonce, room for len bytes, tag. */
static int encrypt(const struct seal *seal, const char *label, const char *text, int len, uint8_t *buffer)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = ctx && getrandom(buffer, NONCE_BYTES, 0) == NONCE_BYTES &&
	     EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, buffer) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)label, (int)strlen(label)) == 1 &&
	     EVP_EncryptUpdate(ctx, buffer + NONCE_BYTES, &n, (const uint8_t *)text, len) == 1 &&
	     EVP_EncryptFinal_ex(ctx, buffer + NONCE_BYTES + len, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, buffer + NONCE_BYTES + len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

char *seal_text(const struct seal *seal, const char *label, const char *text)
{
	size_t len = strlen(text);
	uint8_t *buffer = malloc(NONCE_BYTES + len + TAG_BYTES);
	char *sealed = NULL;

	if (buffer && encrypt(seal, label, text, (int)len, buffer) == 0)
		sealed = base64_encode((char *)buffer, NONCE_BYTES + len + TAG_BYTES);
	free(buffer);
	return sealed;
}

static int decrypt(const struct seal *seal, const char *label, uint8_t *buffer, int len, char *text)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, seal->key, buffer) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)label, (int)strlen(label)) == 1 &&
	     EVP_DecryptUpdate(ctx, (uint8_t *)text, &n, buffer + NONCE_BYTES, len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, buffer + NONCE_BYTES + len) == 1 &&
	     EVP_DecryptFinal_ex(ctx, (uint8_t *)text + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -EBADMSG;
}

char *unseal_text(const struct seal *seal, const char *label, const char *sealed)
{
	size_t size;
	char *buffer = base64_decode(sealed, &size), *text = NULL;
	int len = buffer && size >= NONCE_BYTES + TAG_BYTES ? (int)(size - NONCE_BYTES - TAG_BYTES) : -1;

	if (len >= 0)
		text = calloc(1, (size_t)len + 1);
	if (text && decrypt(seal, label, (uint8_t *)buffer, len, text) < 0) {
		free(text);
		text = NULL;
	}
	free(buffer);
	return text;
}
