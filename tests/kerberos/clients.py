"""A WinRM client that nobody here wrote: CLIENT PORT HOST [PATH [https]]. Sends standard input, twice; writes the
answers. What it sends is sealed, over https only encrypted by that."""

import sys

client, port, host = sys.argv[1], int(sys.argv[2]), sys.argv[3]
path = sys.argv[4] if len(sys.argv) > 4 else "wsman"
tls = sys.argv[5:] == ["https"]
encryption = "auto" if tls else "always"


def pypsrp(auth):
    from pypsrp.wsman import _TransportHTTP

    transport = _TransportHTTP(
        "localhost", port, path=path, ssl=tls, cert_validation=False, auth=auth, encryption=encryption,
        negotiate_service="HTTP", negotiate_hostname_override=host,
    )
    return transport.send


def pywinrm():
    from winrm.transport import Transport

    transport = Transport(
        f"{'https' if tls else 'http'}://localhost:{port}/{path}", auth_method="kerberos",
        message_encryption=encryption, server_cert_validation="ignore", service="HTTP",
        kerberos_hostname_override=host,
    )
    transport.build_session()
    return transport.send_message


send = pywinrm() if client == "pywinrm" else pypsrp(client.removeprefix("pypsrp-"))
message = sys.stdin.buffer.read()
for _ in range(2):
    answer = send(message)
    sys.stdout.buffer.write(answer if isinstance(answer, bytes) else answer.encode())
