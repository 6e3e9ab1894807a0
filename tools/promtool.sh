#!/bin/sh
# Put Prometheus' promtool into build/promtool, out of Debian's or Ubuntu's package, without installing that. Fails where
# it cannot be had.
set -eu
cd "$(dirname "$0")/.."
if command -v promtool > /dev/null || test -x build/promtool; then exit 0; fi
command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
# Where there is no list of packages yet, root may fetch one.
apt-get download -qq prometheus > log 2>&1 || { test "$(id -u)" = 0 && apt-get update -qq && apt-get download -qq prometheus > log 2>&1; }
dpkg-deb -x prometheus_*.deb root
cd - > /dev/null
mkdir -p build
cp "$work/root/usr/bin/promtool" build/promtool
