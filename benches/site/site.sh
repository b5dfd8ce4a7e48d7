#!/bin/bash
# One node as a site would load it: a collector and its simulated hosts on this machine, over TLS.
#
#   benches/site/site.sh idle|rate|full|fair [FOREBAY]      FOREBAY: the program, target/release/forebay
#
#   idle   HOSTS (10000) connect from a cold start and stay; time, and memory of an idle connection
#   rate   HOSTS (10000) send RATE (20000) events/s, reached over RAMP (60s), whether it keeps up or not
#   full   HOSTS (2000) push while the output is down and the basin full; then it comes back
#   fair   HOSTS (500) at 2000 events/s without, then with one that has 16 subscriptions and sends without pause
#
# A run takes 120 s, `full` 600, `fair` twice 60; SECONDS_MAX says otherwise. Capitals are environment variables.
# Files are in a folder of their own under DIR (/tmp), which goes away.
set -euo pipefail
claim=${1:?idle, rate, full or fair}
forebay=$(realpath "${2:-target/release/forebay}")
dir=$(mktemp -d "${DIR:-/tmp}/forebay-site.XXXXXX")
port=${PORT:-5986}
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
ulimit -n "$(ulimit -Hn)"

url=https://127.0.0.1:$port/wsman/SubscriptionManager/WEC
"$forebay" fleet "$url" --certificates certs --mint-only
cat > pipeline.toml <<END
limits.memory_max = "256MiB"
[basin.disk]
path = "basin"
size_max = "${BASIN:-512MiB}"
[source.site.wef]
listen = "127.0.0.1:$port"
tls = { certificate = "certs/server.pem", key = "certs/server.key" }
auth.certificate.ca = ["certs/ca.pem"]
[source.site.wef.subscription.all]
query.channels = { Security = "*", System = "*", "Microsoft-Windows-Sysmon/Operational" = "*", "Microsoft-Windows-PowerShell/Operational" = "*" }
heartbeat = "30s"
enabled_for.allow = "ws-*"
[output.files]
format.json = {}
sink.file = { path = "out/all.jsonl" }
END

start() {
    "$forebay" run pipeline.toml 2> log & pid=$!
    for _ in $(seq 100); do grep -q 'listening for hosts' log && return; sleep 0.1; done
    cat log; exit 1
}
kib() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$pid/status"; }
connections() { ls "/proc/$pid/fd" | wc -l; }
fleet() { "$forebay" fleet "$url" --certificates certs --from 127.0.0.2-127.0.0.9 "$@"; }
p99() { sed 's/.*"latency_ms":{[^}]*"p99":\([0-9.]*\).*/\1/' "$1"; }

case $claim in
idle)
    hosts=${HOSTS:-10000}
    start; sleep 1
    before=$(kib VmRSS) began=$SECONDS
    fleet -n "$hosts" --idle --start-over 1s --duration "${SECONDS_MAX:-120}s" --vanish --pid "$pid" > report & fleet=$!
    while kill -0 $fleet 2>/dev/null && [ "$(connections)" -lt "$hosts" ]; do sleep 0.5; done
    echo "$hosts hosts connected after $((SECONDS - began)) s"
    # By then each has sent a heartbeat, and connections have nothing to do.
    sleep 5
    echo "$(( ($(kib VmRSS) - before) * 1024 / hosts )) bytes of RSS for each idle connection"
    wait $fleet; cat report ;;
rate)
    start
    fleet -n "${HOSTS:-10000}" --rate "${RATE:-20000}" --ramp "${RAMP:-60s}" --batch "${BATCH:-50}" \
        --duration "${SECONDS_MAX:-120}s" --ledger ledger --vanish --pid "$pid"
    kill "$pid"; wait "$pid" || true; pid=
    "$forebay" fleet verify ledger out ;;
full)
    hosts=${HOSTS:-2000}
    # Nothing can be written below a file.
    : > out
    start
    fleet -n "$hosts" --duration "${SECONDS_MAX:-600}s" --retry 5s --ledger ledger --vanish --pid "$pid"
    echo "peak $(kib VmHWM) KiB, of $(( (256 + 64) * 1024 + 32 * hosts )) KiB that are allowed"
    rm out
    until [ -e out/all.jsonl ] && [ "$(stat -c %s out/all.jsonl)" = "${size:-}" ]; do
        size=$(stat -c %s out/all.jsonl 2>/dev/null || true); sleep 5
    done
    kill "$pid"; wait "$pid" || true; pid=
    "$forebay" fleet verify ledger out ;;
fair)
    for n in $(seq 16); do
        printf '[source.site.wef.subscription.noisy%s]\nquery.channels.Security = "*"\nenabled_for.allow = "noisy*"\n' "$n"
    done >> pipeline.toml
    start
    quiet() { fleet -n "$((${HOSTS:-500} - 1))" --rate 2000 --ramp 15s --batch 4 --seed "$1" --duration "${SECONDS_MAX:-60}s" --vanish -o json; }
    quiet 1 > without
    # It is another machine, whose processor the others and the collector do not share.
    nice -n 10 "$forebay" fleet "$url" --certificates certs --from 127.0.0.2-127.0.0.9 -n 1 --prefix noisy --batch 2000 --duration "$((${SECONDS_MAX:-60} + 5))s" --vanish > noisy & fleet=$!
    quiet 2 > with
    wait $fleet
    echo "p99 of the others: $(p99 without) ms without the noisy one, $(p99 with) ms with it"
    cat noisy ;;
*) echo "idle, rate, full or fair" >&2; exit 64 ;;
esac
