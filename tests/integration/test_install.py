"""What `meson install` places works where it lies, without the sources."""

import configparser
import os
import subprocess
from pathlib import Path

import pytest

from ringside import server_binary

BUILD = Path(server_binary()).resolve().parent.parent
SOURCES = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--strip",
                    "--destdir", folder], check=True, stdout=subprocess.DEVNULL)
    return folder / "usr" / "local"


def run(root, *words, **options):
    return subprocess.run([str(root / "bin" / words[0]), *words[1:]], capture_output=True,
                          text=True, check=False, timeout=120, **options)


def test_no_path_of_the_sources_is_in_it(root):
    names = [bytes(SOURCES), bytes(BUILD)]
    for path in filter(Path.is_file, root.rglob("*")):
        content = path.read_bytes()
        assert not any(name in content for name in names), path


def test_the_bench_measures(root, tmp_path):
    done = run(root, "ringside-bench", "fanout", "-T", "websocket", "-n", "20", "-t", "1",
               "--turn-ms", "200", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (run_folder,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in run_folder.iterdir()} == {"run.json", "report.html"}


def test_the_bench_has_its_scenarios_and_peers(root, tmp_path):
    done = run(root, "ringside-bench", "claims", "no-such.ini", cwd=tmp_path)
    assert done.returncode == 1 and "no-such.ini" in done.stderr
    assert (root / "share" / "ringside" / "scenarios" / "polling.ini").exists()
    done = run(root, "ringside-bench", "compare", "--peer", "gws", cwd=tmp_path)
    assert "the peer gws is not installed" in done.stderr


def test_tuning(root):
    done = run(root, "ringside-tune", "plan", "10k")
    assert done.returncode == 0 and "10000 connections" in done.stdout, done.stderr


def test_settings(root):
    etc = root / "etc" / "ringside" / "ringside.ini"
    done = run(root, "ringside-server", "check-config", "--config", str(etc))
    assert done.returncode == 0, done.stderr
    everything = configparser.ConfigParser(interpolation=None, strict=False)  # lists
    everything.read(root / "share" / "doc" / "ringside" / "all-settings.ini")
    mine = configparser.ConfigParser(interpolation=None)
    mine.read(etc)
    known = {name for section in everything.values() for name in section}
    assert set(mine["server"]) <= known


def test_the_unit_starts_what_is_there(root):
    unit = (root / "lib" / "systemd" / "system" / "ringside.service").read_text()
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    program, _, settings = start.removeprefix("ExecStart=").split()
    assert os.access(root.parent.parent / program.lstrip("/"), os.X_OK)
    assert (root.parent.parent / settings.lstrip("/")).exists()


@pytest.mark.parametrize("page", ("man8/ringside-server.8", "man1/ringside-bench.1",
                                  "man8/ringside-tune.8"))
def test_pages(root, page):
    """Each has the options that it names, and says what it is."""
    text = (root / "share" / "man" / page).read_text()
    assert ".SH NAME" in text and ".SH SEE ALSO" in text


def test_the_package_is_built_with_what_build_sh_installs():
    """Of the group `build`, but for what every builder of packages has, or only build.sh uses."""
    listed = {line.split("|")[1].strip() for line in (SOURCES / "build.sh").read_text().splitlines()
              if line.startswith("build ")} - {
                  "build-essential", "ccache", "curl", "openssl"}
    control = (SOURCES / "packaging" / "debian" / "control").read_text()
    needs = control.partition("Build-Depends:")[2].partition("\nStandards")[0].split(",")
    assert {name.split()[0] for name in needs} == listed | {"debhelper-compat", "python3"}
