// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define TIMEOUT_MS	120000L		/* a blocking call is answered after 60 s at the latest */
#define ANSWER_MAX	(128u << 20)

struct buffer {
	char *text;
	size_t len;
};

void client_init(struct client *client)
{
	*client = (struct client){ .url = getenv("SQUEEZY_URL"), .key_file = getenv("SQUEEZY_KEY_FILE") };
	client->args[0] = (struct arg){ .name = "--url", .value = &client->url };
	client->args[1] = (struct arg){ .name = "--key-file", .value = &client->key_file };
	client->args[2] = (struct arg){ .name = "--state", .value = &client->state };
}

const char *client_url(const struct client *client)
{
	static char url[1024];
	size_t len;

	snprintf(url, sizeof(url), "%s", client->url && *client->url ? client->url : CLIENT_URL);
	for (len = strlen(url); len && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return url;
}

static int read_key(const struct client *client, char key[CLIENT_KEY_SIZE], struct err *err)
{
	char path[4096];
	int r;

	if (client->state || !client->key_file)
		snprintf(path, sizeof(path), "%s/api.key", client->state ? client->state : CLIENT_STATE);
	else
		snprintf(path, sizeof(path), "%s", client->key_file);
	r = file_read_text(AT_FDCWD, path, key, CLIENT_KEY_SIZE);
	if (r == 0)
		return 0;
	return err_set(err, -r, "API key %s: %s; %s", path, strerror(-r), r == -EACCES ? "run as the daemon's user, or give --key-file" :
		       "start the daemon (squeezy up), or say where its key is: --state or --key-file");
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct buffer *buffer = arg;
	size_t len = size * count;
	char *grown;

	if (len > ANSWER_MAX - buffer->len)
		return 0;
	grown = realloc(buffer->text, buffer->len + len + 1);
	if (!grown)
		return 0;
	memcpy(grown + buffer->len, data, len);
	buffer->text = grown;
	buffer->len += len;
	grown[buffer->len] = '\0';
	return len;
}

static void set_options(CURL *curl, const char *method, const char *url, const char *key, const char *body, struct curl_slist *headers,
			struct buffer *answer)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_USERPWD, key);
	curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "127.0.0.1,localhost,::1");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	}
}

static int perform(const char *method, const char *url, const char *key, const char *body, struct buffer *answer, long *ret_status,
		   struct err *err)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *curl = curl_easy_init();
	CURLcode code;
	int r = 0;

	headers = curl_slist_append(headers, "Expect:");
	if (!curl || !headers) {
		r = err_set(err, ENOMEM, "out of memory");
	} else {
		set_options(curl, method, url, key, body, headers, answer);
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
		if (code == CURLE_COULDNT_CONNECT)
			r = err_set(err, ECONNREFUSED, "no daemon answers at %.200s; start it with `squeezy up`, or give --url", url);
		else if (code != CURLE_OK)
			r = err_set(err, EIO, "%.200s: %s", url, curl_easy_strerror(code));
	}
	curl_slist_free_all(headers);
	if (curl)
		curl_easy_cleanup(curl);
	return r;
}

int client_request(const struct client *client, const char *method, const char *path, const json_t *body, struct reply *ret,
		   struct err *err)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct buffer answer = { 0 };
	char key[CLIENT_KEY_SIZE], url[4096];
	long status = 0;
	int r = read_key(client, key, err);

	if (r == 0 && body && !text)
		r = err_set(err, ENOMEM, "out of memory");
	if (r == 0) {
		snprintf(url, sizeof(url), "%s%s", client_url(client), path);
		r = perform(method, url, key, text, &answer, &status, err);
	}
	if (r == 0) {
		ret->status = status;
		ret->json = answer.text ? json_loadb(answer.text, answer.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	}
	free(answer.text);
	free(text);
	return r;
}

int client_call(const struct client *client, const char *method, const char *path, const json_t *body, json_t **ret_json,
		struct err *err)
{
	struct reply reply;
	const char *said;
	int r = client_request(client, method, path, body, &reply, err);

	if (r < 0)
		return r;
	if (reply.status >= 200 && reply.status < 300) {
		if (ret_json)
			*ret_json = reply.json;
		else
			json_decref(reply.json);
		return 0;
	}
	said = json_string_value(json_object_get(reply.json, "error"));
	r = err_set(err, EREMOTEIO, "the daemon says %ld: %s", reply.status, said ? said : "nothing more");
	json_decref(reply.json);
	return r;
}

char *client_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}

int client_action_path(const char *name, const char *query, char ret[2048], struct err *err)
{
	char *escaped = client_escape(name);

	if (!escaped)
		return err_set(err, ENOMEM, "out of memory");
	snprintf(ret, 2048, "/api/v1/namespaces/_/actions/%s%s", escaped, query);
	free(escaped);
	return 0;
}

void client_print(json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);

	puts(text ? text : "null");
	free(text);
	json_decref(json);
}
