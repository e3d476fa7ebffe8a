"""The tutorial's design: a thread per connection, in Python.

It differs from the tutorial in what would make it unmeasurable: a name ends at its line's end and
not where one recv happens to stop, the welcome and the question leave together, a peer that goes
away ends its thread alone, and nothing is printed per connection.

What it lacks: deadlines, a limit on connections, names or threads, checks of names, a drain,
counters, logs.

Run: python3 tutorial.py ADDRESS:PORT
"""

import os
import socket
import sys
import threading
import time

QUESTION = b"What's your name?"
GREETING = b"Welcome!\n" + QUESTION
GOOD_BYE = b"Good bye!\n"


def converse(sock):
    sock.sendall(GREETING)
    unfinished = b""
    while data := sock.recv(16384):
        *lines, unfinished = (unfinished + data).split(b"\n")
        replies = []
        for line in lines:
            name = line.removesuffix(b"\r")
            if name == b"exit":
                sock.sendall(b"".join(replies) + GOOD_BYE)
                return
            replies.append(b"Hello " + name + b"!\n" + QUESTION)
        if replies:
            sock.sendall(b"".join(replies))


def serve(sock):
    with sock:
        try:
            converse(sock)
        except OSError:
            pass  # the peer went away: this connection ends, and no other


def exit_with_stdin():
    while os.read(sys.stdin.fileno(), 256):
        pass
    os._exit(0)


def accept_forever(listener):
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            time.sleep(0.01)  # out of descriptors, most likely: someone has to leave first
            continue
        try:
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
        except RuntimeError:
            sock.close()  # no more threads


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} ADDRESS:PORT, such as 127.0.0.1:0")
    host, _, port = sys.argv[1].rpartition(":")
    listener = socket.create_server((host, int(port)), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=exit_with_stdin, daemon=True).start()
    host, port = listener.getsockname()
    print(f"listening on {host}:{port}", flush=True)
    accept_forever(listener)


main()
