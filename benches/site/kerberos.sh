#!/bin/bash
# A collector in a domain: machines that sign in by Kerberos over plain HTTP, with a key distribution centre of
# MIT that needs no privileges.
#
#   benches/site/kerberos.sh storm|cost [FOREBAY]      FOREBAY: the program, target/release/forebay
#
#   storm  HOSTS (5000) sign in over START (20s) and stay; 15 s later all lose their connections at one moment and
#          sign in again with the tickets they have: how long until all are back, and the collector's memory
#   cost   HOSTS (200) send RATE (10000) events/s by TLS with certificates and by Kerberos, in turn, ROUNDS (3) times:
#          the collector's processor time for an event of either, in WINDOW (20) seconds behind the handshakes
#
# Needs krb5-kdc, krb5-admin-server and libgssapi-krb5-2. SCHEME is kerberos or negotiate. Capitals are environment
# variables. Files are in a folder of their own under DIR (/tmp), which goes away.
set -euo pipefail
claim=${1:?storm or cost}
forebay=$(realpath "${2:-target/release/forebay}")
dir=$(mktemp -d "${DIR:-/tmp}/forebay-kerberos.XXXXXX")
port=${PORT:-5985} tls_port=${TLS_PORT:-5986} kdc_port=${KDC_PORT:-5988}
case $claim in storm) hosts=${HOSTS:-5000} ;; *) hosts=${HOSTS:-200} ;; esac
realm=FLEET.EXAMPLE
pid= kdc= fleet=
leave() {
    for one in $fleet $pid $kdc; do kill "$one" 2>/dev/null || true; wait "$one" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap leave EXIT
cd "$dir"
ulimit -n "$(ulimit -Hn)"
export PATH="$PATH:/usr/sbin" KRB5_CONFIG="$dir/krb5.conf" KRB5_KDC_PROFILE="$dir/kdc.conf"
unset KRB5_KTNAME KRB5_CLIENT_KTNAME KRB5CCNAME

# A centre, the machines, and a service; keytabs are made in pieces, for each key is searched a place in its file.
cat > kdc.conf <<END_OF_FILE
[kdcdefaults]
 kdc_listen = 127.0.0.1:$kdc_port
 kdc_tcp_listen = 127.0.0.1:$kdc_port
[realms]
 $realm = {
  database_name = $dir/principal
  acl_file = $dir/nobody.acl
  key_stash_file = $dir/stash
  supported_enctypes = ${ETYPE:-aes256-cts-hmac-sha1-96}:normal
 }
[logging]
 kdc = FILE:$dir/kdc.log
END_OF_FILE
cat > krb5.conf <<END_OF_FILE
[libdefaults]
 default_realm = $realm
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 $realm = {
  kdc = 127.0.0.1:$kdc_port
 }
END_OF_FILE
kdb5_util create -s -P throw-away -r $realm > /dev/null
{
    echo "addprinc -randkey HTTP/localhost"
    for n in $(seq 0 $((hosts - 1))); do printf 'addprinc -randkey WS-%05d$\n' "$n"; done
    echo "ktadd -norandkey -k $dir/service.keytab HTTP/localhost"
    for from in $(seq 0 100 $((hosts - 1))); do
        printf 'ktadd -norandkey -k %s/part.%05d' "$dir" "$from"
        for n in $(seq "$from" $((from + 99 < hosts ? from + 99 : hosts - 1))); do printf ' WS-%05d$' "$n"; done
        echo
    done
} | kadmin.local -r $realm > kadmin.log 2>&1
{ printf '\005\002'; for part in part.*; do tail -c +3 "$part"; done; } > machines.keytab
krb5kdc -n > krb5kdc.log 2>&1 & kdc=$!
until (exec 3<> "/dev/tcp/127.0.0.1/$kdc_port") 2>/dev/null; do sleep 0.1; done

url=http://localhost:$port/wsman/SubscriptionManager/WEC
tls_url=https://127.0.0.1:$tls_port/wsman/SubscriptionManager/WEC
"$forebay" fleet "$tls_url" --certificates certs --mint-only
pipeline() {
    cat <<END_OF_FILE
limits.memory_max = "256MiB"
[basin.disk]
path = "basin-$1"
size_max = "${BASIN:-512MiB}"
[output.files]
format.json = {}
sink.file = { path = "out/all.jsonl" }
[source.site.wef]
$2
[source.site.wef.subscription.all]
query.channels = { Security = "*", System = "*", "Microsoft-Windows-Sysmon/Operational" = "*", "Microsoft-Windows-PowerShell/Operational" = "*" }
heartbeat = "10m"
enabled_for.allow = "ws-*"
END_OF_FILE
}
pipeline kerberos "listen = \"127.0.0.1:$port\"
auth.kerberos.keytab = \"service.keytab\"" > kerberos.toml
pipeline tls "listen = \"127.0.0.1:$tls_port\"
tls = { certificate = \"certs/server.pem\", key = \"certs/server.key\" }
auth.certificate.ca = [\"certs/ca.pem\"]" > tls.toml

start() {
    : > log
    "$forebay" run "$1.toml" 2> log & pid=$!
    for _ in $(seq 100); do grep -q 'listening for hosts' log && return; sleep 0.1; done
    cat log; exit 1
}
stop() { kill "$pid"; wait "$pid" || true; pid=; }
fleet() {
    local to=$1; shift
    case $to in
    kerberos) set -- "$url" --connect "127.0.0.1:$port" --keytab machines.keytab --scheme "${SCHEME:-kerberos}" "$@" ;;
    tls) set -- "$tls_url" --certificates certs "$@" ;;
    esac
    "$forebay" fleet "$@" -n "$hosts" --from 127.0.0.2-127.0.0.9 --vanish --pid "$pid"
}
kib() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$pid/status"; }
# Hundredths of a second of processor time.
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }

