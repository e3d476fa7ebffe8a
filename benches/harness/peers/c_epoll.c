/*
 * The practical limit: a raw epoll loop, level-triggered, with one recv and one send per exchange.
 *
 * A level-triggered loop needs no read that fails with EAGAIN, and it sends at once, so that
 * epoll_ctl is called only when a connection opens or when the kernel refuses bytes. One read
 * buffer and one reply buffer serve every connection. It reads from a connection only while
 * no reply is pending.
 *
 * Not implemented: deadlines; limits on connections, names or unfinished lines; checks of names;
 * fairness between connections; a drain; counters; logs. It exits if memory runs out.
 *
 * Build: cc -O2 -o c_epoll c_epoll.c
 */
#define _GNU_SOURCE
#include "greeting.h"
#include <sys/epoll.h>

enum { EVENTS = 1024 };
enum state { READING, FLUSHING, FLUSHING_THEN_CLOSE };

struct conn {
    int fd;
    enum state state;
    struct bytes unfinished; /* the line whose LF has not come */
    struct bytes owed;       /* what the kernel has refused so far */
};

static int epoll_fd, listener;
static enum { ACCEPTING, OUT_OF_DESCRIPTORS } accepting;
static struct bytes replies;
static struct conn the_listener, the_stdin;

static int watch(int op, int fd, uint32_t events, void *data)
{
    struct epoll_event e = {.events = events, .data.ptr = data};
    return epoll_ctl(epoll_fd, op, fd, &e);
}

static void close_conn(struct conn *c)
{
    close(c->fd);
    release(&c->unfinished);
    release(&c->owed);
    free(c);
    if (accepting == OUT_OF_DESCRIPTORS && !watch(EPOLL_CTL_ADD, listener, EPOLLIN, &the_listener))
        accepting = ACCEPTING;
}

static void wait_until_writable(struct conn *c, const char *from, size_t len, enum state state)
{
    append(&c->owed, from, len);
    c->state = state;
    if (watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c))
        close_conn(c);
}

static void send_replies(struct conn *c, enum verdict verdict)
{
    ssize_t n = send(c->fd, replies.at, replies.len, 0);
    if (__builtin_expect(n == (ssize_t)replies.len, 1)) {
        if (verdict == SAID_EXIT)
            close_conn(c);
        return;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        close_conn(c);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    wait_until_writable(c, replies.at + sent, replies.len - sent,
                        verdict == SAID_EXIT ? FLUSHING_THEN_CLOSE : FLUSHING);
}

static void on_readable(struct conn *c)
{
    static char data[READ_SIZE];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (__builtin_expect(n <= 0, 0)) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close_conn(c);
        return;
    }
    replies.len = 0;
    enum verdict verdict = answer(&c->unfinished, data, (size_t)n, &replies);
    if (replies.len)
        send_replies(c, verdict);
}

static void on_writable(struct conn *c)
{
    ssize_t n = send(c->fd, c->owed.at, c->owed.len, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            close_conn(c);
        return;
    }
    c->owed.len -= (size_t)n;
    memmove(c->owed.at, c->owed.at + n, c->owed.len);
    if (c->owed.len)
        return;
    release(&c->owed);
    if (c->state == FLUSHING_THEN_CLOSE || watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c))
        close_conn(c);
    else
        c->state = READING;
}

static void open_conn(int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c || watch(EPOLL_CTL_ADD, fd, EPOLLIN, c)) {
        free(c);
        close(fd);
        return;
    }
    c->fd = fd;
    /* A new socket has room for these few bytes: anything else is an error of the connection. */
    if (send(fd, GREETING, LEN(GREETING), 0) != (ssize_t)LEN(GREETING))
        close_conn(c);
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            open_conn(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            /* The queue stays readable: without this the loop would spin until a close. */
            watch(EPOLL_CTL_DEL, listener, 0, NULL);
            accepting = OUT_OF_DESCRIPTORS;
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void serve(struct conn *c)
{
    if (__builtin_expect(c == &the_listener, 0))
        accept_all();
    else if (__builtin_expect(c == &the_stdin, 0)) {
        if (stdin_ended())
            exit(0);
    } else if (__builtin_expect(c->state == READING, 1))
        on_readable(c);
    else
        on_writable(c);
}

int main(int argc, char **argv)
{
    static struct epoll_event events[EVENTS];
    struct sockaddr_in address = parse_address(argc, argv);
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("cannot create an epoll instance");
    if (watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &the_stdin))
        die("cannot watch stdin, which must be a pipe or a terminal");
    listener = listen_on(address);
    if (watch(EPOLL_CTL_ADD, listener, EPOLLIN, &the_listener))
        die("cannot watch the listener");
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("cannot wait for events");
        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr);
    }
}
