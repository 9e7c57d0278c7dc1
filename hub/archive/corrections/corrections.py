"""Who may say what of which answer, and what is kept of it."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hub.archive.audited import SUBJECT_CHARS
from hub.archive.corrections.parts import Part, checked, parts_of, parts_of_document
from hub.archive.corrections.store import FILE, Correction, CorrectionStore, Verdict
from hub.archive.history import History
from hub.archive.links import Feedback, Link, checked_feedback
from hub.archive.sharing import Sharing, encode_bounded
from hub.decoding import budget
from hub.decoding.decode import ImageLimits, decode
from hub.engine.shown import Shown
from hub.errors import ConflictError, ForbiddenError, InputError, NotFoundError, StorageError
from hub.images import thumbnail
from hub.pages.registry import Registry
from hub.people.audit import Audit
from hub.people.owners import MACHINE, Owner
from hub.people.terms import NOTE_CHARS, checked_text
from hub.results.headline import headline
from hub.results.result import Picture, Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.spec import Demo, ImageInput

log = logging.getLogger(__name__)

VIEW_PX = 1280  # a picture to say on it what is right is at most so long
PARTS_CHARS = 100_000  # of what is kept of one answer
THUMBS: Mapping[str, Verdict] = {"up": "right", "down": "wrong", "": ""}
VERDICTS: Mapping[str, Any] = {verdict: thumb for thumb, verdict in THUMBS.items()}


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says of an answer. `keeps`: the pictures that went in may be kept with it."""

    verdict: Any
    correction: Any = None  # what is right, by part
    note: Any = ""
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """An answer of which something can be said. `pictured`: its picture may be kept by who asks."""

    blank: Correction
    pictured: bool
    inputs: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


