/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines for people, to stderr (journald levels when JOURNAL_STREAM is set). Only main programs log above debug. */
#ifndef SQUEEZY_BASE_LOG_H
#define SQUEEZY_BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR = 3,	/* syslog severities */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* Prefix of each line (kept by reference) and the least severe level that is printed. */
void log_init(const char *program, enum log_level max_level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
