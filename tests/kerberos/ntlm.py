"""Accepts NTLM by pyspnego: MECHANISM (ntlm or negotiate), with the users of the file $NTLM_USER_FILE, as
DOMAIN:user:password. Everything is [length u32 | bytes], in and out: tokens until the handshake is done, then the name
of the user, then sealed messages (signature, data), which are sealed again backwards. Bindings, if any, are $BINDINGS."""

import os
import struct
import sys

import spnego
from spnego.channel_bindings import GssChannelBindings


def get():
    length = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(struct.unpack(">I", length)[0]) if length else None


def put(data):
    sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
    sys.stdout.buffer.flush()


only = {"ntlm": spnego.NegotiateOptions.use_ntlm, "negotiate": spnego.NegotiateOptions.use_negotiate}
bindings = os.environ.get("BINDINGS")
context = spnego.server(
    protocol=sys.argv[1],
    options=only[sys.argv[1]],
    channel_bindings=GssChannelBindings(application_data=bindings.encode()) if bindings else None,
)
while not context.complete:
    try:
        put(context.step(get()) or b"")
    except spnego.exceptions.SpnegoError as error:
        sys.exit(f"refused: {error}")
put(context.client_principal.encode())
while (signature := get()) is not None:
    message = context.unwrap_winrm(signature, get())
    sealed = context.wrap_winrm(message[::-1])
    put(sealed.header)
    put(sealed.data)