class Corrections:
    """What people say was right or wrong, over one hub."""

    def __init__(
        self, settings: Settings, registry: Registry, results: ResultStore, shown: Shown, sharing: Sharing,
        history: History, limits: ImageLimits, audit: Audit,
    ):  # fmt: skip
        self._settings, self._registry, self._results, self._shown = settings, registry, results, shown
        self._sharing, self._history, self._limits, self._audit = sharing, history, limits, audit
        sharing.links.on_end = self.link_ended
        # Guards the opening of the file; taken alone.
        self._lock = threading.Lock()
        self._store: CorrectionStore | None = None

    @property
    def enabled(self) -> bool:
        """Whether anything can be said here."""
        return self._settings.corrections_disk_mb > 0

    @property
    def store(self) -> CorrectionStore:
        """To look into; a hub of which nobody said anything has an empty one, and writes no file."""
        return self._open((self._settings.data_folder / FILE).exists())

    def _open(self, on_disk: bool) -> CorrectionStore:
        with self._lock:
            if self._store is None or (on_disk and self._store.path is None):
                path = self._settings.data_folder / FILE if on_disk else None
                self._store = CorrectionStore(path, int(self._settings.corrections_disk_mb * 2**20))
            return self._store

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    # --- of a result ------------------------------------------------------------------------------

    def subject(self, id: str, who: Owner, known: bool = False) -> Subject:
        """A result as who ran it may correct it; `known`: that they did is certain, as of a batch of theirs.

        Raises NotFoundError, ForbiddenError for who is not known to have.
        """
        result = self._results.get(id)
        if result is None:
            raise NotFoundError("There is no result {id!r} here any more. Run it again.", id=id[:64])
        if not known and self._shown.since(who, result) is None:
            raise ForbiddenError("You are not known to have run this result. Run it again, then say what is right.")
        capsule = result.capsule
        page = self._registry.pages.get(capsule["page"])
        demo = page.declared if page else None
        blank = _blank(
            id, capsule["page"], _bounded(parts_of(demo, result.values)), weights=capsule["weights"],
            digest=capsule["digest"], version=capsule["version"], headline=_headline(demo, result),
        )  # fmt: skip
        inputs = tuple(f.name for f in demo.inputs if isinstance(f, ImageInput)) if demo else ()
        return Subject(blank, any(name in capsule["inputs"] for name in inputs), inputs, capsule["inputs"])

    def correct(
        self, id: str, said: Said, who: Owner = MACHINE, given: Mapping[str, bytes] | None = None, known: bool = False
    ) -> Correction:
        """Keeps what `who` says of a result; `given` are its pictures as the caller has them, `known` as in `subject`.

        Raises ConflictError where a picture is to be kept that is not to be had, InputError, BusyError, and as
        `subject`.
        """
        subject = self.subject(id, who, known)
        correction = _filled(subject.blank, said)
        pictures, size = self._pictures(subject, who, given or {}) if said.keeps else ({}, (0, 0))
        return self._keep(replace(correction, width=size[0], height=size[1]), pictures, who)

    def _pictures(
        self, subject: Subject, who: Owner, given: Mapping[str, bytes]
    ) -> tuple[dict[str, Picture], tuple[int, int]]:
        """The pictures of a run with nothing of their files, and how large the first was. Raises ConflictError."""
        held, pictures, size = self._held(subject, who), dict[str, Picture](), (0, 0)
        for name in subject.inputs:
            if name not in subject.digests:
                continue  # it may be left out, and was
            data = next((d for d in (given.get(name), held.get(name)) if d and _is(d, subject.digests[name])), None)
            if data is None:
                raise ConflictError(
                    "The picture {name!r} of this result is no longer held. Run it again, then say it; or do not let "
                    "the picture be kept.",
                    name=name, field=name,
                )  # fmt: skip
            with budget.room():
                image = decode(data, self._limits)
                size = size if pictures else image.size
                pictures[name] = encode_bounded(image)
        return pictures, size

    def look(self, id: str, name: str, who: Owner) -> tuple[bytes, tuple[int, int]]:
        """A picture that went into a result, to say on it what is right: as `draw_view` makes it.

        Raises NotFoundError where it is no longer held, and as `subject`.
        """
        subject = self.subject(id, who)
        data = self._held(subject, who).get(name) if name in subject.inputs else None
        if data is None or not _is(data, subject.digests.get(name, "")):
            raise NotFoundError("The picture {name!r} of this result is no longer held.", name=name[:80])
        return draw_view(data, self._limits)

    def _held(self, subject: Subject, who: Owner) -> Mapping[str, bytes]:
        """Pictures that `who` brought, from memory or from their history; or the page's own, of an example."""
        target = subject.blank.target
        return {
            **self._of_example(subject),
            **self._history.pictures_of(who.id if who.lasting else "", target),
            **self._sharing.uploads_of(target, who),
        }

    def _of_example(self, subject: Subject) -> dict[str, bytes]:
        page = self._registry.pages.get(subject.blank.page)
        if page is None or page.declared is None:
            return {}
        for example in page.declared.examples:
            paths = {n: page.assets / str(example.inputs[n]) for n in subject.digests if n in example.inputs}
            files = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
            if files and all(_is(data, subject.digests[name]) for name, data in files.items()):
                return files
        return {}

    # --- of a shared result -----------------------------------------------------------------------

    def shared(self, id: str, mine: bool = False) -> Subject:
        """A shared result, which all who have its link may correct; only who made the link may let its picture be kept.

        Raises as `LinkStore.get`.
        """
        link, document = self._sharing.links.read(id)
        weights = document.get("weights") or {}
        blank = _blank(
            f"link {id}", link.page, _bounded(parts_of_document(document["outputs"])), link=id,
            weights=weights.get("name", ""),
            digest=weights.get("digest", ""), version=str(document.get("again", {}).get("version", "")),
            headline=link.headline,
        )  # fmt: skip
        files = {entry["name"]: entry["file"] for entry in document["inputs"] if entry.get("file")}
        return Subject(blank, mine and bool(files), tuple(files), files)

    def correct_shared(self, id: str, said: Said, who: Owner = MACHINE, mine: bool = False) -> Correction:
        """Keeps what somebody says of a shared result. Raises InputError, BusyError, and as `shared`."""
        subject = self.shared(id, mine)
        correction, pictures = _filled(subject.blank, said), dict[str, Picture]()
        if said.keeps and subject.pictured:
            pictures = {name: self._sharing.links.file(id, file) for name, file in subject.digests.items()}
            first = next(iter(pictures.values()))
            correction = replace(correction, width=first.width, height=first.height)
        return self._keep(correction, pictures, who)

    def say(self, id: str, thumb: Any, text: Any, who: Owner = MACHINE) -> Feedback:
        """What a thumb and a few words were: they are a correction too. Raises as `correct_shared`."""
        thumb, text = checked_feedback(thumb, text)
        blank = self.shared(id).blank
        return feedback_of(self._keep(replace(blank, verdict=THUMBS[thumb], note=text), {}, who))

    def feedback(self, ids: Sequence[str]) -> list[Feedback]:
        """All that was said of links, the oldest first; also what an older hub kept beside them."""
        old = self._sharing.links.feedback(ids)
        return sorted([*old, *map(feedback_of, self.store.of_links(ids))], key=lambda one: one.created)

    def counted(self, links: Sequence[Link]) -> list[Link]:
        """The links with all that was said of them."""
        return counted(self.store, links)

    # --- for all ----------------------------------------------------------------------------------

    def link_ended(self, id: str) -> None:
        """What a link showed is deleted, and so are pictures that are kept of it. A disk that fails is logged."""
        try:
            self.store.drop_pictures(id)
        except StorageError as error:
            log.warning("pictures of the ended link %s are still kept: %s", id, error.message)

    def forget(self, who: Owner, results: Sequence[str]) -> None:
        """Somebody deleted these results: what they said of them goes too, with its pictures."""
        if who.ids and results:
            self.store.forget(who.ids, results)

    def _keep(self, correction: Correction, pictures: Mapping[str, Picture], who: Owner) -> Correction:
        kept = self._open(on_disk=True).keep(correction, pictures, who)
        self._audit.note("correct", page=correction.page, subject=correction.target[:SUBJECT_CHARS])
        return kept


