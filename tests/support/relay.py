"""Takes connections at one address and hands their bytes on to another, until it is killed.

relay.py ADDRESS PORT TO_ADDRESS TO_PORT
"""

import socket
import sys
import threading


def hand_on(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in source, target:
            end.close()


def serve(address, port, to):
    listener = socket.create_server((address, port), backlog=128)
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(to)
        except OSError:
            near.close()
            continue
        for pair in (near, far), (far, near):
            threading.Thread(target=hand_on, args=pair, daemon=True).start()


serve(sys.argv[1], int(sys.argv[2]), (sys.argv[3], int(sys.argv[4])))
