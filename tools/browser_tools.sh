#!/bin/sh
# The browser of `make test-browser`: installed from Debian's packages where this is root on Debian or Ubuntu.
set -eu
if ! command -v chromium > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
fi
