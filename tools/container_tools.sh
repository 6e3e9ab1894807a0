#!/bin/sh
# What `make test-container` needs beside Python: installed from Debian's packages where this is root on Debian or Ubuntu.
set -eu
missing=""
for pair in buildah:buildah debootstrap:debootstrap ip:iproute2 unshare:util-linux setpriv:util-linux; do
    command -v "${pair%%:*}" > /dev/null || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086  # words, not one name
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi
