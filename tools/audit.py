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
    # A run for each list: lists for environments of their own may pin different versions of a package, which one run
    # refuses.
    runs = [subprocess.run([*command, "-r", file], capture_output=True, text=True, check=False) for file in files]
    status, said = verdict([(done.stdout, done.stderr) for done in runs])
    print(said)
    return status


def verdict(outputs: list[tuple[str, str]]) -> tuple[int, str]:
    """Return the exit status and the message for the runs of pip-audit, each with its JSON and its error output."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    unreached: list[str] = []
    for stdout, stderr in outputs:
        try:
            listed: list[dict[str, Any]] = json.loads(stdout)["dependencies"]
        except (ValueError, KeyError):
            last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
            if not any(sign in stderr for sign in UNREACHABLE):
                return 1, f"pip-audit failed: {last}"
            unreached.append(last)
        else:
            # What is skipped has no version but in the reason.
            found |= {
                (package["name"], package.get("version") or package["skip_reason"]): package for package in listed
            }
    packages = list(found.values())
    known = [package for package in packages if "skip_reason" not in package]
    if unreached and not any(package["vulns"] for package in known):
        return 0, (
            "SKIPPED: the database of vulnerabilities cannot be reached here; "
            f"{len(unreached)} of {len(outputs)} lists were not audited. ({unreached[-1]})"
        )
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
