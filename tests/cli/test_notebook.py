"""`hub.show`: a page from a notebook, which shows it below the cell; the same name again is the page as it is now."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest

import hub
from hub.errors import HubError
from hub.spec import Demo, Example, ImageInput, Json
from tests.fakes import picture

DEMO = Demo(
    title="How Bright?", summary="A page for tests.", task="Test", inputs=(ImageInput("image", "Picture"),),
    outputs=(Json("width", "Width"),), load=lambda folder, device: None, prepare=lambda image: image.width,
    infer=lambda model, items: items, present=lambda output, image: {"width": output},
    examples=(Example({"image": "photos/one.png"}, "One"),),
)  # fmt: skip
CLIENT = httpx.Client(timeout=60)  # torch may have to be imported


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands below the cell of a notebook."""
    below: list[str] = []
    display: Any = ModuleType("IPython.display")
    display.HTML, display.display = str, below.append
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(builtins, "get_ipython", lambda: SimpleNamespace(kernel=1), raising=False)
    return below


@pytest.mark.slow
def test_a_page_is_shown_and_shown_anew(
    cell: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    picture(20, 10).save(tmp_path / "photos" / "one.png")
    (tmp_path / "secret.png").write_bytes((tmp_path / "photos" / "one.png").read_bytes())
    one = hub.show(DEMO, device="cpu", height=700)
    try:
        place = one.url.removesuffix("/how_bright")
        assert one.url in capsys.readouterr().out
        assert f'src="{one.url}"' in cell[0] and 'height="700"' in cell[0]
        run = f"{place}/api/v1/demos/how_bright"
        sent: Any = {"files": {"image": (tmp_path / "photos" / "one.png").read_bytes()}}
        assert CLIENT.post(run, **sent).json()["outputs"] == {"width": 20}
        assert CLIENT.get(f"{run}/assets/0_image.png").status_code == 200
        assert CLIENT.get(f"{place}/gradio_api/file={tmp_path / 'secret.png'}").status_code in (403, 404)

        hub.show(replace(DEMO, present=lambda output, image: {"width": -output}), quiet=True)
        other = hub.show(replace(DEMO, title="Other"), "other", inline=False)
        assert CLIENT.post(run, **sent).json()["outputs"] == {"width": -20}
        assert [d["slug"] for d in CLIENT.get(f"{place}/api/v1/demos").json()] == ["how_bright", "other"]
        assert (len(cell), other.url) == (2, f"{place}/other")
        with pytest.raises(HubError, match="outputs must be a tuple"):
            hub.show(replace(DEMO, outputs=()), "third")
        assert CLIENT.get(other.url).status_code == 200
    finally:
        one.close()
    with pytest.raises(httpx.ConnectError):
        CLIENT.get(one.url)
    with pytest.raises(HubError, match="no_such_setting"):
        hub.show(DEMO, no_such_setting=1)
