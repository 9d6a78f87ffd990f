"""Official SDKs that Debian does not have: installed from their registry when a test asks for one.

They lie in `sdk/` of the folder of builds, and stay there. Without a registry the tests that need
one are skipped, and say so."""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / os.environ.get("RINGSIDE_BUILD", "build") / "sdk"
INSTALL_S = 180


@contextlib.contextmanager
def alone(folder):
    """Tests of several flavours run side by side, and want the same."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(folder, command, environment=None):
    """Runs what installs into `folder`, or skips the test."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no SDK: {error}")
    if done.returncode != 0:
        pytest.skip(f"no SDK: {' '.join(command)}: {done.stderr.strip()[-300:]}")


def npm(package, version):
    """The node_modules with a package of npm in exactly this version."""
    folder = FOLDER / "npm"
    manifest = folder / "node_modules" / package / "package.json"
    command = ["npm", "install", "--prefix", ".", "--no-audit", "--no-fund", "--ignore-scripts"]
    with alone(folder):
        if not manifest.is_file() or f'"version": "{version}"' not in manifest.read_text():
            install(folder, [*command, f"{package}@{version}"])
    return folder / "node_modules"


def pip(package, version, *needs):
    """A folder for PYTHONPATH with a package of PyPI, in exactly this version. One that needs
    others in versions of their own has a folder to itself."""
    folder = FOLDER / (package if needs else "pip")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile",
               "--disable-pip-version-check", "--target", "."]
    with alone(folder):
        if not list(folder.glob(f"*-{version}.dist-info")):
            install(folder, [*command, f"{package}=={version}", *needs])
    return folder


def go(source, module, version):
    """What `source`, a path below tests/, and `sockets.go` beside it make of a module in exactly
    this version."""
    if not shutil.which("go"):
        pytest.skip("no SDK: no Go")
    folder = FOLDER / "go" / Path(source).stem
    program = folder / f"program-{version}"
    path = ROOT / "tests" / source
    texts = {one.name: one.read_text() for one in (path, path.with_name("sockets.go"))}
    # A client of one test need not be fast: without the optimizer and without C it is made in two
    # thirds of the time.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS":
                   "-mod=mod -buildvcs=false '-gcflags=all=-N -l' -ldflags=-s"}
    with alone(folder):
        copies = {name: folder / name for name in texts}
        if program.is_file() and all(copy.is_file() and copy.read_text() == texts[name]
                                     for name, copy in copies.items()):
            return program
        for name, copy in copies.items():
            copy.write_text(texts[name])
        (folder / "go.mod").write_text(f"module sdk\n\ngo 1.25\n\nrequire {module} {version}\n")
        install(folder, ["go", "build", "-o", program.name, "."], environment)
    return program


def node_environment():
    """Debian's packages are outside the path of a node that came from elsewhere."""
    return {**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}


# ---- tokens, as an application's backend makes them ----

SECRET = "a secret of thirty-two characters"


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def token(secret=SECRET, in_s=3600, **claims):
    """A token (RFC 7519) that ends in so many seconds, or up to one later; or never (None)."""
    if in_s is not None:
        claims["exp"] = math.ceil(time.time()) + in_s
    signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


def with_keys(folder, **config):
    """The settings of a server that knows SECRET."""
    (folder / "hmac.key").write_text(SECRET + "\n")
    return {"token_keys": f"HS256:file:{folder}/hmac.key", **config}
