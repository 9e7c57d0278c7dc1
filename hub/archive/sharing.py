"""What a link shows, made once from a result: a document that no demo, model or later hub is needed to draw.

Results keep no uploaded pictures. So the engine holds those of recent runs in memory, within a bound, until somebody
shares one; what is then kept is decoded and encoded anew, so nothing of the file (place, camera, name) goes along.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cachetools import LRUCache
from PIL import Image

from hub.archive.cards import card
from hub.archive.links import Content, Link, LinkStore
from hub.decoding import budget
from hub.decoding.decode import ImageLimits
from hub.decoding.stills import look_at
from hub.engine.jobs import Job
from hub.engine.shown import Shown
from hub.errors import ConflictError, HubError, InputError, NotFoundError
from hub.images import encode
from hub.pages.headlines import headline_without
from hub.pages.kinds import file_inputs, has_files_beside, on_page, private_inputs
from hub.pages.registry import Page, Registry
from hub.people.owners import MACHINE, Owner
from hub.people.terms import checked_days, checked_note
from hub.results import capsules
from hub.results.result import Picture, Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.spec import (
    AudioOutput,
    Boxes,
    Demo,
    FileInput,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Output,
    Plot,
    TextOutput,
    VideoOutput,
)
from hub.suggest import unknown
from hub.texts import packed
from hub.weights.facts import weights_facts
from hub.weights.store import WeightsStore

FORMAT = 1  # of the document; `hub/web/site/links.py` draws this and all earlier ones
EXACT_PIXELS, EXACT_BYTES = 1_500_000, 4 * 2**20  # a picture up to this is kept exactly, as PNG
INPUTS_SHARE = 4  # uploaded pictures of recent runs take at most 1/4 of the results' memory
SIDE_MOST = 3072  # pixels; a larger picture is kept smaller, as JPEG
RUNNERS_MOST = 64  # who ran the same is remembered for so many; the first are forgotten


@dataclass(frozen=True, slots=True)
class _Uploads:
    """Pictures that went into a run, and who brought them: nobody else may show them to others."""

    pictures: Mapping[str, bytes]
    runners: tuple[Owner, ...]


class Sharing:
    """The links of a hub, and the uploaded pictures of its recent runs, in a share of the results' memory."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        weights: WeightsStore,
        results: ResultStore,
        shown: Shown,
        limits: ImageLimits,
        memory_bytes: int,
    ):
        self._settings, self._registry, self._weights, self._results = settings, registry, weights, results
        self._shown, self._limits = shown, limits
        self.links = LinkStore(settings.data_folder, int(settings.links_disk_mb * 2**20))
        # Guards _recent; taken alone.
        self._lock = threading.Lock()
        self._recent: LRUCache[str, _Uploads] = LRUCache(
            memory_bytes // INPUTS_SHARE, getsizeof=lambda uploads: _size(uploads.pictures)
        )

    @property
    def enabled(self) -> bool:
        """Whether links can be made here."""
        return self._settings.links_disk_mb > 0

    def begun(self, job: Job) -> None:
        """Nothing to do: pictures that went in are kept once the run has ended well."""

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """Remembers the pictures of a run that was just answered; not of a camera frame or of background work."""
        pictures = dict(job.inputs.pictures)
        if isinstance(outcome, HubError) or not self.enabled or job.kind != "visitor":
            return
        if not pictures or _size(pictures) > self._recent.maxsize:
            return
        id = outcome.id
        with self._lock:
            before = self._recent.get(id)
            others = [one for one in before.runners if one.id != job.owner.id] if before else []
            self._recent[id] = _Uploads(pictures, (*others, job.owner)[-RUNNERS_MOST:])

    def gone(self, id: str) -> None:
        """A link has copies of its own, and so goes on without the result."""

    def close(self) -> None:
        """Nothing is open between two requests."""

    def forget(self, id: str, who: Owner | None = None) -> None:
        """Drops the pictures of a run that was deleted; as `who` brought them, or (None) of all."""
        with self._lock:
            uploads = self._recent.pop(id, None)
            runners = tuple(one for one in uploads.runners if who and one.id != who.id) if uploads else ()
            if uploads and runners:
                self._recent[id] = replace(uploads, runners=runners)

    def uploads_of(self, id: str, who: Owner) -> Mapping[str, bytes]:
        """The pictures that `who` brought to a run, as far as they are held."""
        with self._lock:
            uploads = self._recent.get(id)
        if uploads is None:
            return {}
        # With similar=everyone all visitors learn the ids of all results, and people of one address could take each
        # other's pictures: an address alone does not tell who ran one.
        unknown = who.weak and self._settings.similar == "everyone"
        mine = who.is_machine or (not unknown and any(who.id == one.id for one in uploads.runners))
        return uploads.pictures if mine else {}

    def share(
        self,
        id: str,
        *,
        who: Owner = MACHINE,
        note: str = "",
        days: float | None = None,
        leave_out: Collection[str] = (),
        given: Mapping[str, bytes] | None = None,
    ) -> tuple[Link, str]:
        """Makes a link to a result; returns it, and the secret by which its owner can end it.

        `leave_out` names inputs that the link does not show. `given` are pictures as the caller has them, used where
        the hub holds none that `who` ran this with, and they are the ones of this result. Raises NotFoundError without
        the result, ConflictError without its pictures, InputError, BusyError, UnavailableError.
        """
        checked_note(note), None if days is None else checked_days(days)
        result = self._results.get(id)
        page = self._registry.pages.get(result.capsule["page"]) if result else None
        if result is None or page is None or page.declared is None:
            raise NotFoundError("There is no result {id!r} here any more. Run it again, then share it.", id=id[:64])
        demo = page.declared
        for name in leave_out:
            if name not in {f.name for f in demo.inputs}:
                raise InputError(unknown("input", name, [f.name for f in demo.inputs]), field="leave_out")
        self._check_words(result, demo, who, leave_out)
        uploads = {**(given or {}), **self.uploads_of(id, who)}
        pictures = self._pictures(result, demo, leave_out, uploads)
        content = snapshot(self._weights, page, result, pictures, leave_out)
        headline = content.document["headline"]
        return self.links.add(content, page=page.slug, headline=headline, who=who, note=note, days=days)

    def _check_words(self, result: Result, demo: Demo, who: Owner, leave_out: Collection[str]) -> None:
        """What somebody wrote goes with a link only for who ran it. Raises ConflictError."""
        ran_it = self._shown.since(who, result) is not None
        if ran_it and not (who.weak and self._settings.similar == "everyone"):
            return
        pictures = file_inputs(demo)
        for name in private_inputs(demo):
            if name not in pictures and name not in leave_out and name in result.capsule["parameters"]:
                raise ConflictError(
                    "You are not known to have run this result, so {name!r} must be left out. Or run it again, then "
                    "share it.",
                    name=name,
                    field=name,
                )

    def _pictures(
        self, result: Result, demo: Demo, leave_out: Collection[str], held: Mapping[str, bytes]
    ) -> dict[str, Picture]:
        """The uploaded pictures of a result, cleaned. Raises ConflictError when one is not to be had."""
        digests, pictures = result.capsule["inputs"], dict[str, Picture]()
        for field in demo.inputs:
            if not isinstance(field, FileInput) or field.name in leave_out or _unused(field, result):
                continue
            data = held.get(field.name, b"")
            if hashlib.sha256(data).hexdigest() != digests.get(field.name):
                raise ConflictError(
                    "The picture {name!r} of this result is no longer held, or you are not known to have run it. Run "
                    "it again, then share it; or leave the picture out.",
                    name=field.name, field=field.name,
                )  # fmt: skip
            pictures[field.name] = clean(data, self._limits)
        return pictures


