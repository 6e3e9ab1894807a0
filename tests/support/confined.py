"""Run an image as a container runs it, without a container engine, and with less: no network, a read-only root.

The process gets namespaces of its own (mounts, processes, network, host name), the image's user, environment, working
folder and entrypoint, no capabilities, and memory-backed folders only where the image says that it writes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SETUP = """
set -eu
ip link set lo up
printf "127.0.0.1 localhost\n" > "$ROOT/etc/hosts"  # as every container engine does
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=755 dev "$ROOT/dev"
for name in null zero full random urandom tty; do
    touch "$ROOT/dev/$name"
    mount --bind "/dev/$name" "$ROOT/dev/$name"
done
ln -s /proc/self/fd "$ROOT/dev/fd"
mkdir "$ROOT/dev/shm"
for place in /dev/shm /tmp; do mount -t tmpfs -o mode=1777 tmpfs "$ROOT$place"; done
for place in $WRITABLE; do mount -t tmpfs -o "mode=755,uid=$USER_ID,gid=$USER_ID" tmpfs "$ROOT$place"; done
exec env -i -- "$@"
"""

HEALTH = """
import json, sys, httpx
answer = httpx.get(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=10)
print(json.dumps([answer.status_code, answer.json()]))
"""


class Confined:
    """A running container. root: the image's file system; config: as the image has it; writable: folders."""

    def __init__(self, root: Path, config: dict, log: Path, writable: tuple[str, ...], **environment: str) -> None:
        self.log = log
        self.user = config["User"].split(":")[0]
        variables = [*config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        confine = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--no-new-privs"]
        confine += ["--bounding-set=-all", "--inh-caps=-all"]
        chroot = ["chroot", str(root), "/bin/sh", "-c", 'cd "$0" && exec "$@"', config["WorkingDir"]]
        command = [*variables, *chroot, *confine, *config["Entrypoint"], *(config.get("Cmd") or [])]
        namespaces = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork"]
        with log.open("w") as output:
            self._outer = subprocess.Popen(
                [*namespaces, "/bin/sh", "-c", SETUP, "setup", *command],
                env={"PATH": os.environ["PATH"], "ROOT": str(root), "WRITABLE": " ".join(writable)}
                | {"USER_ID": self.user},
                stdout=output,
                stderr=output,
            )

    @property
    def init(self) -> int:
        """The process id, outside, of what is process 1 inside."""
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        while not (found := children.read_text().split()):
            assert self._outer.poll() is None, self.log.read_text()
        return int(found[0])

    def python(self, code: str, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess:
        """Run code of the test's own environment in the container's network, where nothing but the service is."""
        command = ["nsenter", f"--net=/proc/{self.init}/ns/net", sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, input=input, check=False, timeout=300)

    def inside(self, command: str, *, as_root: bool = False) -> subprocess.CompletedProcess:
        """Run a shell command in the container, by default as its user."""
        user = [] if as_root else [f"--setuid={self.user}", f"--setgid={self.user}"]
        enter = [
            "nsenter",
            f"--target={self.init}",
            "--mount",
            "--pid",
            "--net",
            f"--root=/proc/{self.init}/root",
            *user,
        ]
        environment = dict(
            item.split("=", 1) for item in Path(f"/proc/{self.init}/environ").read_text().split("\0") if "=" in item
        )
        return subprocess.run(
            [*enter, "/bin/sh", "-c", f"cd / && {command}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def wait_until_ready(self, seconds: float) -> None:
        """Poll /health until it is 200."""
        self.wait_until(200, seconds)

    def wait_until(
        self, status: int, seconds: float, says: Callable[[dict], bool] = lambda health: True, port: int = 8000
    ) -> dict:
        """Poll /health until it has this status and its report says what is wanted; the report."""
        give_up = time.monotonic() + seconds
        while True:
            assert self._outer.poll() is None, self.log.read_text()
            answer = self.python(HEALTH, str(port))
            if answer.returncode == 0:
                found, report = json.loads(answer.stdout)
                if found == status and says(report):
                    return report
            assert time.monotonic() < give_up, self.log.read_text()
            threading.Event().wait(0.2)

    def terminate(self) -> int:
        """Send SIGTERM to process 1, as `docker stop` does; its exit status."""
        os.kill(self.init, signal.SIGTERM)
        return self._outer.wait(120)

    def kill(self) -> None:
        """End everything in it, whatever it does: with its process 1 go all others of its namespace."""
        if self._outer.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
            self._outer.wait(30)
