"""The texts of an exported Space: README with its front matter, requirements, settings, Dockerfile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import UnavailableError
from hub.pages.registry import Page
from hub.settings import ROOT
from hub.spaces import needs as export_needs
from hub.spec import Demo
from hub.weights.lock import Locked
from hub.weights.remote import LORA
from hub.weights.sources import HubSource, Source

UIS = ("gradio", "docker-streamlit")
# What to suggest to who duplicates the Space; the free CPU is what a Space gets anyway.
HARDWARE: Mapping[str, str] = {"cpu": "", "gpu": "t4-small", "zero": "zero-a10g"}
# ZeroGPU runs 3.10 and 3.12 in these patch versions only, and the hub needs 3.11 or newer.
PYTHON: Mapping[str, str] = {"cpu": "3.11", "gpu": "3.11", "zero": "3.12.12"}
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SHORT = 60  # characters the Hub takes in short_description
LARGE = ("safetensors", "png", "jpg", "jpeg", "webp", "ico")  # kept in LFS: the Hub refuses such files in plain git
ALWAYS = ("app.py", "LICENSE", "streamlit_app.py", ".streamlit/config.toml")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `demos` are slugs; empty: all."""

    demos: tuple[str, ...] = ()
    hardware: str = "cpu"  # of HARDWARE
    ui: str = "gradio"  # of UIS

    @property
    def docker(self) -> bool:
        return self.ui.startswith("docker")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the texts tell of. By name of weights: metadata of the cards, where they come from, entries of the lock."""

    pages: tuple[Page, ...]
    cards: Mapping[str, Mapping[str, Any]]  # of bundled weights
    sources: Mapping[str, Source]
    locked: Mapping[str, Locked]
    requirements: tuple[str, ...]
    weights_setting: str

    @property
    def repositories(self) -> dict[str, HubSource]:
        """The weights that come from the Hub, by name."""
        return {name: source for name, source in self.sources.items() if isinstance(source, HubSource)}


def texts(options: Options, facts: Facts) -> dict[str, str]:
    """Generated files by path."""
    files = {
        "README.md": _readme(options, facts),
        "requirements.txt": _requirements(options, facts),
        "space.toml": _settings(facts),
        ".gitattributes": "".join(f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in LARGE),
    }
    if options.docker:
        torch = "cpu" if options.hardware == "cpu" else "cuda"
        text, count = re.subn(r"(?m)^ARG TORCH=\w+$", f"ARG TORCH={torch}", (ROOT / "Dockerfile").read_text("utf-8"))
        if count != 1:
            raise UnavailableError(
                "{path} has no line ARG TORCH=cpu, which the hardware decides.", path=ROOT / "Dockerfile"
            )
        files["Dockerfile"] = text
    return files


def copied_files(options: Options) -> tuple[str, ...]:
    """Files that a Space has as the repository has them."""
    return (*ALWAYS, ".dockerignore") if options.docker else ALWAYS


# --- README ---------------------------------------------------------------------------------------


def _readme(options: Options, facts: Facts) -> str:
    import yaml

    head = yaml.safe_dump(_front_matter(options, facts), sort_keys=False, allow_unicode=True, width=1000)
    table = ["| page | task | weights | licence |", "|---|---|---|---|"]
    for page in facts.pages:
        names = [w.name for w in page.demo.weights]
        licences = dict.fromkeys(_licence(facts.cards[name]) for name in names if name in facts.cards)
        weights = ", ".join(_linked(name, facts.sources[name]) for name in names) or "none needed"
        cells = (page.title, page.demo.task, weights, ", ".join(licences))
        table.append(f"| {' | '.join(cells)} |")
    return f"---\n{head}---\n\n{_about(options, facts)}\n" + "\n".join(table) + f"\n\n{_how(options)}"


def _front_matter(options: Options, facts: Facts) -> dict[str, Any]:
    """As https://huggingface.co/docs/hub/spaces-config-reference has it."""
    import yaml

    ours = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    alone = facts.pages[0].demo if len(facts.pages) == 1 else None
    matter: dict[str, Any] = {
        "title": alone.title if alone else ours["title"],
        **{key: ours[key] for key in ("emoji", "colorFrom", "colorTo")},
        "sdk": "docker" if options.docker else "gradio",
    }
    if options.docker:
        matter |= {"app_port": 7860, "base_path": "/streamlit"}
    else:
        version = export_needs.version("gradio")
        matter |= {"sdk_version": version, "python_version": PYTHON[options.hardware], "app_file": "app.py"}
    if HARDWARE[options.hardware]:
        matter["suggested_hardware"] = HARDWARE[options.hardware]
    if facts.repositories:
        sources = [one for source in facts.repositories.values() for one in (source, source.lora) if one]
        matter["models"] = sorted({source.repo for source in sources})
        matter["preload_from_hub"] = [
            line
            for name, source in sorted(facts.repositories.items())
            for line in _ahead(source, facts.locked.get(name))
        ]
    return matter | {
        "license": ours["license"],
        "short_description": _short(alone, ours["short_description"]),
        "pinned": False,
    }


