"""A WinRM client that nobody here wrote: CLIENT PORT HOST. Sends standard input sealed, twice; writes the answers."""

import sys


def pypsrp(auth, port, host):
    from pypsrp.wsman import _TransportHTTP

    transport = _TransportHTTP(
        "localhost", port, ssl=False, auth=auth, encryption="always",
        negotiate_service="HTTP", negotiate_hostname_override=host,
    )
    return transport.send


def pywinrm(port, host):
    from winrm.transport import Transport

    transport = Transport(
        f"http://localhost:{port}/wsman", auth_method="kerberos", message_encryption="always",
        service="HTTP", kerberos_hostname_override=host,
    )
    transport.build_session()
    return transport.send_message


client, port, host = sys.argv[1], int(sys.argv[2]), sys.argv[3]
send = pywinrm(port, host) if client == "pywinrm" else pypsrp(client.removeprefix("pypsrp-"), port, host)
message = sys.stdin.buffer.read()
for _ in range(2):
    answer = send(message)
    sys.stdout.buffer.write(answer if isinstance(answer, bytes) else answer.encode())
