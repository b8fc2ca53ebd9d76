#!/usr/bin/dash
# Hands the configuration to Redis on its standard input, so that the password is on no command line and in no file.
set -eu

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

password=${REDIS_PASSWORD:-}
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
  [ -r "$REDIS_PASSWORD_FILE" ] || fail "REDIS_PASSWORD_FILE: cannot read $REDIS_PASSWORD_FILE"
  IFS= read -r password <"$REDIS_PASSWORD_FILE" || [ -n "$password" ] || fail "REDIS_PASSWORD_FILE: is empty"
fi
unset REDIS_PASSWORD
[ -n "$password" ] || fail 'set REDIS_PASSWORD or REDIS_PASSWORD_FILE: there is no default password'
case $password in *[\"\\]*) fail 'REDIS_PASSWORD: quotes and backslashes are not possible' ;; esac

exec redis-server - "$@" <<CONFIG
bind * -::*
port 6379
dir /data
daemonize no
appendonly yes
appendfsync everysec
save 60 1
maxmemory-policy ${REDIS_MAXMEMORY_POLICY}
enable-debug-command no
enable-module-command no
requirepass "$password"
CONFIG
