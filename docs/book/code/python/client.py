"""The tutorial's client: one recv for each message. The names are arguments."""

import socket
import sys

# ANCHOR: client
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.connect(("127.0.0.1", int(sys.argv[1])))
print(server.recv(1024).decode())  # the welcome
print(server.recv(1024).decode())  # the question
for name in sys.argv[2:]:
    server.send(name.encode())
    print(server.recv(1024).decode())  # the reply
    if name == "exit":
        break
    print(server.recv(1024).decode())  # the question
server.close()
# ANCHOR_END: client
