"""The Kerberos library, opening what it sealed itself: SERVICE ROUNDS BYTES SIZE... Median of the rounds for each size,
in ms of processor time per MB; what is around the calls is made before the time is taken."""

import sys
import time

import gssapi
from gssapi.raw import IOV, IOVBufferType as Type, unwrap_iov, wrap_iov

service, rounds, total = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FLAGS = ["mutual_authentication", "confidentiality", "integrity", "replay_detection", "out_of_sequence_detection"]


def contexts():
    name = gssapi.Name(service, gssapi.NameType.kerberos_principal)
    flags = [gssapi.RequirementFlag[flag] for flag in FLAGS]
    client = gssapi.SecurityContext(name=name, usage="initiate", flags=flags)
    server = gssapi.SecurityContext(usage="accept")
    client.step(server.step(client.step()))
    return client, server


def round_of(size):
    client, server = contexts()
    message, sealed = bytes(at * 7 % 256 for at in range(size)), []
    for _ in range(total // size):
        out = IOV(Type.header, message, Type.padding, std_layout=False)
        wrap_iov(client, out, confidential=True)
        sealed.append(IOV((Type.header, False, out[0].value), out[1].value, Type.data, std_layout=False))
    start = time.thread_time_ns()
    for message in sealed:
        unwrap_iov(server, message)
    return time.thread_time_ns() - start


for size in map(int, sys.argv[4:]):
    times = sorted(round_of(size) for _ in range(rounds))
    print(times[rounds // 2] / (total // size * size))
