"""What people read, in their language. English stands in the code; hub/locales/<language>.toml has the others.

The English text is the key: `say("Run")` answers what is to be shown to whoever is drawn for. A page brings the
texts of its own declaration in `assets/<slug>/<language>.toml`. REST, MCP, gradio_client and the command line never
call `say`: their texts are English, whoever asks.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Any

from hub.files import read_text

log = logging.getLogger(__name__)
ENGLISH, CHINESE = "en", "zh-CN"
NAMES = {ENGLISH: "English", CHINESE: "中文"}  # what each language calls itself
LOCALES = Path(__file__).with_name("locales")
MADE_OF = "\x1f"  # begins a column that holds a packed sentence; no text of people begins so
PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Sentence(str):
    """English text that remembers what it was made of: a template of ours, and values, which may be anybody's.

    Only the template is looked up when it is translated. A value that is a Sentence itself is translated too; any
    other stands as it is, so that words of visitors never decide what is searched for, or how long that takes.
    `template` has bare placeholders, whatever they began as: `{size:.1f}` and `{given!r}` are filled in at once.
    """

    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, values: Mapping[str, object] | None = None) -> Sentence:
        bare, texts = _filled_in(template, values) if values else (template, {})
        self = super().__new__(cls, bare.format_map(texts) if values else template)
        self.template, self.values = bare, texts
        return self

    def __getnewargs__(self) -> tuple[str, Mapping[str, object]]:  # type: ignore[override]  # str's has one
        return self.template, self.values


def sentence(template: str, /, **values: object) -> Sentence:
    """`template` with its `{placeholders}` filled in, in English; `say` has it in the visitor's language."""
    return template if isinstance(template, Sentence) else Sentence(template, values)


def joined(parts: Iterable[str], between: str = ", ") -> Sentence:
    """A list in words; each part is a text of its own, with a translation of its own."""
    values = {f"part_{number}": sentence(part) for number, part in enumerate(parts)}
    return Sentence("{between}".join(f"{{{name}}}" for name in values), {**values, "between": sentence(between)})


def _filled_in(template: str, values: Mapping[str, object]) -> tuple[str, dict[str, str]]:
    """The template with bare placeholders, and the text of each value, formatted as the template asks."""
    bare, texts = "", dict[str, str]()
    for words, name, form, conversion in Formatter().parse(template):
        bare += words.replace("{", "{{").replace("}", "}}")
        if name is None:
            continue
        bare += f"{{{name}}}"
        value = values[name]
        if form or conversion or not isinstance(value, Sentence):
            value = format(repr(value) if conversion == "r" else value, form or "")
        texts[name] = value
    return bare, texts


def packed(text: str) -> dict[str, object]:
    """A sentence as JSON data, for what is stored now and translated when it is read; `unpacked` is the way back."""
    values = text.values if isinstance(text, Sentence) else {}
    template = text.template if isinstance(text, Sentence) else text
    return {"template": template, "values": {n: packed(v) if isinstance(v, Sentence) else v for n, v in values.items()}}


# What reading such data can raise, where something else lies in its place.
NOT_OURS = (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, MemoryError)


def unpacked(data: Mapping[str, Any]) -> Sentence:
    """Raises KeyError, TypeError or ValueError for what `packed` has not made."""
    values = {n: unpacked(v) if isinstance(v, dict) else v for n, v in dict(data["values"]).items()}
    template = str(data["template"])
    if re.search("[{}]", PLACEHOLDER.sub("", template.replace("{{", "").replace("}}", ""))):
        raise ValueError("a template with more than bare placeholders, which could ask for any amount of room")
    return Sentence(template, values)


def to_column(text: str) -> str:
    """For a column of texts in a table: a sentence with all it was made of; any other text as it is."""
    return (
        MADE_OF + json.dumps(packed(text), ensure_ascii=False) if isinstance(text, Sentence) and text.values else text
    )


def from_column(text: str) -> str:
    """What `to_column` was given. Raises KeyError, TypeError or ValueError for what it has not made."""
    return unpacked(json.loads(text[len(MADE_OF) :])) if text.startswith(MADE_OF) else text


def sentences_in(value: object) -> list[Sentence]:
    """Those of several words that lie anywhere in lists and dicts: JSON keeps only the text of each."""
    if isinstance(value, Sentence):
        return [value] if value.values else []
    if isinstance(value, Mapping):
        value = list(value.values())
    return [one for part in value for one in sentences_in(part)] if isinstance(value, list | tuple) else []


def restored(value: Any, sentences: Iterable[Sentence]) -> Any:
    """The same lists and dicts with these sentences in the place of equal texts: the way back of `sentences_in`."""
    by_text = {str(one): one for one in sentences}

    def walked(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: walked(one) for name, one in part.items()}
        if isinstance(part, list):
            return [walked(one) for one in part]
        return by_text.get(part, part) if isinstance(part, str) else part

    return walked(value) if by_text else value