def counted(store: CorrectionStore, links: Sequence[Link]) -> list[Link]:
    """The links with what was said of them since it is kept here."""
    thumbs = store.thumbs([link.id for link in links])
    none = (0, 0, 0)
    return [
        replace(link, up=link.up + more[0], down=link.down + more[1], comments=link.comments + more[2])
        for link in links
        for more in [thumbs.get(link.id, none)]
    ]


def draw_view(data: bytes, limits: ImageLimits) -> tuple[bytes, tuple[int, int]]:
    """A picture small enough to look at, as JPEG, and the size in whose pixels points and boxes are."""
    with budget.room():
        image = decode(data, limits)
        return thumbnail(image, VIEW_PX, "view"), image.size


def _is(data: bytes, digest: str) -> bool:
    return hashlib.sha256(data).hexdigest() == digest


def feedback_of(correction: Correction) -> Feedback:
    """What was said of a link, in the form that feedback always had."""
    return Feedback(correction.link, correction.created, VERDICTS[correction.verdict], correction.note)


def _blank(target: str, page: str, parts: tuple[Part, ...], **more: Any) -> Correction:
    return Correction(
        id="", target=target, page=page, parts=parts, verdict="", value={}, note="", owner="", place="", created=0.0,
        **{"link": "", **more},
    )  # fmt: skip


def _filled(blank: Correction, said: Said) -> Correction:
    """Raises InputError."""
    if said.verdict not in ("right", "wrong"):
        raise InputError(
            "verdict must be right or wrong, got {given!r}.", given=str(said.verdict)[:60], field="verdict"
        )
    note = checked_text(said.note, "note", NOTE_CHARS)
    value = checked(blank.parts, said.correction) if said.verdict == "wrong" else {}
    return replace(blank, verdict=said.verdict, value=value, note=note)


def _bounded(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Of a very long answer words are left: it is kept once for everybody who says something of it."""
    return parts if sum(len(repr(part)) for part in parts) <= PARTS_CHARS else parts_of(None, {})


def _headline(demo: Demo | None, result: Result) -> str:
    return headline(demo, result) if demo else result.headline
