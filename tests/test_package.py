"""The hub as an installed package: what it requires, what the wheel holds, and that it works in an empty folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hub import spec
from hub.pages.registry import discover
from hub.web.api.openapi import hub_version
from tests.served import ROOT, serving

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["requirements_txt"]
LOCKED = re.compile(r"^([a-z0-9][\w.-]*)==([^ ;\\]+)", re.M)


def asked(name: str) -> list[Requirement]:
    """What a requirements*.in asks for."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def test_the_package_requires_what_requirements_in_asks_for_and_the_lock_pins_that() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "metadata"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    metadata = json.loads(made.stdout)
    extras = {extra: [*map(str, asked(f"requirements-{extra}.in"))] for extra in metadata["optional-dependencies"]}
    assert sorted(metadata["dependencies"]) == sorted(map(str, asked("requirements.in")))
    assert metadata["optional-dependencies"] == extras and "flow" in extras
    for name in ("requirements", *(f"requirements-{extra}" for extra in extras)):
        pins = dict(LOCKED.findall((ROOT / f"{name}.txt").read_text(encoding="utf-8")))
        for requirement in asked(f"{name}.in"):
            pinned = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pinned), f"{requirement} is {pinned} in {name}.txt: make lock"


def test_where_one_is_derived_from_the_other_both_say_so() -> None:
    head = (ROOT / "requirements.in").read_text(encoding="utf-8")
    assert "pyproject.toml" in head and "requirements.txt" in head
    assert "stands in requirements.in" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert HOOK["files"] == ["requirements.in"]


def test_a_checkout_says_the_version_of_the_package() -> None:
    assert hub_version() == PROJECT["project"]["version"]


def test_the_promise_to_pages_names_its_version() -> None:
    text = (ROOT / "docs" / "pages.md").read_text(encoding="utf-8")
    assert f"are version **{spec.API_VERSION}** of the" in text and "`hub.spec.API_VERSION`" in text


# --- built and installed ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """A hub in an environment of its own, to be started in an empty folder."""

    wheel: Path
    bin: Path
    folder: Path

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            [self.bin / "demo-hub", *words], cwd=self.folder, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def install(python: Path, *what: str | Path) -> None:
    """`pip install` into another environment, without the network."""
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "--disable-pip-version-check", *what], check=True, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel in a fresh environment, which borrows only the libraries that it requires from this one."""
    place = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place]
    subprocess.run([*build, ROOT], capture_output=True, check=True, timeout=300)
    (wheel,) = place.glob("*.whl")
    venv.create(place / "venv", with_pip=False)
    python = place / "venv" / "bin" / "python"
    (site,) = (place / "venv" / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install(python, wheel)
    (place / "empty").mkdir()
    yield Installed(wheel, python.parent, place / "empty")
    shutil.rmtree(place / "venv")


SLUGS = [page.slug for page in discover() if page.over is None]


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_hub_reads(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(["git", "ls-files", "hub"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert names >= set(tracked.stdout.splitlines()) and "hub/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"hub"}  # no packages `demos` and `weights` for everybody
    assert len(json.loads(installed("list", "--json", "--demos-folder", str(ROOT / "demos")))) > len(SLUGS) > 5
    assert {f"hub/_bundled/demos/{slug}.py" for slug in SLUGS} <= names
    assert not [name for name in names if re.match(r"hub/_bundled/weights/.*\.py", name)]
    assert installed.wheel.stat().st_size < 100e6  # what package indexes take


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_new_page_and_an_installed_one_answer_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    missing = subprocess.run(
        [installed.bin / "demo-hub", "serve", "--port", "0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2 and "demo-hub new my_demo" in missing.stderr and "bundled" in missing.stderr

    assert installed("--help").startswith("usage: demo-hub ")
    assert "demo-hub serve --demos my_demo " in installed("new", "my_demo")
    assert (installed.folder / "demos" / "my_demo.py").is_file()

    pages = tmp_path / "pages"
    (pages / "some_pages" / "assets").mkdir(parents=True)
    (pages / "some_pages" / "__init__.py").touch()
    text = (installed.folder / "demos" / "my_demo.py").read_text(encoding="utf-8")
    (pages / "some_pages" / "theirs.py").write_text(text, encoding="utf-8")
    shutil.copytree(installed.folder / "demos/assets/my_demo", pages / "some_pages/assets/their_demo")
    (pages / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "some-pages"\nversion = "1"\n'
        '[project.entry-points."demo_hub.demos"]\ntheir_demo = "some_pages.theirs:DEMO"\n'
    )
    install(installed.bin / "python", pages)

    installed("bundled", "vehicle_classifier")
    picture = ROOT / "demos" / "assets" / "vehicle_classifier" / "ambulance.jpg"
    start = [str(installed.bin / "demo-hub"), "serve"]
    with (
        serving(installed.folder / "data", start=start, folder=installed.folder) as served,
        httpx.Client(base_url=served.url, timeout=100, follow_redirects=True) as client,
    ):
        listed = {entry["slug"] for entry in client.get("/api/v1/demos").json()}
        assert listed == {"my_demo", "their_demo", "vehicle_classifier", "vehicle_classifier_video"}
        for slug in sorted(listed - {"vehicle_classifier_video"}):
            answer = client.post(f"/api/v1/demos/{slug}", files={"image": picture.read_bytes()})
            assert answer.status_code == 200, answer.text
            assert answer.json()["outputs"]
        for address in ("/", "/my_demo", "/their_demo", "/history", "/gallery", "/streamlit/", "/embed.js"):
            page = client.get(address, headers={"accept": "text/html"})
            assert page.status_code == 200, (address, page.text[:500])
        assert "历史" in client.get("/history?lang=zh").text
    assert (installed.folder / "data").is_dir()


@pytest.mark.slow
def test_a_space_is_exported_from_an_installed_hub(installed: Installed, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    here = Installed(installed.wheel, installed.bin, folder)
    here("bundled", "vehicle_classifier")
    here("export-space", str(tmp_path / "space"), "--demos", "vehicle_classifier")
    files = {path.relative_to(tmp_path / "space").as_posix() for path in (tmp_path / "space").rglob("*")}
    wanted = {"app.py", "hub/hub.py", "hub/web/templates/base.html", "demos/vehicle_classifier.py", "requirements.txt"}
    assert files >= wanted and not [file for file in files if "_bundled" in file]
