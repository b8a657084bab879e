// SPDX-License-Identifier: Apache-2.0
#include "demonstration/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64u << 20)
#define ONCE_TIMEOUT_MS 120000

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct bytes *in = arg;

	return bytes_add(in, data, size * n, ANSWER_MAX) ? 0 : size * n;
}

static CURL *prepare(const struct http *http, struct http_call *call, struct curl_slist *headers)
{
	CURL *easy = curl_easy_init();
	char url[512];

	if (!easy)
		return NULL;
	snprintf(url, sizeof(url), "%s%s", http->url, call->path);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	curl_easy_setopt(easy, CURLOPT_USERPWD, http->key);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &call->in);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	if (call->body && (call->text = json_dumps(call->body, JSON_COMPACT)))
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->text);
	return easy;
}

static void finish(CURL *easy, CURLcode code, const char *url)
{
	struct http_call *call;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME, &call->seconds);
	if (code == CURLE_OK) {
		call->status = (int)status;
		call->answer = call->in.len ? json_loadb(call->in.data, call->in.len, JSON_DECODE_ANY, NULL) : NULL;
	} else {
		err_set(&call->err, EIO, "%s %s%s: %s", call->method, url, call->path, curl_easy_strerror(code));
	}
}

static void reap(CURLM *multi, const struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left))) {
		CURL *easy = message->easy_handle;

		if (message->msg != CURLMSG_DONE)
			continue;
		finish(easy, message->data.result, http->url);
		curl_multi_remove_handle(multi, easy);
		curl_easy_cleanup(easy);
	}
}

int http_burst(const struct http *http, struct http_call *calls, size_t n, struct err *err)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURLM *multi = n <= HTTP_MAX_BURST ? curl_multi_init() : NULL;
	int running = 1, r = 0;

	headers = curl_slist_append(headers, "Expect:");
	for (size_t i = 0; multi && i < n; i++) {
		CURL *easy = prepare(http, &calls[i], headers);

		if (easy)
			curl_multi_add_handle(multi, easy);
	}
	while (multi && running && !r) {
		if (curl_multi_perform(multi, &running) || curl_multi_poll(multi, NULL, 0, 1000, NULL))
			r = err_set(err, EIO, "the burst of %zu calls to %s broke off", n, http->url);
		reap(multi, http);
	}
	if (!multi)
		r = err_set(err, EINVAL, "a burst of %zu calls cannot be made (at most %d)", n, HTTP_MAX_BURST);
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	return r;
}

int http_once(const struct http *http, const char *method, const char *path, json_t *body, json_t **ret, struct err *err)
{
	struct http_call call = { .method = method, .body = body, .timeout_ms = ONCE_TIMEOUT_MS };
	const char *why;
	int r;

	snprintf(call.path, sizeof(call.path), "%s", path);
	r = http_burst(http, &call, 1, err);
	why = json_string_value(json_object_get(call.answer, "error"));
	if (!r && !call.status)
		r = err_set(err, EIO, "%s", call.err.text);
	else if (!r && call.status / 100 != 2)
		r = err_set(err, EREMOTEIO, "%s %s%s answered %d: %s", method, http->url, path, call.status, why ? why : "no reason given");
	if (!r && ret)
		*ret = json_incref(call.answer);
	http_call_clear(&call);
	return r;
}

void http_call_clear(struct http_call *call)
{
	json_decref(call->answer);
	free(call->text);
	bytes_clear(&call->in);
	call->answer = NULL;
	call->text = NULL;
}
