#!/usr/bin/env bash
# services.sh run -- COMMAND...: run COMMAND with a private PostgreSQL server.
#
# COMMAND finds the server in MILLSTREAM_TEST_POSTGRES; one that is set already is used as it is.
# The server listens on a free loopback port, keeps everything in a temporary folder and is gone
# when COMMAND has ended or this script was interrupted or terminated. Where PostgreSQL is missing
# and cannot be installed, COMMAND runs without it, except with MILLSTREAM_FORBID_SKIPS=1.
set -euo pipefail

log() { echo "services: $*" >&2; }

find_binaries() { # print the folder of the newest PostgreSQL here
    # Debian keeps the server's programs off PATH.
    local folder
    folder=$({ ls -d /usr/lib/postgresql/*/bin 2>/dev/null || true; } | sort -V | tail -n 1)
    [ -n "$folder" ] || folder=$(dirname "$(command -v initdb)" 2>/dev/null) || return 1
    [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && echo "$folder"
}

as_owner() { # run a command as the user who may own a server: never root
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && runuser -u "$owner" -- "$@")
    else
        (cd / && "$@")
    fi
}

start_postgres() { # set MILLSTREAM_TEST_POSTGRES
    local binaries password port try
    binaries=$(find_binaries) ||
        { "$scripts/install-debian" postgresql && binaries=$(find_binaries); } || return 1
    owner=$(id -un postgres 2>/dev/null || echo nobody)
    [ "$(id -u)" -ne 0 ] || chown "$owner" "$folder"
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "$password" | as_owner tee "$folder/password" >/dev/null
    as_owner "$binaries/initdb" -D "$folder/data" -U millstream -E UTF8 --locale=C --no-sync \
        --auth=md5 --pwfile="$folder/password" >"$folder/initdb.log" 2>&1 ||
        { cat "$folder/initdb.log" >&2; return 1; }
    # Nothing here must survive a crash, so nothing waits for a disk.
    as_owner tee -a "$folder/data/postgresql.conf" >/dev/null <<'CONF'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
synchronous_commit = off
full_page_writes = off
jit = off
max_connections = 300
CONF
    pg_ctl=$binaries/pg_ctl
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 12000))
        if as_owner "$pg_ctl" start -w -s -D "$folder/data" -l "$folder/server.log" -o "-p $port"
        then
            export MILLSTREAM_TEST_POSTGRES="postgresql://millstream:$password@127.0.0.1:$port/postgres"
            return
        fi
        log "no server on port $port (try $try)"
    done
    tail -n 20 "$folder/server.log" >&2
    return 1
}

# shellcheck disable=SC2329  # called by a trap
stop() {
    trap '' INT TERM HUP
    [ ! -e "$folder/data/postmaster.pid" ] ||
        as_owner "$pg_ctl" stop -w -s -D "$folder/data" -m immediate || true
    rm -rf "$folder"
}

# Let COMMAND end first; the server goes when it has.
# shellcheck disable=SC2329  # called by traps
forward() {
    [ -z "${child:-}" ] || kill "-$1" -- "-$child" 2>/dev/null || true
    [ -n "${child:-}" ] || exit 1
}

[ "${1:-}" = run ] && [ "${2:-}" = -- ] && [ $# -gt 2 ] ||
    { echo "usage: scripts/services.sh run -- COMMAND..." >&2; exit 2; }
shift 2
[ -z "${MILLSTREAM_TEST_POSTGRES:-}" ] || exec "$@"

scripts=$(dirname "$0")
folder=$(mktemp -d)
trap stop EXIT
for signal in INT TERM HUP; do
    # shellcheck disable=SC2064  # the name of the signal is known now
    trap "forward $signal" "$signal"
done

if ! start_postgres; then
    [ "${MILLSTREAM_FORBID_SKIPS:-}" != 1 ] || exit 1
    log "no PostgreSQL: what needs it is skipped"
fi

# A job of its own: it gets our signals from `forward`, and a background job of a script without
# job control would ignore Ctrl-C.
set -m
"$@" <&0 &
child=$!
set +m
status=0
while :; do
    wait "$child" && status=0 || status=$?
    # A signal ends `wait` early.
    kill -0 "$child" 2>/dev/null || break
done
exit "$status"
