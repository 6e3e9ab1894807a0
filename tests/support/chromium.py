"""Headless Chromium as the tests and `make screenshots` start it: with WebGL, and without a way to other hosts."""

import shutil

FLAGS = (
    "--no-sandbox",  # Chromium has none for root, which CI is
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host can be reached
    "--use-angle=swiftshader",  # WebGL without a GPU
    "--enable-unsafe-swiftshader",
)


def launch(playwright):
    """Start Chromium; None where there is none."""
    path = shutil.which("chromium")
    return None if path is None else playwright.chromium.launch(executable_path=path, args=list(FLAGS))
