#!/usr/bin/env python3
"""`format.openwec` against OpenWEC's own Json: both collectors are sent the same events by the same fleet.

  benches/site/openwec.py PEER [FOREBAY]     PEER: folder with openwecd and openwec; FOREBAY: target/release/forebay

HOSTS (20) simulated hosts have EVENTS (10000) in their logs, with times and seed that are the same in every run, and send
them over TLS to one collector and then to the other, as raw events and with RenderingInfo. What both wrote is held against
each other by computer, channel and record id, value by value. Then one host sends the events of FILES (*.xml of
src/format/testdata/json and openwec), odd ones among them, each in a delivery of its own, and these are told one by one.

Counts are of events that are equal in all but MUST_DIFFER; REPLAY=files sends the events of these files instead of made-up
ones. KEEP=folder keeps what OpenWEC wrote of each of FILES, without its own object: src/format/testdata/openwec is that.
Capitals are environment variables. Working files are in a folder of their own under DIR (/tmp), which goes away.
"""

import atexit
import collections
import glob
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

PEER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__)).resolve()
FOREBAY = os.path.realpath(sys.argv[2] if len(sys.argv) > 2 else "target/release/forebay")
HOSTS, EVENTS = int(os.environ.get("HOSTS", 20)), int(os.environ.get("EVENTS", 10000))
ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = (os.environ.get("FILES") or " ".join(sorted(glob.glob(f"{ROOT}/src/format/testdata/[jo][sp]*/*.xml")))).split()
PORTS = {"ours": 5996, "theirs": 5997}
CHANNELS = ["Security", "System", "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-PowerShell/Operational"]

SINCE = "2026-01-02T03:04:05.0600Z"
UUID = "B00B00B0-0000-4000-8000-000000000001"
# When it was received, the version that OpenWEC makes of its own settings, the words of a parser, and what is told of events
# of another computer than the one that sent them.
MUST_DIFFER = {"OpenWEC.TimeReceived", "OpenWEC.Subscription.Version", "OpenWEC.Error.Message", "Forebay"}

PIPELINE = """
[basin.disk]
path = "basin"
[source.site.wef]
listen = "127.0.0.1:{port}"
tls = {{ certificate = "{certs}/server.pem", key = "{certs}/server.key" }}
auth.certificate.ca = ["{certs}/ca.pem"]
[source.site.wef.subscription.everything]
query.channels = {{ {channels} }}
format = "{ours}"
read_existing = true
[output.files]
format.openwec.uuid_by_subscription.everything = "{uuid}"
sink.file.path = "out/messages"
"""

SERVER = """
[server]
[logging]
verbosity = "error"
server_logs = "{dir}/server.log"
[database]
type = "SQLite"
path = "{dir}/openwec.sqlite"
[[collectors]]
hostname = "localhost"
listen_address = "127.0.0.1"
listen_port = {port}
[collectors.authentication]
type = "Tls"
ca_certificate = "{certs}/ca.pem"
server_certificate = "{certs}/server.pem"
server_private_key = "{certs}/server.key"
[cli]
"""

SUBSCRIPTION = """
uuid = "{uuid}"
name = "everything"
query = '''
<QueryList><Query Id="0">{selects}</Query></QueryList>
'''
[options]
enabled = true
content_format = "{theirs}"
read_existing_events = true
max_time = 1
[[outputs]]
driver = "Files"
format = "Json"
config = {{ path = "{dir}/out/messages" }}
"""

