"""Build images without a container engine, and read them: buildah, as root, with its storage in a folder of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The package registry's settings and certificates of this machine, for the steps that install.
HOST_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
BUILD_SECONDS = 900


@dataclass
class Images:
    """A store of images in `folder`."""

    folder: Path

    @property
    def command(self) -> list[str]:
        return [
            "buildah",
            *("--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")),
            *("--storage-driver", "overlay"),
        ]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=check)

    def build(
        self, context: Path, dockerfile: Path, tag: str, *options: str, downloads: str = "downloads", **build_args: str
    ) -> str:
        """Build with a cache of layers; what the builder printed. downloads: the folder of its cache mounts."""
        kept = self.folder / downloads
        kept.mkdir(exist_ok=True)
        mounts = [f"--volume={name}:{name}:ro" for name in HOST_FILES if Path(name).exists()]
        arguments = [f"--build-arg={name}={value}" for name, value in build_args.items()]
        # docker's format: OCI's has no HEALTHCHECK
        command = ["bud", "--format", "docker", "--layers", "--isolation", "chroot", "--network", "host"]
        command += [*mounts, *arguments, *options, "--file", str(dockerfile), "--tag", tag, str(context)]
        done = subprocess.run(
            [*self.command, *command],
            env=os.environ | {"TMPDIR": str(kept)},  # buildah 1.28 keeps them there
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-6000:]
        return output

    def config(self, tag: str) -> dict:
        """What the image says of how it is run: `Env`, `User`, `Entrypoint`, `Healthcheck`, ..."""
        return self.inspect(tag)["Docker"]["config"]

    def remove(self) -> None:
        """All images, and what buildah left mounted of its storage, which nobody could delete otherwise."""
        subprocess.run(["umount", "--recursive", str(self.folder / "storage" / "overlay")], check=False)
        shutil.rmtree(self.folder)

    def inspect(self, tag: str) -> dict:
        return json.loads(self.run("inspect", "--type", "image", tag).stdout)

    def export(self, tag: str, folder: Path) -> Path:
        """The image as a registry would get it: a folder with its configuration and each layer, as plain files."""
        archive = folder / "image.tar"
        self.run("push", tag, f"docker-archive:{archive}")
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        archive.unlink()
        return folder

    @contextmanager
    def root_of(self, tag: str) -> Iterator[Path]:
        """The image's file system, mounted; what is written into it is thrown away."""
        container = self.run("from", tag).stdout.strip()
        try:
            yield Path(self.run("mount", container).stdout.strip())
        finally:
            self.run("umount", container)
            self.run("rm", container)


def debian(images: Images, tag: str) -> None:
    """A bare Debian 12 with its Python 3.11, in place of the CUDA image, which no machine here can get."""
    root = images.folder / "debian"
    packages = "python3,python3-venv,ca-certificates"
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    archive = images.folder / "context" / "debian.tar"
    archive.parent.mkdir()
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    dockerfile = images.folder / "Dockerfile.debian"
    dockerfile.write_text("FROM scratch\nADD debian.tar /\n")
    images.build(archive.parent, dockerfile, tag)
    archive.unlink()
    shutil.rmtree(root)
