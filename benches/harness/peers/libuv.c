/*
 * libuv as a careful user writes it: uv_read_start with one read buffer for every connection,
 * uv_try_write at once, and uv_write only for what the kernel refuses.
 *
 * It reads from a connection only while no reply is pending.
 *
 * Not implemented: deadlines; limits on connections, names or unfinished lines; checks of names;
 * a drain; counters; logs. It exits if memory runs out. Out of descriptors, libuv closes new
 * connections.
 *
 * Build: cc -O2 -o libuv libuv.c -luv
 */
#define _GNU_SOURCE
#include "greeting.h"
#include <uv.h>

struct conn {
    uv_tcp_t tcp; /* first: a handle is its connection */
    uv_write_t write;
    enum verdict verdict;
    struct bytes unfinished, owed;
};

static char read_buffer[READ_SIZE];
static struct bytes replies;

static void on_readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *data);

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = (struct conn *)handle;
    release(&c->unfinished);
    release(&c->owed);
    free(c);
}

static void close_conn(struct conn *c)
{
    if (!uv_is_closing((uv_handle_t *)c))
        uv_close((uv_handle_t *)c, on_closed);
}

/* Each read is consumed before the next one: one buffer is enough for all. */
static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle, (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_written(uv_write_t *request, int status)
{
    struct conn *c = (struct conn *)request->handle;
    release(&c->owed);
    if (status < 0 || c->verdict == SAID_EXIT || uv_read_start((uv_stream_t *)c, lend_buffer, on_readable))
        close_conn(c);
}

static void write_later(struct conn *c, char *from, size_t len)
{
    append(&c->owed, from, len);
    uv_buf_t rest = uv_buf_init(c->owed.at, (unsigned)c->owed.len);
    uv_read_stop((uv_stream_t *)c);
    if (uv_write(&c->write, (uv_stream_t *)c, &rest, 1, on_written))
        close_conn(c);
}

static void send_bytes(struct conn *c, char *from, size_t len)
{
    uv_buf_t buf = uv_buf_init(from, (unsigned)len);
    int n = uv_try_write((uv_stream_t *)c, &buf, 1);
    if (n == (int)len) {
        if (c->verdict == SAID_EXIT)
            close_conn(c);
    } else if (n < 0 && n != UV_EAGAIN) {
        close_conn(c);
    } else {
        size_t sent = n < 0 ? 0 : (size_t)n;
        write_later(c, from + sent, len - sent);
    }
}

static void on_readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *data)
{
    struct conn *c = (struct conn *)stream;
    if (n < 0) {
        close_conn(c);
        return;
    }
    replies.len = 0;
    c->verdict = answer(&c->unfinished, data->base, (size_t)n, &replies);
    if (replies.len)
        send_bytes(c, replies.at, replies.len);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct conn *c = status < 0 ? NULL : calloc(1, sizeof *c);
    if (!c)
        return;
    uv_tcp_init(listener->loop, &c->tcp);
    if (uv_accept(listener, (uv_stream_t *)c) || uv_read_start((uv_stream_t *)c, lend_buffer, on_readable)) {
        close_conn(c);
        return;
    }
    send_bytes(c, GREETING, LEN(GREETING));
}

static void on_stdin(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events;
    if (stdin_ended())
        exit(0);
}

static void check(int status, const char *what)
{
    if (status == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

int main(int argc, char **argv)
{
    static uv_tcp_t listener;
    static uv_poll_t stdin_poll;
    struct sockaddr_in address = parse_address(argc, argv);
    uv_loop_t *loop = uv_default_loop();
    check(uv_poll_init(loop, &stdin_poll, STDIN_FILENO), "cannot watch stdin, which must be a pipe or a terminal");
    check(uv_poll_start(&stdin_poll, UV_READABLE, on_stdin), "cannot watch stdin");
    check(uv_tcp_init(loop, &listener), "cannot create the listener");
    check(uv_tcp_open(&listener, listen_on(address)), "cannot adopt the listener");
    check(uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection), "cannot accept connections");
    return uv_run(loop, UV_RUN_DEFAULT);
}
