"""Say where a service listens, and whether strangers may use it there."""

from __future__ import annotations

import ipaddress

from sam3d_bento.settings import Settings

# The address that no other machine reaches.
LOOPBACK = "127.0.0.1"
# Port of the service where none is given, as service.py has it.
PORT = 8000


def url(host: str, port: int) -> str:
    """Return the address at which a browser on this machine finds a service that listens there."""
    number = _number(host)
    if number is None:
        return f"http://{host}:{port}"
    if number.is_unspecified:  # all addresses of the machine, and none that a browser could open
        return f"http://{LOOPBACK}:{port}"
    return f"http://[{number}]:{port}" if number.version == 6 else f"http://{number}:{port}"


def warning(host: str, port: int, settings: Settings) -> str | None:
    """Return a sentence for whoever opens the service to other machines without a key; None if nothing is open."""
    if settings.api_keys_file is not None or _is_loopback(host):
        return None
    return (
        f"WARNING: everybody who reaches port {port} of this machine may use the service, because it has no keys. Set"
        " SAM3D_API_KEYS_FILE (docs/settings.md says how), or leave --host away."
    )


def _is_loopback(host: str) -> bool:
    number = _number(host)
    return host == "localhost" if number is None else number.is_loopback


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:  # a name
        return None
