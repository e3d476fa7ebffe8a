/*
 * Shared by the C peers: the wire of the greeting protocol, and the listener.
 *
 * Lines are split without copying. Only a partial line after the last LF of a read is copied, to a
 * buffer that exists while it is needed.
 */
#ifndef GREETING_H
#define GREETING_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO "Hello "
#define QUESTION "What's your name?"
#define ANSWER_TAIL "!\n" QUESTION
#define GREETING "Welcome!\n" QUESTION
#define GOOD_BYE "Good bye!\n"
#define LEN(literal) (sizeof(literal) - 1)

enum { BACKLOG = 4096, READ_SIZE = 16384 };

struct bytes {
    char *at;
    size_t len, capacity;
};

enum verdict { GO_ON, SAID_EXIT };

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline void reserve(struct bytes *b, size_t more)
{
    if (__builtin_expect(b->capacity - b->len >= more, 1))
        return;
    b->capacity = (b->len + more) * 2;
    b->at = realloc(b->at, b->capacity);
    if (!b->at)
        die("out of memory");
}

static inline void append(struct bytes *b, const char *from, size_t len)
{
    reserve(b, len);
    memcpy(b->at + b->len, from, len);
    b->len += len;
}

static inline void release(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

/* Answers one line. The caller has reserved the room. */
static inline enum verdict answer_line(const char *name, size_t len, struct bytes *out)
{
    if (len && name[len - 1] == '\r')
        len--;
    char *p = out->at + out->len;
    if (len == LEN("exit") && memcmp(name, "exit", len) == 0) {
        memcpy(p, GOOD_BYE, LEN(GOOD_BYE));
        out->len += LEN(GOOD_BYE);
        return SAID_EXIT;
    }
    memcpy(p, HELLO, LEN(HELLO));
    memcpy(p + LEN(HELLO), name, len);
    memcpy(p + LEN(HELLO) + len, ANSWER_TAIL, LEN(ANSWER_TAIL));
    out->len += LEN(HELLO) + len + LEN(ANSWER_TAIL);
    return GO_ON;
}

/* Answers each complete line of `data` into `out`; sets `*left` to the number of bytes after them. */
static inline enum verdict answer_lines(const char *data, size_t len, struct bytes *out, size_t *left)
{
    const char *end = data + len, *lf;
    while (data < end && (lf = memchr(data, '\n', (size_t)(end - data)))) {
        if (answer_line(data, (size_t)(lf - data), out) == SAID_EXIT)
            return SAID_EXIT;
        data = lf + 1;
    }
    *left = (size_t)(end - data);
    return GO_ON;
}

/* Answers the bytes of a read, together with the partial line before it. */
static inline enum verdict answer(struct bytes *unfinished, const char *data, size_t len, struct bytes *out)
{
    enum verdict verdict;
    size_t left = 0;
    /* Each line is answered with its own bytes and a fixed part; no line is shorter than its LF. */
    reserve(out, unfinished->len + len + len * (LEN(HELLO) + LEN(ANSWER_TAIL)));
    if (__builtin_expect(unfinished->len == 0, 1)) {
        verdict = answer_lines(data, len, out, &left);
        if (__builtin_expect(left != 0, 0))
            append(unfinished, data + len - left, left);
        return verdict;
    }
    /* Search the new bytes only, so that a line in many parts costs no quadratic time. */
    const char *lf = memchr(data, '\n', len);
    size_t head = lf ? (size_t)(lf - data) + 1 : len;
    append(unfinished, data, head);
    if (!lf)
        return GO_ON;
    verdict = answer_line(unfinished->at, unfinished->len - 1, out);
    release(unfinished);
    if (verdict == GO_ON)
        verdict = answer_lines(data + head, len - head, out, &left);
    if (verdict == GO_ON && left)
        append(unfinished, data + len - left, left);
    return verdict;
}

static inline struct sockaddr_in parse_address(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    int port;
    if (argc != 2 || sscanf(argv[1], "%15[0-9.]:%d", host, &port) != 2 || port < 0 || port > 65535 ||
        inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        fprintf(stderr, "usage: %s ADDRESS:PORT, such as 127.0.0.1:0\n", argv[0]);
        exit(2);
    }
    a.sin_port = htons((uint16_t)port);
    return a;
}

/* Creates a non-blocking listener whose connections inherit TCP_NODELAY; prints its address. */
static inline int listen_on(struct sockaddr_in a)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof a;
    char host[INET_ADDRSTRLEN];
    signal(SIGPIPE, SIG_IGN);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, BACKLOG) ||
        getsockname(fd, (struct sockaddr *)&a, &size))
        die("cannot listen");
    printf("listening on %s:%d\n", inet_ntop(AF_INET, &a.sin_addr, host, sizeof host), ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

/* Returns true if stdin, which is readable, has ended: the request to exit. */
static inline int stdin_ended(void)
{
    char ignored[256];
    ssize_t n = read(STDIN_FILENO, ignored, sizeof ignored);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

#endif