def _unused(field: FileInput, result: Result) -> bool:
    """Whether an optional picture was not given."""
    return not field.required and field.name not in result.capsule["inputs"]


def _size(pictures: Mapping[str, bytes]) -> int:
    return sum(map(len, pictures.values())) + 1024


def clean(data: bytes, limits: ImageLimits) -> Picture:
    """A picture as the model saw it, with nothing of its file: upright, sRGB, no EXIF. Of a video its first frame."""
    with budget.room():
        return encode_bounded(look_at(data, limits))


def encode_bounded(image: Image.Image) -> Picture:
    """An open picture as it is kept: exactly, unless that would be large."""
    if image.width * image.height <= EXACT_PIXELS:
        exact = encode(image, "png")
        if len(exact) <= EXACT_BYTES:
            return Picture(exact, "image/png", image.width, image.height)
    image.thumbnail((SIDE_MOST, SIDE_MOST), Image.Resampling.LANCZOS)
    return Picture(encode(image, "jpeg"), "image/jpeg", image.width, image.height)


# --- the document ---------------------------------------------------------------------------------


def snapshot(
    store: WeightsStore, page: Page, result: Result, pictures: Mapping[str, Picture], leave_out: Collection[str] = ()
) -> Content:
    """All that a link shows. It holds no full id of the result: who knows that can ask for the picture's thumbnail."""
    demo, capsule, files = page.demo, result.capsule, dict[str, Picture]()
    inputs = []
    for field in demo.inputs:
        if isinstance(field, FileInput) and not _unused(field, result):
            upload = {"name": field.name, "label": field.label, "left_out": field.name in leave_out, "file": ""}
            if field.name in pictures:
                upload["file"] = f"in-{field.name}.{pictures[field.name].extension}"
                files[str(upload["file"])] = pictures[field.name]
            inputs.append(upload)
    outputs = [entry for f in on_page(demo) if (entry := _output(f, result, files)) is not None]
    says = headline_without(demo, result, leave_out)
    remarks = () if leave_out else result.receipt.remarks  # they may tell of what is left out
    files["preview.jpg"] = card(demo.title, says or demo.summary, _face(outputs, inputs, files))
    document = {
        "format": FORMAT,
        "page": {"slug": page.slug, "title": demo.title, "summary": demo.summary, "task": demo.task, "note": demo.note},
        "headline": says,
        "inputs": inputs,
        "parameters": _parameters(demo, capsule["parameters"], leave_out),
        "outputs": outputs,
        "weights": _weights(store, page, capsule),
        "receipt": asdict(replace(result.receipt, cached=False, remarks=remarks)),
        "remarks": [packed(remark) for remark in remarks],  # again, so that they can be translated
        "result": result.id[:12],
        "again": {
            "parameters": {k: v for k, v in capsule["parameters"].items() if k not in leave_out},
            "weights": capsule["weights"],
            "version": capsule["version"],
        },
    }
    return Content(document, files)


