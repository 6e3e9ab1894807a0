"""The command as a process: in a real pseudo-terminal, between pipes, and interrupted."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest

from sam3d_bento.export.glb.read import read_document
from tests.cli.generation.test_client import Service, job
from tests.support.waiting import PATIENCE, until

SMALL = ["--target-faces", "1000", "--texture-size", "512"]
COMMAND = [sys.executable, "-m", "sam3d_bento.cli"]


@pytest.fixture
def environment(mask_model, monkeypatch):
    """The preview engine, and a terminal that can draw. (mask_model: its file is there.)"""
    monkeypatch.setenv("SAM3D_ENGINE", "preview")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def in_terminal(*arguments):
    """Run the command in a pseudo-terminal of 120 columns; its status and what it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux's end of a pseudo-terminal
            break
        if not chunk:
            break
        written += chunk
    os.close(ours)
    return process.wait(PATIENCE), written.decode()


@pytest.mark.slow
def test_a_terminal_sees_how_far_each_photo_is(environment, photo, tmp_path):
    (tmp_path / "cup.png").write_bytes(photo.read_bytes())
    status, written = in_terminal("generate", tmp_path, "-o", tmp_path / "out", *SMALL)
    assert status == 0, written
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written)
    for label in ("1/2 ball.png", "2/2 cup.png"):
        fractions = set(re.findall(rf"{label} [━╸╺ ]+(\d+) %", plain))
        assert len(fractions) >= 5, (label, fractions)
    for stage in ("decode", "mask", "reconstruct", "export"):
        assert f"% {stage}" in written
    assert re.search(r"about \d+ s left", written)
    assert re.search(r"2 done, 0 failed, \d+ s", written)


@pytest.mark.slow
def test_a_photo_comes_through_a_pipe_and_its_model_goes_through_another(environment, photo):
    arguments = [*COMMAND, "generate", "-", "-o", "-", *SMALL, "--name", "чашка", "--json"]
    done = subprocess.run(arguments, input=photo.read_bytes(), capture_output=True, timeout=PATIENCE, check=True)
    assert read_document(done.stdout)["meshes"][0]["name"] == "чашка"
    assert b"\x1b" not in done.stderr
    assert b'"state": "done"' in done.stderr


@pytest.mark.slow
def test_a_pipe_gets_no_control_codes_and_no_progress(environment, photo, tmp_path):
    (tmp_path / "blank.jpg").write_bytes(b"no photo")
    done = subprocess.run(
        [*COMMAND, "generate", tmp_path, "-o", tmp_path / "out", *SMALL], capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"%" not in done.stderr
    assert b"1 done, 1 failed, " in done.stderr
    assert done.stdout.startswith(str(tmp_path / "out" / "ball.glb").encode())


@pytest.mark.slow
def test_ctrl_c_cancels_the_job_and_is_status_130(tmp_path):
    service = Service()
    service.streams = [[(number, "progress", job())] for number in range(1, 100)]
    (tmp_path / "cup.jpg").write_bytes(b"photo")
    process = subprocess.Popen(
        [*COMMAND, "generate", tmp_path / "cup.jpg", "-o", tmp_path, "--server", service.url],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs inherit SIG_IGN
    )
    try:
        until(lambda: service.asked("GET", "/events"))
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()
        service.server.shutdown()
        service.server.server_close()
    assert process.returncode == 130
    assert said == b"Interrupted.\n"
    assert service.asked("DELETE", "/api/jobs/j1")
    assert [path.name for path in tmp_path.iterdir()] == ["cup.jpg"], "nothing half-written"


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell):
    """As docs/usage.md has it."""
    environment = {**os.environ, "_SAM3D_BENTO_COMPLETE": f"{shell}_source"}
    code = (
        "import sys; sys.argv[0] = 'sam3d-bento'; from sam3d_bento.cli.main import main; main(prog_name='sam3d-bento')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "_SAM3D_BENTO_COMPLETE" in done.stdout
    words = {**os.environ, "_SAM3D_BENTO_COMPLETE": "zsh_complete", "COMP_CWORD": "3"}
    words["COMP_WORDS"] = "sam3d-bento generate --format "
    done = subprocess.run([sys.executable, "-c", code], env=words, capture_output=True, text=True)
    assert {"glb", "obj", "usdz"} <= set(done.stdout.split())