def _ahead(source: HubSource, entry: Locked | None) -> Iterator[str]:
    """What Spaces fetch while they build, where the hub looks first: a repository, or files of it at a commit."""
    if entry is None:
        yield from filter(None, (source.repo, source.lora and source.lora.repo))
        return
    folder = f"{source.folder}/" if source.folder else ""
    base, _, added = entry.commit.partition("+")
    own = [path for path in sorted(entry.files) if source.lora is None or not path.startswith(f"{LORA}/")]
    yield f"{source.repo} {','.join(folder + path for path in own)} {base}"
    if source.lora:
        files = [path.removeprefix(f"{LORA}/") for path in sorted(entry.files) if path not in own]
        yield f"{source.lora.repo} {','.join(files)} {added}"


def _short(alone: Demo | None, ours: str) -> str:
    """What fits of a demo's summary or, cut, of its task and title; several demos: of the hub's."""
    if alone and len(alone.summary) <= SHORT:
        return alone.summary
    return (f"{alone.task}: {alone.title}" if alone else ours)[:SHORT]


def _licence(card: Mapping[str, Any]) -> str:
    return str(card.get("license_name") or card.get("license") or "not stated")


def _linked(name: str, source: Source) -> str:
    if isinstance(source, HubSource):
        return f"[{source.repo}](https://huggingface.co/{source.repo})"
    return f"[{name}](weights/{name}/README.md)"


def _about(options: Options, facts: Facts) -> str:
    title = facts.pages[0].title if len(facts.pages) == 1 else "Demo Hub"
    where = {"cpu": "a CPU", "gpu": "a GPU", "zero": "ZeroGPU: a GPU is borrowed for the seconds of each run"}
    return (
        f"# {title}\n\n"
        f"{' '.join(page.demo.summary for page in facts.pages)}\n\n"
        f"Runs on {where[options.hardware]}. Written by `python -m hub export-space`: change the hub it comes from and "
        "export again, rather than these files.\n"
    )


def _how(options: Options) -> str:
    start = "docker build -t hub . && docker run -p 7860:7860 hub" if options.docker else "python app.py"
    install = "" if options.docker else "pip install -r requirements.txt\n"
    hints = {
        "cpu": "",
        "gpu": "Choose a GPU under Settings, Space hardware.\n\n",
        "zero": "Choose ZeroGPU under Settings, Space hardware; on any other the same Space runs too.\n\n",
    }
    return (
        f"{hints[options.hardware]}The same on your machine, at http://127.0.0.1:7860:\n\n```sh\n{install}{start}\n```\n\n"
        "The code is Apache-2.0; the weights have the licences above, the example pictures those in\n"
        "demos/assets/README.md.\n"
    )


# --- the others -----------------------------------------------------------------------------------


def _requirements(options: Options, facts: Facts) -> str:
    lines = []
    if options.hardware == "cpu":
        lines += [
            "# The small builds of torch and torchvision; pip prefers their +cpu versions to PyPI's with CUDA.",
            f"--extra-index-url {CPU_INDEX}",
        ]
    lines += facts.requirements
    if options.hardware == "zero":
        lines.append("spaces  # the version, and that of torch, is the builder's: they have to fit its ZeroGPU")
    return "\n".join(lines) + "\n"


def _settings(facts: Facts) -> str:
    """Read by app.py; HUB_... variables of the Space win."""
    lines = ["# Settings of this Space; its variables HUB_... win.", "preload = true"]
    if facts.weights_setting:
        lines.append(f"weights = {json.dumps(facts.weights_setting)}")
    return "\n".join(lines) + "\n"
