"""`make fuzz`: inputs that atheris makes up, guided by which lines they reach, in Pillow's readers and our own code.

image   bytes to images.decode
mask    the same bytes as a photo and as its mask, through the mask code
form    a multipart form to the reader of requests, its boundary and its texts made up too

Whatever is no refusal from the error tree, or takes longer than SECONDS, is a finding: its input is kept, and its kind
belongs into malformed.py. Prints a line of JSON for each target.
Usage: python -m tests.hostile.fuzz [--runs 20000] [--target image]
"""

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

SECONDS = 20
MEGABYTES = 2048
SEED = 8

with atheris.instrument_imports(include=["PIL", "python_multipart", "starlette.formparsers", "sam3d_bento"]):
    from starlette.requests import Request

    from sam3d_bento.errors import RequestError
    from sam3d_bento.photo.images import decode
    from sam3d_bento.photo.masks import isolate, to_png
    from sam3d_bento.serving.routes import upload_form
    from tests.support.image_files import well_formed

BOUNDARY = b"x"
FORMS = [
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n1\r\n--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n--x\r\n'
    b'Content-Disposition: form-data; name="seed"\r\n\r\n7\r\n--x\r\n'
    b'Content-Disposition: form-data; name="texture_size"\r\n\r\n1024\r\n--x--\r\n',
    b"--x\r\nContent-Disposition: form-data; name=\"mask\"; filename*=UTF-8''a%20b\r\n\r\n\r\n--x--\r\n",
]


def image(data: bytes) -> None:
    decode(data, max_pixels=1_000_000)


def mask(data: bytes) -> None:
    photo = decode(data, max_pixels=1_000_000)
    assert to_png(isolate(photo, photo, None), photo.original_size)


def form(data: bytes) -> None:
    """The first line is the query."""
    query, _, body = data.partition(b"\n")
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict:
        return messages.pop() if messages else {"type": "http.disconnect"}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": headers, "app": None}
    LOOP.run_until_complete(upload_form.read(Request(scope, receive)))


LOOP = asyncio.new_event_loop()
TARGETS = {
    "image": (image, lambda: [data for _, _, data in well_formed()]),
    "mask": (mask, lambda: [data for _, _, data in well_formed()]),
    "form": (form, lambda: [b"\n" + body for body in FORMS] + [b"seed=1&quality=draft\n" + FORMS[0]]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--here", help="the folder of seeds; for this program's own use")
    arguments = parser.parse_args()
    if arguments.here:
        fuzz(arguments.target, arguments.runs, arguments.here)
    for name in [arguments.target] if arguments.target else TARGETS:
        supervise(name, arguments.runs)


def supervise(name: str, runs: int) -> None:
    """In a process of its own: atheris ends the process that it runs in."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[name][1]()):
            Path(folder, f"seed-{number}").write_bytes(seed)
        command = [sys.executable, "-m", "tests.hostile.fuzz", "--target", name, "--runs", str(runs), "--here", folder]
        run = subprocess.run(command, capture_output=True, text=True)
    done = re.search(r"Done (\d+) runs in (\d+) second", run.stderr)
    covered = re.findall(r"cov: (\d+) ft: (\d+)", run.stderr)
    if run.returncode or not done:
        sys.exit(run.stderr[-5000:])
    edges, features = map(int, covered[-1])
    figures = {"target": name, "runs": int(done[1]), "seconds": int(done[2]), "edges": edges, "features": features}
    print(json.dumps(figures), flush=True)


def fuzz(name: str, runs: int, folder: str) -> None:
    target = TARGETS[name][0]

    def test_one_input(data: bytes) -> None:
        with contextlib.suppress(RequestError):
            target(data)

    limits = [f"-runs={runs}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", f"-seed={SEED}", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={Path.cwd()}/fuzz-{name}-", folder], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
