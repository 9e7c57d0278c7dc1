"""Files of videos and sounds: what they are by their first bytes, and opened by FFmpeg (PyAV) within bounds.

FFmpeg knows hundreds of formats and fetches what lists of parts name. Here a file is opened as the one kind that its
bytes say, from memory, with few streams and no way to anything else; only decoders that browsers have are used.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hub.decoding.decode import sniff
from hub.decoding.played import mp4
from hub.decoding.reading import ImageLimits, mega
from hub.errors import HubError, InputError, OutOfMemoryError, TooLargeError, UnsupportedMediaError
from hub.texts import Sentence, sentence

if TYPE_CHECKING:
    from av.container import InputContainer

log = logging.getLogger(__name__)

MP4 = "mov"
# How a file begins -> FFmpeg's reader, and what people call it.
KINDS: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), reader, name)
    for pattern, reader, name in (
        (rb"....(ftyp(?!avi[fs]|hei|hev|mif|msf1|avc[is]|jpeg|jpgs|vvi|j2ki)|moov|mdat|wide|free)", MP4, "MP4"),
        (rb"\x1aE\xdf\xa3", "matroska", "WebM"),
        (rb"RIFF....WAVE", "wav", "WAV"),
        (rb"fLaC", "flac", "FLAC"),
        (rb"OggS", "ogg", "Ogg"),
        (rb"ID3|\xff[\xfb\xfa\xf3\xf2]", "mp3", "MP3"),
    )
)
VIDEO_READERS = frozenset((MP4, "matroska"))
STREAMS_MOST = 8
OPTIONS = {"max_streams": str(STREAMS_MOST), "probesize": str(2**22), "analyzeduration": "4000000"}
VIDEOS = sentence("MP4, MOV, WebM and Matroska videos are read")
SOUNDS = sentence("WAV, MP3, FLAC, Ogg and M4A sounds, and MP4 and WebM videos with sound, are read")


def kind_of(data: bytes) -> tuple[str, str]:
    """FFmpeg's reader for a file and the file's kind in words; a reader of "" for what is not read here."""
    head = data[:64]
    for pattern, reader, name in KINDS:
        if pattern.match(head):
            return reader, name
    return "", sniff(data)


def check_size(data: bytes, limits: ImageLimits, name: str, what: Sentence) -> None:
    """Raises InputError for an empty file, TooLargeError."""
    if not data:
        raise InputError("{name} is an empty file. Choose {what} and try again.", name=name, what=what, field=name)
    if len(data) > limits.max_bytes:
        raise TooLargeError(
            "{name} has {size} MB; at most {most} MB are read. Make it smaller and try again.",
            name=name,
            size=mega(len(data)),
            most=mega(limits.max_bytes),
            field=name,
        )


@contextmanager
def opened(data: bytes, name: str, videos_only: bool) -> Iterator[InputContainer]:
    """A file open for reading. What goes wrong in the block is a HubError that names the input."""
    reader, kind = kind_of(data)
    if not reader or (videos_only and reader not in VIDEO_READERS):
        raise UnsupportedMediaError(
            "{name} looks like {kind}; {formats}. Convert it and try again.",
            name=name,
            kind=sentence(kind),
            formats=VIDEOS if videos_only else SOUNDS,
            field=name,
        )
    import av

    try:
        if reader == MP4:
            mp4.check_tables(data)
        with av.open(io.BytesIO(data), format=reader, options=OPTIONS) as container:
            yield container
    except HubError as error:
        error.field = error.field or name
        raise
    except MemoryError as error:
        raise OutOfMemoryError(
            "The hub has no memory left for this input. Make it smaller, or try again later.", field=name
        ) from error
    # What FFmpeg raises are OSErrors, ValueErrors and others, by the number of its error.
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, EOFError, RuntimeError) as error:
        log.info("a %s cannot be read: %r", kind, error)
        raise InputError(
            "{name} ({kind}) {problem}. Save it anew and try again.",
            name=name,
            kind=kind,
            problem=sentence("is cut off or damaged and cannot be read"),
            field=name,
        ) from error


def too_long(name: str, seconds: float, most: float) -> TooLargeError:
    """What is told of a video or sound that lasts too long."""
    return TooLargeError(
        "{name} lasts {seconds:.1f} s; at most {most:g} s are read. Cut it and try again.",
        name=name,
        seconds=seconds,
        most=most,
        field=name,
    )
