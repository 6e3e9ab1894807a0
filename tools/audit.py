"""`make audit`: known vulnerabilities in what is installed, by pip-audit; its environment runs this.

pip-audit alone says "no known vulnerabilities" also when the database knew none of the packages, as behind a mirror
that has no such database. So what it looked up is counted: where that is nothing, this says SKIPPED, and is no proof.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

UNREACHABLE = ("ConnectionError", "ServiceError", "Connection refused", "timed out", "resolve")


def main(files: list[str]) -> int:
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "-f", "json"]
    command += [argument for file in files for argument in ("-r", file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    status, said = verdict(done.stdout, done.stderr)
    print(said)
    return status


def verdict(stdout: str, stderr: str) -> tuple[int, str]:
    """Return the exit status and the message for pip-audit's JSON, or for its error output."""
    try:
        packages: list[dict[str, Any]] = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
        if any(sign in stderr for sign in UNREACHABLE):
            return 0, f"SKIPPED: the database of vulnerabilities cannot be reached here; nothing was audited. ({last})"
        return 1, f"pip-audit failed: {last}"
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return (
            0,
            f"SKIPPED: the database that is reached here knows none of {len(packages)} packages; nothing was audited.",
        )
    lines = []
    for package in known:
        for fault in package["vulns"]:
            mended = ", ".join(fault["fix_versions"]) or "no version"
            lines.append(f"{package['name']} {package['version']}: {fault['id']}, mended in {mended}")
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    lines += [f"Not in the database: {', '.join(unknown)}."] if unknown else []
    faults = sum(bool(package["vulns"]) for package in known)
    lines.append(f"{len(known)} packages were looked up; {faults} have known vulnerabilities.")
    return int(faults > 0), "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
