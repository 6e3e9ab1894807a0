"""Fail where Python code looks up or connects to another host. For a process of its own: it cannot be undone."""

import sys

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def forbid_other_hosts() -> None:
    sys.addaudithook(_watch)


def _watch(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "localhost"  # a path: a socket of this machine
    else:
        return
    if host not in (None, "", *LOOPBACK):
        raise AssertionError(f"{event}: {host} is another host; nothing may be downloaded")