@dataclass(frozen=True)
class Catalogue:
    """One language: its texts by the English ones, templates by templates."""

    language: str
    texts: Mapping[str, str] = field(default_factory=dict)

    def say(self, text: str, /, **values: object) -> str:
        """`text` in this language, with its `{placeholders}` filled in; what is not known stays as it is."""
        if isinstance(text, Sentence):
            values = {n: self.say(v) if isinstance(v, Sentence) else v for n, v in text.values.items()}
            return self.say(text.template, **values)
        if values:
            return self.texts.get(text, text).format(**values)
        return self.texts.get(text, text)


# --- the catalogues -------------------------------------------------------------------------------

PLAIN = Catalogue(ENGLISH)


@cache
def own() -> Mapping[str, Catalogue]:
    """The hub's own texts, by language; read once in a process."""
    return {ENGLISH: PLAIN, CHINESE: _read(LOCALES / f"{CHINESE}.toml", CHINESE)}


def catalogues(folders: Iterable[Path], names: Mapping[str, str] = MappingProxyType({})) -> Mapping[str, Catalogue]:
    """By language: the hub's own texts with those in the pages' folders. A word has one translation: the first.

    `names` are English words for labels that do not say what they mean, such as `blow_down`: every language has them.
    """
    by_language = dict(own())
    for folder in folders:
        for language in by_language:
            file = folder / f"{language}.toml"
            if language == ENGLISH or not file.is_file():
                continue
            try:
                more = _read(file, language)
            except (OSError, ValueError) as error:
                log.warning("%s cannot be read, so its page stays English: %s", file, error)
                continue
            before = by_language[language]
            by_language[language] = Catalogue(language, {**more.texts, **before.texts})
    for language, known in by_language.items():
        readable = {label: known.say(words) for label, words in names.items()}
        by_language[language] = Catalogue(language, {**readable, **known.texts})
    return by_language


def section(language: str, name: str) -> Mapping[str, str]:
    """One section of the hub's own texts, for a script that says them itself; empty for English."""
    return _sections(language).get(name, {})


@cache
def _sections(language: str) -> Mapping[str, Mapping[str, str]]:
    return {} if language == ENGLISH else _parse(LOCALES / f"{language}.toml")


def _parse(file: Path) -> dict[str, dict[str, str]]:
    """Raises ValueError when it is not sections of texts."""
    sections = tomllib.loads(read_text(file))
    for name, texts in sections.items():
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise ValueError(f"[{name}] must have texts only")
    return sections


def _read(file: Path, language: str) -> Catalogue:
    sections = _parse(file)
    texts = {english: text for part in sections.values() for english, text in part.items()}
    return Catalogue(language, texts)


# --- whose language -------------------------------------------------------------------------------

_drawn_for: ContextVar[Catalogue] = ContextVar("drawn_for", default=PLAIN)
# Where Gradio keeps the request whose event is answered, which the context variable cannot know. Set once, at import.
ask_gradio: list[Callable[[], Catalogue | None]] = []


def current() -> Catalogue:
    """The language of whoever is drawn for: the request's, English without one."""
    for ask in ask_gradio:
        if (catalogue := ask()) is not None:
            return catalogue
    return _drawn_for.get()


def say(text: str, /, **values: object) -> str:
    """`text` in the language of whoever is drawn for; see `Catalogue.say`."""
    return current().say(text, **values)


def speak(catalogue: Catalogue) -> None:
    """From here on, in this thread or task, texts are of this language."""
    _drawn_for.set(catalogue)


@contextmanager
def speaking(catalogue: Catalogue) -> Iterator[None]:
    """The same inside of the `with` alone."""
    token = _drawn_for.set(catalogue)
    try:
        yield
    finally:
        _drawn_for.reset(token)


def language_of(tag: str) -> str:
    """The language of this hub that a tag such as `zh-TW` or `en_US` asks for; empty: none."""
    main = re.split("[-_]", tag.strip().lower())[0]
    return {"en": ENGLISH, "zh": CHINESE}.get(main, "")


def negotiated(accept: str) -> str:
    """The language that an Accept-Language header likes best among the hub's (RFC 9110); English where it names none.

    `zh`, `zh-CN`, `zh-TW` and `zh-Hans` all ask for Chinese. What has q=0 is not wanted.
    """
    best, most = ENGLISH, 0.0
    for part in accept[:1000].split(","):
        tag, *parameters = (piece.strip() for piece in part.split(";"))
        language, weight = language_of(tag), 1.0
        for parameter in parameters:
            if parameter.lower().startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if language and most < weight <= 1:
            best, most = language, weight
    return best
