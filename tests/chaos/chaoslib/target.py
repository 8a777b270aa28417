"""The target of a tunnel: target.py HOST PORT. Tells on standard output what ended short."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from chaoslib import stream


def tell(kind, id, text):
    os.write(1, ("%s %d %s\n" % (kind, id, text)).encode())


def run(connection):
    with connection:
        stream.serve(connection, tell)


def main():
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=256)
    tell("listening", 0, "")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=run, args=(connection,), daemon=True).start()


main()
