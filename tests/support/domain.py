"""Accounts of a Samba domain, written into its database: FOLDER. Services are NAME with what
msDS-SupportedEncryptionTypes says, or nothing; keytabs are services.keytab, machines.keytab and other.keytab."""

import sys

import samba.dckeytab  # noqa: F401, gives Net its export_keytab
from samba.auth import system_session
from samba.credentials import Credentials
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB

folder = sys.argv[1]
SERVICES = {"aes": "24", "aes256": "16", "aes128": "8", "rc4": "4", "default": None}

settings = LoadParm()
settings.load(folder + "/etc/smb.conf")
credentials = Credentials()
credentials.guess(settings)
database = SamDB(
    url=folder + "/private/sam.ldb", session_info=system_session(), credentials=credentials, lp=settings
)
base = database.domain_dn()


def computer(name, attributes):
    database.newcomputer(name)
    database.setpassword(f"(sAMAccountName={name}$)", f"Passw0rd-of-{name}", False)
    for attribute, value in attributes.items():
        database.modify_ldif(
            f"dn: CN={name},CN=Computers,{base}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        )


for name, types in SERVICES.items():
    attributes = {"servicePrincipalName": f"HTTP/{name}.corp.forebay.test"}
    if types:
        attributes["msDS-SupportedEncryptionTypes"] = types
    computer(f"WEC-{name.upper()}", attributes)
computer("DISABLED", {"userAccountControl": "4098"})
computer("OTHER", {"servicePrincipalName": "HTTP/other.corp.forebay.test"})
machines = [f"WS-{number:05}" for number in range(4)]
for machine in machines:
    computer(machine, {"msDS-SupportedEncryptionTypes": "28"})

net = Net(credentials, settings)
for name in SERVICES:
    net.export_keytab(keytab=folder + "/services.keytab", principal=f"HTTP/{name}.corp.forebay.test")
net.export_keytab(keytab=folder + "/other.keytab", principal="HTTP/other.corp.forebay.test")
for machine in machines:
    net.export_keytab(keytab=folder + "/machines.keytab", principal=machine + "$")
