"""A name server for the tests of addresses."""

import socket

from aiohttp.abc import AbstractResolver


class Zone(AbstractResolver):
    """A name server that answers with these addresses."""

    def __init__(self, *addresses):
        self.addresses = addresses

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
            for address in self.addresses
        ]

    async def close(self):
        pass