case $claim in
storm)
    start kerberos
    over=${START:-20s}
    at=$((${over%s} + 15))
    fleet kerberos --idle --start-over "$over" --reconnect-after "${at}s" --duration "$((at + ${SECONDS_MAX:-90}))s" \
        --refresh 10m > report & fleet=$!
    sleep "$((at - 2))"
    echo "$(kib VmHWM) KiB at most while the hosts came, $(kib VmRSS) KiB when they were there"
    wait $fleet; fleet=
    cat report
    echo "$(kib VmHWM) KiB at most, the storm included; the centre issued $(grep -c 'AS_REQ.* ISSUE' kdc.log) and $(grep -c 'TGS_REQ.* ISSUE' kdc.log) tickets in all"
    grep -q "hosts $hosts of $hosts back .* deliveries $hosts of $hosts back .* 0 failed" report || { echo "not all are back"; exit 1; } ;;
cost)
    # Leaves it in `figure`: a subshell would not end what it starts.
    cost() {
        start "$1"
        fleet "$1" --rate "${RATE:-10000}" --batch "${BATCH:-50}" --start-over 2s --refresh 10m \
            --duration "$((${WINDOW:-20} + 14))s" > "report.$1" & fleet=$!
        sleep 10
        before=$(ticks)
        sleep "${WINDOW:-20}"
        spent=$(($(ticks) - before))
        wait $fleet; fleet=
        if grep -q failed "report.$1"; then cat "report.$1"; exit 1; fi
        echo "$1: $(grep '^ack' "report.$1")"
        stop
        rm -rf "basin-$1" out
        figure=$(awk -v spent="$spent" -v events="$((${RATE:-10000} * ${WINDOW:-20}))" \
            'BEGIN { printf "%.2f", spent * 1e4 / events }')
    }
    for _ in $(seq "${ROUNDS:-3}"); do
        cost tls; tls=$figure
        cost kerberos; kerberos=$figure
        awk -v tls="$tls" -v kerberos="$kerberos" \
            'BEGIN { printf "%s CPU s per million events by TLS, %s by Kerberos: %.2f times\n", tls, kerberos, kerberos / tls }'
    done ;;
*) echo "storm or cost" >&2; exit 64 ;;
esac
