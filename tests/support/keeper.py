"""Takes what comes at a socket, and writes it down before it reads on, until it is killed.

keeper.py FOLDER tcp ADDRESS PORT
keeper.py FOLDER stream PATH
keeper.py FOLDER datagram PATH

Each connection has a file of its own: what stands at its end was cut off there, and nothing else is put behind it.
"""

import os
import socket
import sys
import threading

FOLDER, KIND, *PLACE = sys.argv[1:]


def keep(source, number):
    with open(os.path.join(FOLDER, f"{os.getpid()}-{number}"), "ab") as file:
        try:
            while data := source.recv(1 << 20, socket.MSG_PEEK):
                file.write(data)
                file.flush()
                source.recv(len(data), socket.MSG_WAITALL)
        except OSError:
            pass


def bound(kind, path):
    if os.path.exists(path):
        os.unlink(path)
    end = socket.socket(socket.AF_UNIX, kind)
    end.bind(path)
    return end


if KIND == "datagram":
    keep(bound(socket.SOCK_DGRAM, PLACE[0]), 0)
if KIND == "stream":
    listener = bound(socket.SOCK_STREAM, PLACE[0])
    listener.listen(128)
else:
    listener = socket.create_server((PLACE[0], int(PLACE[1])), backlog=128)
number = 0
while True:
    near, _ = listener.accept()
    threading.Thread(target=keep, args=(near, number), daemon=True).start()
    number += 1
