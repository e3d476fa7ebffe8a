/*
 * libevent as in its manual: an evconnlistener and one bufferevent per connection.
 *
 * Lines are read in place (no allocation per line), replies go straight into the output buffer,
 * and a bufferevent writes it once per turn. The base takes no locks. It stops reading
 * from a connection while more than a mebibyte of output is pending.
 *
 * Not implemented: deadlines; limits on connections, names or unfinished lines; checks of names;
 * a drain; counters; logs. Out of descriptors, it spins until a connection closes.
 *
 * Build: cc -O2 -o libevent libevent.c -levent
 */
#define _GNU_SOURCE
#include "greeting.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

enum { OUTPUT_LIMIT = 1 << 20 };

static void on_event(struct bufferevent *bev, short what, void *unused);
static void on_readable(struct bufferevent *bev, void *unused);

static void close_when_flushed(struct bufferevent *bev, void *unused)
{
    (void)unused;
    bufferevent_free(bev);
}

static void close_after_output(struct bufferevent *bev)
{
    bufferevent_disable(bev, EV_READ);
    if (evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        bufferevent_free(bev);
    else
        bufferevent_setcb(bev, NULL, close_when_flushed, on_event, NULL);
}

static void read_again(struct bufferevent *bev, void *unused)
{
    (void)unused;
    bufferevent_setcb(bev, on_readable, NULL, on_event, NULL);
    bufferevent_enable(bev, EV_READ);
}

static void pause_reading(struct bufferevent *bev)
{
    bufferevent_disable(bev, EV_READ);
    bufferevent_setcb(bev, on_readable, read_again, on_event, NULL);
}

/* Returns the first line of `input` with its ending, contiguous; NULL if none is complete. */
static const char *next_line(struct evbuffer *input, size_t *len)
{
    struct evbuffer_ptr lf = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
    if (lf.pos < 0)
        return NULL;
    *len = (size_t)lf.pos;
    return (const char *)evbuffer_pullup(input, lf.pos + 1);
}

static void on_readable(struct bufferevent *bev, void *unused)
{
    static struct bytes replies;
    struct evbuffer *input = bufferevent_get_input(bev), *output = bufferevent_get_output(bev);
    enum verdict verdict = GO_ON;
    const char *line;
    size_t len;
    (void)unused;
    replies.len = 0;
    while (verdict == GO_ON && (line = next_line(input, &len))) {
        reserve(&replies, LEN(HELLO) + len + LEN(ANSWER_TAIL));
        verdict = answer_line(line, len, &replies);
        evbuffer_drain(input, len + 1);
    }
    if (replies.len)
        evbuffer_add(output, replies.at, replies.len);
    if (verdict == SAID_EXIT)
        close_after_output(bev);
    else if (evbuffer_get_length(output) > OUTPUT_LIMIT)
        pause_reading(bev);
}

static void on_event(struct bufferevent *bev, short what, void *unused)
{
    (void)unused;
    if (what & BEV_EVENT_ERROR)
        bufferevent_free(bev);
    else if (what & BEV_EVENT_EOF)
        close_after_output(bev);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *peer, int size, void *unused)
{
    struct bufferevent *bev = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
    (void)peer, (void)size, (void)unused;
    if (!bev) {
        close(fd);
        return;
    }
    bufferevent_setcb(bev, on_readable, NULL, on_event, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    bufferevent_write(bev, GREETING, LEN(GREETING));
}

static void on_stdin(evutil_socket_t fd, short what, void *unused)
{
    (void)fd, (void)what, (void)unused;
    if (stdin_ended())
        exit(0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = parse_address(argc, argv);
    struct event_config *config = event_config_new();
    if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK))
        die("cannot configure libevent");
    struct event_base *base = event_base_new_with_config(config);
    if (!base)
        die("cannot create an event base");
    struct event *stdin_event = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, NULL);
    if (!stdin_event || event_add(stdin_event, NULL))
        die("cannot watch stdin, which must be a pipe or a terminal");
    /* Backlog 0: the socket listens already. */
    if (!evconnlistener_new(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, listen_on(address)))
        die("cannot accept connections");
    return event_base_dispatch(base) < 0;
}
