/* SPDX-License-Identifier: Apache-2.0
 *
 * Failure, as values. A function that can fail because of the world (file, network, memory, device) returns 0 or one of
 * these negative codes; whoever detects the failure writes the one message, whoever passes it on stays silent. The
 * message belongs to the calling thread. A programmer's mistake is an assert, not an error. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum {
    ERR_IO = -1,          /* the system refused: open, read, write, rename */
    ERR_FORMAT = -2,      /* bytes from outside are not what they claim to be */
    ERR_MEMORY = -3,      /* allocation failed */
    ERR_LIMIT = -4,       /* well-formed, but larger than a set limit */
    ERR_UNSUPPORTED = -5, /* well-formed, but nothing here can handle it */
    ERR_USAGE = -6,       /* the caller asked for something that makes no sense */
    ERR_EXISTS = -7,      /* an output is there already, or a folder is locked */
    ERR_CANCELLED = -8,   /* stopped on request */
    ERR_FULL = -9,        /* the system takes no more: disk full, quota, read-only; trying the next file is no use */
};

/* Records the message (printf form, at most 1023 bytes, control characters are escaped) and returns `code`. */
int error_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* error_set(ERR_IO or ERR_FULL, "<what>: <strerror(errno)>"), with `what` in printf form. */
int error_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ERR_MEMORY with the number of bytes that could not be had. */
int error_memory(unsigned long long bytes);

/* Puts "<what>: " in front of the last message, where the one who passes a failure on knows what it was about: which
 * file, which operation. Returns its code. */
int error_prefix(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The calling thread's last message, "" if there was none. Valid until the thread's next error_set. */
const char *error_message(void);
/* A message without the path that it may begin with: for where both are shown. */
const char *error_without_path(const char *message, const char *path);
/* The code of that message: for those whom a constructor answered with NULL. */
int error_code(void);

#endif
