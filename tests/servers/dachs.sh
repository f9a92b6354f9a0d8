#!/usr/bin/env bash
# GAVO DaCHS on PostgreSQL, on the loopback: the archive of somebody else that our client is tried on.
# As root on Debian 12; needs no service manager, and may be run again.
#   dachs.sh install    packages, database
#   dachs.sh serve      publish the twin data anew (PYTHON makes them) and answer at port 18080
#   dachs.sh stop       end the server and the database
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
port=${DACHS_PORT:-18080}
inputs=/var/gavo/inputs
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

database() {
  pg_lsclusters -h | grep -q '^15 *main' || pg_createcluster 15 main
  pg_lsclusters -h | grep -q '^15 *main.*online' || pg_ctlcluster 15 main start
  until su postgres -c 'pg_isready -q'; do sleep 0.2; done
}

install() {
  command -v dachs >/dev/null && return
  # Packages must not start services: there may be nothing to start them with.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
  fi
  apt-get update -q >/dev/null
  packages postgresql-15 postgresql-15-pgsphere postgresql-15-q3c curl
  # PostgreSQL 15.20 refuses two operators of pgsphere 1.1.1 that nobody uses; pgsphere dropped them.
  perl -0pi -e 's/CREATE OPERATOR \@ \(\s*LEFTARG\s*=\s*(?:bigint|spoint),\s*RIGHTARG\s*=\s*smoc,.*?\);\n//sg' \
    /usr/share/postgresql/15/extension/pg_sphere--*.sql
  # Setting DaCHS up makes its users and its tables: the database must run by now.
  database
  packages gavodachs2-server
}

packages() { apt-get install -y -q --no-install-recommends "$@" >/dev/null; }

configure() {
  cat >/etc/gavo.rc <<EOF
[general]
maintainerAddress: nobody@localhost
[web]
bindAddress: 127.0.0.1
serverPort: $port
serverURL: http://127.0.0.1:$port
sitename: twin
[ivoa]
authority: twin.test
EOF
  sed -i 's/^publisher:.*/publisher: jupyter_astroml tests/; s/<13 chrs/twin/' /var/gavo/etc/defaultmeta.txt
}

publish() {
  rm -rf "$inputs/twin"
  mkdir -p "$inputs/twin"
  "${PYTHON:-python3}" "$here/twin_data.py" "$inputs/twin/data"
  cp "$here/twin.rd" "$inputs/twin/q.rd"
  chown -R dachsroot:gavo "$inputs/twin"
  # The table of all observations must be there before the first table that joins it.
  for each in //obscore twin/q; do
    su dachsroot -s /bin/sh -c "cd $inputs && dachs --ui=stingy imp $each"
  done
}

# The one user who may ask for what is locked in twin.rd; conftest.py has the same words.
user() {
  dachs admin deluser astronomer >/dev/null 2>&1 || true
  su dachsroot -s /bin/sh -c "dachs admin adduser astronomer open-sesame"
}

serve() {
  database
  dachs serve stop >/dev/null 2>&1 || true
  configure
  publish
  user
  # As root it goes to the background as the user gavo; it must not keep our pipes open.
  dachs serve start >/dev/null 2>&1 </dev/null
  for _ in $(seq 100); do
    curl -sf -o /dev/null "http://127.0.0.1:$port/tap/availability" && return
    sleep 0.2
  done
  tail -n 40 /var/gavo/logs/dcErrors >&2
  return 1
}

stop() {
  dachs serve stop >/dev/null 2>&1 || true
  pg_ctlcluster 15 main stop >/dev/null 2>&1 || true
}

. /etc/os-release
if [ "${ID:-}${VERSION_ID:-}" != debian12 ] || [ "$(id -u)" != 0 ]; then
  echo "DaCHS is installed here on Debian 12 only, as root" >&2
  exit 1
fi
case "${1:-}" in
  install | serve | stop) "$1" ;;
  *) sed -n '2,6p' "$0"; exit 2 ;;
esac
