"""The tutorial's server: a thread for each connection, one recv for each name."""

import socket
import sys
import threading

# ANCHOR: converse
def converse(connection, address):
    connection.send(b"Welcome!\n")
    while True:
        connection.send(b"What's your name?")
        name = connection.recv(1024)
        if name == b"exit":
            connection.send(b"Good bye!\n")
            break
        connection.send(b"Hello " + name + b"!\n")
    connection.close()
    print("Connection from %s:%s is closed" % address)
# ANCHOR_END: converse

# ANCHOR: accept
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 6000))
listener.listen(5)
print("listening on %s:%s" % listener.getsockname(), flush=True)
print("Waiting for connection...", flush=True)
while True:
    connection, address = listener.accept()
    print("Accept new connection from %s:%s" % address, flush=True)
    thread = threading.Thread(target=converse, args=(connection, address))
    thread.start()
# ANCHOR_END: accept
