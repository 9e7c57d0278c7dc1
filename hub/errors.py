"""Every error a user can cause or meet; its text is what they read, so it says what to do.

HubError                      500  internal_error
├── DeclarationError          500  a demo file is wrong (shown on its page; other pages serve)
├── SignInError               401  nobody is told from who asks
├── ForbiddenError            403  only its owner may do that
│   ├── RoleError             403  only another role may do that
│   ├── RightsError           403  this page is not for them to run
│   └── HostError             403  asked under a name that is none of this hub's
├── NotFoundError             404  no such demo, result, output or link
│   └── GoneError             410  a link that was taken back, or is past its day
├── ConflictError             409  what was asked for is no longer as it was, such as pictures not held any more
├── InputError                422  a value is missing, unknown, of a wrong type or out of range
│   ├── TooLargeError         413  more bytes or pixels than allowed
│   └── UnsupportedMediaError 415  a format that is not read here
├── BusyError                 429  the queue is full; carries retry_after_s
├── UnavailableError          503  weights missing, model failed to load
│   ├── OutOfMemoryError      503  does not fit the device even alone, or what is to be read does not fit the memory
│   ├── OtherWeightsError     503  where it was to run there are other weights than the ones it was asked of
│   ├── StoppingError         503  the hub is about to end; carries retry_after_s
│   └── StorageError          503  the disk is full, read-only or failing, or a file on it is damaged
├── DeadlineError             504  took longer than the deadline
└── CancelledError            499  the caller went away
"""

from __future__ import annotations

import logging
from typing import Any

from hub.texts import Sentence, sentence

log = logging.getLogger(__name__)


class HubError(Exception):
    """Base of all errors shown to users. `field` names the input at fault, where there is one.

    Give what varies as values of `{placeholders}`, never by an f-string: the template is what gets translated.
    """

    status = 500
    title = "Something went wrong in the hub"
    code = "internal_error"

    def __init__(self, message: str, /, *, field: str | None = None, **values: Any):
        self.message = Sentence(message, values) if values or not isinstance(message, Sentence) else message
        super().__init__(self.message)
        self.field = field


class DeclarationError(HubError):
    title, code = "This demo's declaration is not valid", "declaration_error"


class SignInError(HubError):
    status, title, code = 401, "Sign in to use this hub", "sign_in"


class NotFoundError(HubError):
    status, title, code = 404, "Not found", "not_found"


class ForbiddenError(HubError):
    status, title, code = 403, "That is not yours to change", "forbidden"


class RoleError(ForbiddenError):
    title = "Your access does not reach this far"


class RightsError(ForbiddenError):
    title, code = "This page is not yours to run", "may_not_run"


class HostError(ForbiddenError):
    title, code = "This hub does not go by that name", "unknown_host"


class GoneError(NotFoundError):
    status, title, code = 410, "No longer here", "gone"


class ConflictError(HubError):
    status, title, code = 409, "It is no longer as it was", "conflict"


class InputError(HubError):
    status, title, code = 422, "An input is not valid", "invalid_input"


class TooLargeError(InputError):
    status, title, code = 413, "The input is too large", "too_large"


class UnsupportedMediaError(InputError):
    status, title, code = 415, "The format is not supported", "unsupported_media"


class BusyError(HubError):
    status, title, code = 429, "The hub is busy", "busy"

    def __init__(self, message: str, /, *, retry_after_s: int = 1, **values: Any):
        super().__init__(message, **values)
        self.retry_after_s = retry_after_s


class UnavailableError(HubError):
    status, title, code = 503, "The model is not available", "unavailable"


class OutOfMemoryError(UnavailableError):
    title, code = "Not enough memory", "out_of_memory"


class OtherWeightsError(UnavailableError):
    title, code = "The weights differ", "other_weights"


class StoppingError(UnavailableError):
    title, code = "The hub is stopping", "stopping"
    retry_after_s = 10  # about what a hub takes to be started again


class StorageError(UnavailableError):
    title, code = "The hub cannot keep or read this", "storage"


class DeadlineError(HubError):
    status, title, code = 504, "It took too long", "deadline"


def too_late(slug: str, seconds: float, why: str | None = None) -> DeadlineError:
    """What is told of a run whose `seconds` are over. `why`: what kept it, where that is known."""
    if why:
        return DeadlineError(why)
    return DeadlineError(
        "{page} did not answer in {seconds:g} s. Try again, or raise --deadline-s.", page=slug, seconds=seconds
    )


class CancelledError(HubError):
    status, title, code = 499, "Cancelled", "cancelled"


def brief(error: BaseException, limit: int = 300) -> str:
    """Kind and first line of a foreign error; the rest (C++ frames, lists of tensors) is for the log."""
    text = f"{type(error).__name__}: {error}".split("\n", 1)[0].rstrip(": ")
    return text if len(text) <= limit else text[: limit - 1] + "…"


# Of a demo's code that raised what ends a process. The hub goes on.
LEFT = sentence(
    "Its code tried to end the hub, as sys.exit() does, where it should raise an error: a fault of the page, not of "
    "the input."
)


def unexpected(slug: str, error: BaseException) -> HubError:
    """What users read of an error that is none of ours."""
    if isinstance(error, MemoryError):
        log.error("%s had no memory", slug)
        return OutOfMemoryError("The hub has no memory left for this input. Make it smaller, or try again later.")
    log.error("%s failed", slug, exc_info=error)
    if not isinstance(error, Exception):
        return HubError("{page} failed: {reason}. {why}", page=slug, reason=brief(error), why=LEFT)
    return HubError("{page} failed: {reason}. The hub's log has the details.", page=slug, reason=brief(error))