def _output(field: Output, result: Result, files: dict[str, Picture]) -> dict[str, Any] | None:
    """One output; its pictures are added to `files`. None: it was not there this time."""
    compared = isinstance(field, ImageOutput) and field.compare  # its help is about the page's slider
    help = "" if compared else field.help
    values, entry = result.values, {"name": field.name, "label": field.label, "help": help}
    if isinstance(field, Labels | Json):
        if field.name not in values:
            return None
        entry["value"] = values[field.name]
        if isinstance(field, Labels):
            drawn = {"top": field.top, "line": values.get(field.line), "folded": field.folded}
            return {**entry, "kind": "labels", **drawn}
        drawn = {"unseen": list(field.unseen), "chips": field.chips, "folded": field.folded, "corrects": field.corrects}
        return {**entry, "kind": "table", **drawn} if field.table else {**entry, "kind": "json"}
    if isinstance(field, TextOutput):
        words = {"value": values.get(field.name), "markdown": field.markdown, "folded": field.folded}
        return {**entry, "kind": "text", **words} if field.name in values else None
    if field.name not in result.pictures:
        return None
    pictures = []
    for number, picture in enumerate(result.pictures[field.name]):
        name = f"out-{field.name}-{number}.{picture.extension}"
        files[name] = capsules.without(picture)  # it would tell what people leave out
        pictures.append({"file": name, "caption": picture.caption, "width": picture.width, "height": picture.height})
    if has_files_beside(field):
        kind = {Boxes: "boxes", Plot: "plot", VideoOutput: "video", AudioOutput: "sound"}[type(field)]
        axes = {"x": field.x, "y": field.y} if isinstance(field, Plot) else {}
        return {**entry, "kind": kind, "files": pictures, "value": values[field.name], **axes}
    return {**entry, "kind": "mask" if isinstance(field, Mask) else "pictures", "files": pictures}


def _parameters(demo: Demo, values: Mapping[str, Any], leave_out: Collection[str]) -> list[dict[str, Any]]:
    fields, entries = {f.name: f for f in demo.inputs}, []
    for name in sorted(values, key=lambda name: [*fields].index(name) if name in fields else len(fields)):
        field = fields.get(name)
        entry = {"name": name, "label": field.label if field else name, "left_out": name in leave_out}
        unit = getattr(field, "unit", "")
        entries.append(entry if name in leave_out else {**entry, "value": values[name], "unit": unit})
    return entries


def _weights(store: WeightsStore, page: Page, capsule: Mapping[str, Any]) -> dict[str, Any] | None:
    if not capsule["weights"]:
        return None
    facts = {fact.name: asdict(fact) for fact in weights_facts(store, page)}.get(capsule["weights"], {})
    # What is in the folder now may be another version than the one that made the result.
    same = facts if facts.get("digest") == capsule["digest"] else {}
    facts_shown = {key: same.get(key) for key in ("title", "licence", "source", "commit", "metrics")}
    return {"name": capsule["weights"], "digest": capsule["digest"], **facts_shown}


def _face(outputs: list[dict[str, Any]], inputs: list[dict[str, Any]], files: Mapping[str, Picture]) -> bytes | None:
    """The picture a preview shows: the first that came out, else one that went in."""
    names = [file["file"] for entry in outputs if entry["kind"] in ("pictures", "boxes") for file in entry["files"]]
    names += [entry["file"] for entry in inputs if entry["file"]]
    return files[names[0]].data if names else None
