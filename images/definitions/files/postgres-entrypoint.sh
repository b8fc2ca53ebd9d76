#!/usr/bin/dash
# Makes the cluster on the first start, then becomes PostgreSQL. initdb itself needs a shell, so this costs none more.
# The password goes through a descriptor: never argv, never a file that stays. Only dash's own commands are used.
set -eu

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

password=${POSTGRES_PASSWORD:-}
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
  [ -r "$POSTGRES_PASSWORD_FILE" ] || fail "POSTGRES_PASSWORD_FILE: cannot read $POSTGRES_PASSWORD_FILE"
  IFS= read -r password <"$POSTGRES_PASSWORD_FILE" || [ -n "$password" ] || fail "POSTGRES_PASSWORD_FILE: is empty"
fi
unset POSTGRES_PASSWORD

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -n "$password" ] || fail 'set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE: there is no default password'
  case "$POSTGRES_DB$POSTGRES_USER" in *[!a-zA-Z0-9_-]*) fail 'POSTGRES_DB and POSTGRES_USER: letters, digits, _ and - only' ;; esac
  initdb --username="$POSTGRES_USER" --pwfile=/dev/fd/3 --locale=C.UTF-8 --encoding=UTF8 --data-checksums \
    --auth-local=scram-sha-256 --auth-host=scram-sha-256 --pgdata="$PGDATA" 3<<PASSWORD
$password
PASSWORD
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  if [ "$POSTGRES_DB" != postgres ]; then
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | postgres --single -j -D "$PGDATA" postgres >/dev/null
  fi
fi
unset password

exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off "$@"