ENVELOPE = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" \
xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:e="http://schemas.xmlsoap.org/ws/2004/08/eventing" \
xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" \
xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header><a:To>{to}</a:To>{resource}\
<m:MachineID xmlns:m="http://schemas.microsoft.com/wbem/wsman/1/machineid" s:mustUnderstand="false">{machine}</m:MachineID>\
<a:ReplyTo><a:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address>\
</a:ReplyTo><a:Action s:mustUnderstand="true">{action}</a:Action>\
<w:MaxEnvelopeSize s:mustUnderstand="true">512000</w:MaxEnvelopeSize>\
<a:MessageID>uuid:02020202-0202-8202-8202-{number:012}</a:MessageID>\
<w:Locale xml:lang="en-US" s:mustUnderstand="false" /><p:DataLocale xml:lang="en-US" s:mustUnderstand="false" />\
<p:SessionId s:mustUnderstand="false">uuid:03030303-0303-8303-8303-030303030303</p:SessionId>\
<p:OperationID s:mustUnderstand="false">uuid:04040404-0404-8404-8404-{number:012}</p:OperationID>\
<p:SequenceId s:mustUnderstand="false">1</p:SequenceId><w:OperationTimeout>PT60.000S</w:OperationTimeout>{more}</s:Header>\
<s:Body>{body}</s:Body></s:Envelope>"""
RESOURCE = '<w:ResourceURI s:mustUnderstand="true">http://schemas.microsoft.com/wbem/wsman/1/SubscriptionManager/Subscription' \
           "</w:ResourceURI>"
ENUMERATE = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate"
DELIVER = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events"
MANAGER = "/wsman/SubscriptionManager/WEC"

DIR = pathlib.Path(tempfile.mkdtemp(prefix="forebay-openwec.", dir=os.environ.get("DIR", "/tmp")))
CERTS = DIR / "certs"
RUNNING = []


def leave():
    for process in RUNNING:
        process.kill()
    shutil.rmtree(DIR)


atexit.register(leave)


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


class Collector:
    """One of both, with its output."""

    def __init__(self, side, ours, theirs):
        self.side, self.port, self.at = side, PORTS[side], 0
        self.dir = DIR / f"{side}-{ours}"
        self.out = self.dir / "out/messages"
        self.out.parent.mkdir(parents=True)
        values = {"port": self.port, "certs": CERTS, "dir": self.dir, "ours": ours, "theirs": theirs, "uuid": UUID}
        if side == "ours":
            channels = ", ".join(f'"{channel}" = "*"' for channel in CHANNELS)
            (self.dir / "pipeline.toml").write_text(PIPELINE.format(channels=channels, **values))
            command = [FOREBAY, "run", "pipeline.toml"]
        else:
            selects = "".join(f'<Select Path="{channel}">*</Select>' for channel in CHANNELS)
            (self.dir / "server.toml").write_text(SERVER.format(**values))
            (self.dir / "subscription.toml").write_text(SUBSCRIPTION.format(selects=selects, **values))
            run(PEER / "openwec", "-c", "server.toml", "db", "init", cwd=self.dir)
            run(PEER / "openwec", "-c", "server.toml", "subscriptions", "load", "--keep", "subscription.toml", cwd=self.dir)
            command = [PEER / "openwecd", "-c", "server.toml"]
        self.process = subprocess.Popen(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=open(self.dir / "log", "wb"))
        RUNNING.append(self.process)
        for _ in range(200):
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
        sys.exit(f"{side} does not listen: {(self.dir / 'log').read_text()}")

    def lines(self, count, patience, is_wanted):
        """Waits for so many more such lines, and returns what came."""
        found, until = [], time.monotonic() + patience
        while len(found) < count and time.monotonic() < until:
            if self.out.exists():
                with open(self.out, "rb") as out:
                    out.seek(self.at)
                    text = out.read()
                text = text[: text.rfind(b"\n") + 1]
                self.at += len(text)
                found += [line for line in map(parsed, text.splitlines()) if is_wanted(line)]
            time.sleep(0.02)
        return found

    def pass_over(self):
        """Leaves alone what was written so far, once nothing more comes."""
        while self.out.stat().st_size != self.at:
            self.at = self.out.stat().st_size
            time.sleep(1)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        RUNNING.remove(self.process)


def parsed(line):
    def members(pairs):
        if len({name for name, _ in pairs}) != len(pairs):
            print(f"  a key twice: {line.decode()}")
        return dict(pairs)

    return json.loads(line, object_pairs_hook=members)


def is_beginning(line):
    """Event 111, by which a host begins a subscription: OpenWEC keeps it, a collector of Windows and ours do not."""
    return line.get("System", {}).get("Provider", {}).get("Name") == "Microsoft-Windows-EventForwarder"


def is_existing(line):
    """One of those that are the same in every run: hosts that have sent theirs go on with new ones."""
    return line.get("System", {}).get("TimeCreated", "").startswith(SINCE[:10])


def differences(ours, theirs, path=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            below = f"{path}.{name}" if path else name
            if name not in theirs:
                yield below, "only ours", ours[name]
            elif name not in ours:
                yield below, "only theirs", theirs[name]
            else:
                yield from differences(ours[name], theirs[name], below)
    elif type(ours) is not type(theirs) or ours != theirs:
        yield path, "ours, theirs", (ours, theirs)


def told(ours, theirs):
    return [found for found in differences(ours, theirs) if found[0] not in MUST_DIFFER]


class Host:
    """One that sends any text as an event."""

    def __init__(self, collector):
        self.name, self.number = "ws-odd.fleet.example", 0
        key, certificate = DIR / "odd.key", DIR / "odd.pem"
        if not certificate.exists():
            (DIR / "odd.ext").write_text(f"extendedKeyUsage=clientAuth\nsubjectAltName=DNS:{self.name}\n")
            run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                "-out", DIR / "odd.csr", "-subj", f"/CN={self.name}")
            run("openssl", "x509", "-req", "-in", DIR / "odd.csr", "-CA", CERTS / "ca.pem", "-CAkey", CERTS / "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", DIR / "odd.ext", "-out", certificate)
        context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
        context.check_hostname = False
        context.load_cert_chain(certificate, key)
        self.connection = http.client.HTTPSConnection("127.0.0.1", collector.port, context=context)
        answer = self.post(MANAGER, ENUMERATE, RESOURCE, "", "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>32000"
                           "</w:MaxElements></n:Enumerate>")
        notify = next(part for part in ET.fromstring(answer).iter() if part.tag.endswith("}NotifyTo"))
        address = next(part.text for part in notify.iter() if part.tag.endswith("}Address"))
        self.path = "/" + address.split("/", 3)[3]
        references = next(part for part in notify if re.search("Reference(Parameters|Properties)$", part.tag))
        self.references = "".join(ET.tostring(part, encoding="unicode") for part in references)

    def post(self, path, action, resource, more, body):
        self.number += 1
        text = ENVELOPE.format(to=f"https://localhost{path}", resource=resource, machine=self.name, action=action,
                               number=self.number, more=more, body=body)
        self.connection.request("POST", path, b"\xff\xfe" + text.encode("utf-16-le"),
                                {"Content-Type": "application/soap+xml;charset=UTF-16"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} {text.decode('utf-16', 'replace')[:300]}")
        return text.decode("utf-16")

    def deliver(self, event):
        bookmark = f'<w:Bookmark><BookmarkList><Bookmark Channel="Security" RecordId="{self.number}" IsCurrent="true"/>' \
                   "</BookmarkList></w:Bookmark><w:AckRequested/>"
        event = event.replace("]]>", "]]]]><![CDATA[>")
        self.post(self.path, DELIVER, "", self.references + bookmark,
                  '<w:Events><w:Event Action="http://schemas.dmtf.org/wbem/wsman/1/wsman/Event">'
                  f"<![CDATA[{event}]]></w:Event></w:Events>")


def fleet(collector):
    """What the collector wrote of all events of all hosts."""
    url = f"https://localhost:{collector.port}{MANAGER}"
    replay = ["--replay", *os.environ["REPLAY"].split()] if os.environ.get("REPLAY") else []
    hosts = subprocess.Popen([FOREBAY, "fleet", url, "--certificates", CERTS, "--connect", f"127.0.0.1:{collector.port}",
                              "-n", str(HOSTS), "--existing", str(EVENTS // HOSTS), "--existing-since",
                              SINCE, "--duration", "10m", "--vanish", *replay],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    RUNNING.append(hosts)
    lines = collector.lines(EVENTS, 300, is_existing)
    hosts.kill()
    hosts.wait()
    RUNNING.remove(hosts)
    by_key = {}
    for line in lines:
        system = line["System"]
        key = system["Computer"], system["Channel"], system["EventRecordID"]
        assert key not in by_key, f"{key} came twice"
        by_key[key] = line
    return by_key


def compare_fleet(ours, theirs, content):
    ours, theirs = fleet(ours), fleet(theirs)
    assert ours.keys() == theirs.keys(), f"{len(ours.keys() ^ theirs.keys())} events are in one output only"
    kinds, different = collections.defaultdict(list), 0
    for key, line in ours.items():
        found = told(line, theirs[key])
        different += bool(found)
        for path, kind, values in found:
            kinds[path, kind].append((key, values))
    print(f"{content}: {len(ours)} events of {HOSTS} hosts: {len(ours) - different} equal, {different} different")
    for (path, kind), found in sorted(kinds.items()):
        print(f"  {len(found):6} {path}, {kind}: {found[0]}")


def compare_files(ours, theirs):
    hosts, equal = [(collector, Host(collector)) for collector in (ours, theirs)], 0
    for collector, _ in hosts:
        collector.pass_over()
    keep = os.environ.get("KEEP")
    for path in FILES:
        text, written = pathlib.Path(path).read_bytes().decode().rstrip("\n"), {}
        for collector, host in hosts:
            try:
                host.deliver(text)
                written[collector.side] = next(iter(collector.lines(1, 3, lambda line: not is_beginning(line))), None)
            except OSError as error:
                written[collector.side] = {"refused": str(error)}
        name = pathlib.Path(path).stem
        if keep and written["theirs"]:
            kept = {key: value for key, value in written["theirs"].items() if key != "OpenWEC"}
            # It writes the members of EventData in another order each time.
            if "EventData" in kept:
                kept["EventData"] = dict(sorted(kept["EventData"].items()))
            if "Error" in written["theirs"].get("OpenWEC", {}):
                original = written["theirs"]["OpenWEC"]["Error"]["OriginalContent"]
                kept = {"OpenWEC": {"Error": {"OriginalContent": original}}}
            pathlib.Path(keep, f"{name}.json").write_text(json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n")
        if None in written.values():
            print(f"  {name}: nothing of " + " and ".join(side for side, line in written.items() if line is None))
            continue
        found = told(written["ours"], written["theirs"])
        equal += not found
        for path, kind, values in found:
            print(f"  {name}: {path}, {kind}: {json.dumps(values, ensure_ascii=False)[:400]}")
    print(f"files: {len(FILES)} events: {equal} equal, {len(FILES) - equal} different")


def main():
    run(FOREBAY, "fleet", f"https://localhost:{PORTS['ours']}{MANAGER}", "--certificates", CERTS, "--mint-only")
    for ours, theirs in [("raw", "Raw"), ("rendered-text", "RenderedText")]:
        both = [Collector(side, ours, theirs) for side in PORTS]
        compare_fleet(*both, theirs)
        if ours == "raw":
            compare_files(*both)
        for collector in both:
            collector.stop()


main()
