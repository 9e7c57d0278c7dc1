"""README.md and docs/ are true: settings, links and names. tests/e2e/test_readme_commands.py runs their commands."""

from __future__ import annotations

import re
from pathlib import Path

import mypy.api
import pytest
import yaml
from PIL import Image

from hub import settings
from hub.pages.registry import discover
from tests.served import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {ROOT / "README.md": README, **{path: path.read_text(encoding="utf-8") for path in DOCS}}


def settings_table() -> str:
    """The table as README.md must hold it. `python -m tests.test_readme` prints it."""
    rows = [f"| `{name}` | `{default!r}` | {help} |" for name, default, help in settings.TABLE]
    return "\n".join(["| setting | default | what it does |", "|---|---|---|", *rows])


def blocks(language: str) -> list[str]:
    return [block for text in TEXTS.values() for block in re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)]


def titled_blocks(path: Path) -> dict[str, str]:
    """Files that a document has in full, by their names."""
    return dict(re.findall(r'```py title="([^"]+)"\n(.*?)```', TEXTS[path], flags=re.S))


def test_every_setting_is_documented() -> None:
    assert settings_table() in README


def test_both_commands_stand_at_the_top() -> None:
    head = "\n".join(README.splitlines()[:40])
    assert "make serve" in head
    assert "make test" in head


def test_every_make_target_named_here_exists() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    named = {name for text in TEXTS.values() for name in re.findall(r"(?:`|^|    )make ([a-z-]+)", text, flags=re.M)}
    assert {"serve", "test", "docs"} <= named <= made


@pytest.mark.slow
def test_the_typed_client_is_well_typed() -> None:
    (script,) = [block for block in blocks("python") if "TypedDict" in block]
    told, wrong, status = mypy.api.run(["--config-file=", "--strict", "-c", script])
    assert status == 0, told + wrong


def test_every_demo_and_only_those_are_listed() -> None:
    listed = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| \[weights/", README, flags=re.M)
    assert sorted(listed) == sorted(page.slug for page in discover())


def test_links_to_files_lead_somewhere() -> None:
    for path, text in TEXTS.items():
        for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_files_that_the_documents_name_are_there() -> None:
    roots = "hub|demos|weights|tests|bench|docs|deploy"
    for path, text in TEXTS.items():
        for name in re.findall(rf"`((?:{roots})/[\w./-]+\.\w+)(?:::\w+)?`", text):
            written = name.startswith(("demos/my_demo", "demos/brightness", "bench/RESULTS.md"))
            assert written or (ROOT / name).exists(), f"{path.name}: {name}"


def test_every_document_is_in_the_menu() -> None:
    listed = re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(listed) == [path.name for path in DOCS]


def test_pictures_are_small_and_one_moves() -> None:
    pictures = {name: ROOT / "docs" / "pictures" / name for name in ("product.webp", "run.webp")}
    assert pictures["product.webp"].stat().st_size <= 200 * 1024
    assert pictures["run.webp"].stat().st_size <= 800 * 1024
    with Image.open(pictures["run.webp"]) as moving:
        assert getattr(moving, "n_frames", 1) > 10


def test_space_front_matter_fits_the_requirements() -> None:
    front = yaml.safe_load(README.split("---")[1])
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert f"gradio=={front['sdk_version']}" in pinned
    assert (ROOT / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60


def test_requirements_are_pinned_and_hashed() -> None:
    for name in (
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-flow.txt",
        "requirements-ray.txt",
        "requirements-text.txt",
        "requirements-lora.txt",
        "requirements-otel.txt",
        "requirements-bench.txt",
        "requirements-docs.txt",
    ):
        lines = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        assert lines
        for line in lines:
            pinned = re.match(r"[A-Za-z0-9._-]+==[^ ]+(?: ; [^\\]*?)?(?: +--hash=sha256:[0-9a-f]{64})+$", line)
            assert pinned, f"{name}: {line.split(' --hash')[0]} needs ==VERSION and hashes: make lock"


def test_make_and_the_container_install_by_hash() -> None:
    installs = [line for line in (ROOT / "Makefile").read_text().splitlines() if "$(PIP)" in line and " -r " in line]
    assert len(installs) == 5 and all("--require-hashes" in line for line in installs)
    locked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    cuda = re.findall(r"(?m)^(?:cuda-|nvidia-|triton).*$", locked)
    # With hashes nothing is installed that is not listed: torch's own CUDA packages are, and only where it wants them.
    assert len(cuda) > 10 and all("sys_platform == 'linux'" in line for line in cuda)


if __name__ == "__main__":
    print(settings_table())
