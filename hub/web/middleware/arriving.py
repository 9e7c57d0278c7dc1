"""Bodies on their way: how many bytes of them the process holds at once, for all and for one address, and how long.

Room is taken as bytes arrive, never by what a client says that it will send, and nobody waits for it: who asks for more
than there is gets an answer at once and gives back what it had. So bodies cannot wait for each other. What a body needs
first, a page's click whole, is never counted: it always has room, and connections have a bound of their own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Message, Receive, Scope

from hub.errors import BusyError, HubError
from hub.memory import trim_soon

FREE_BYTES = 64 * 1024  # of each body; about as much as the server reads of it before anybody asks
LARGE_BYTES = 8 * 2**20  # after which memory goes back to the system
ADDRESS_SHARE = 2  # one address has half: behind a proxy that does not tell, everybody comes from one
WITHIN_S = 600.0  # a whole body has to come in this time: 20 MB over a line of 300 kbit/s
DRAIN_S = 5.0  # how long the rest of a refused body is read and dropped, so that the client sees the answer
RETRY_S = 10
ARRIVING = "hub.arriving"  # in the scope


class FullError(BusyError):
    """There is no room for anybody: not the caller's doing, so 503."""

    status = 503


class SlowError(HubError):
    status, title, code = 408, "The request came too slowly", "timeout"


class Room:
    """Bytes that bodies hold. Used in the event loop only, so it needs no lock."""

    def __init__(self, most: int, largest: int):
        """`largest`: what one request may need. It always fits where there is nobody else."""
        self.of_address = max(most // ADDRESS_SHARE, largest)
        self.most = max(most, self.of_address)
        self.used = 0
        self._by_address = Counter[str]()

    def take(self, address: str, size: int) -> None:
        """Raises BusyError where the address has its share, FullError where all is taken."""
        if self._by_address[address] + size > self.of_address:
            self._clean(address)
            raise BusyError(
                "What your address is sending at once takes {most} MB, the most one may have. Send less at once, or "
                "try again in a moment.", most=f"{self.of_address / 2**20:.0f}", retry_after_s=RETRY_S,
            )  # fmt: skip
        if self.used + size > self.most:
            self._clean(address)
            raise FullError(
                "What others are sending takes all of the {most} MB that this hub holds at once. Try again in a "
                "moment.", most=f"{self.most / 2**20:.0f}", retry_after_s=RETRY_S,
            )  # fmt: skip
        self.used += size
        self._by_address[address] += size

    def give_back(self, address: str, size: int) -> None:
        self.used -= size
        self._by_address[address] -= size
        self._clean(address)

    def _clean(self, address: str) -> None:
        if not self._by_address[address]:
            del self._by_address[address]


class Arriving:
    """One request's body, of which no more than `most` bytes are kept. `address` is asked once it is a large one."""

    def __init__(self, receive: Receive, room: Room, address: Callable[[], str], most: int, within_s: float | None):
        self._receive, self._room, self._address_of, self._most = receive, room, address, most
        self._address = ""
        self._size = self._room_taken = 0
        self._end = asyncio.get_running_loop().time() + (WITHIN_S if within_s is None else within_s)
        self._whole = self._dropped = False
        self.copies = 1  # how often it is held at once, with what is made of it
        self.refusal: HubError | None = None

    async def receive(self) -> Message:
        """What comes next. Raises BusyError, SlowError; the client then gets `refusal`, whatever the door answers."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
            self._count(message)
        except TimeoutError:
            self.refusal = SlowError("The request's body came too slowly. Try again over a better line.")
            raise self.refusal from None
        except BusyError as error:
            self.refusal = error
            raise
        return message

    def _count(self, message: Message) -> None:
        if message["type"] != "http.request":
            return
        self._whole = not message.get("more_body", False)
        self._size += len(message.get("body", b""))
        missing = self.copies * max(0, min(self._size, self._most) - FREE_BYTES) - self._room_taken
        if missing > 0 and not self._dropped:
            self._address = self._address or self._address_of()
            self._room.take(self._address, missing)
            self._room_taken += missing

    def drop(self) -> None:
        """What still comes is read and not kept."""
        self._dropped = True

    async def drain(self) -> None:
        """Reads and drops the rest of what had no room, for a while. Nothing of it may be held any more."""
        self.give_back()
        self.drop()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._whole and (message := await self._receive())["type"] == "http.request":
                    self._count(message)

    def give_back(self) -> None:
        if self._room_taken > LARGE_BYTES:
            trim_soon()
        if self._room_taken:
            self._room.give_back(self._address, self._room_taken)
            self._room_taken = 0


def drop_the_rest(scope: Scope) -> None:
    """Reads on without keeping anything: the body is refused for what it is."""
    if isinstance(body := scope.get(ARRIVING), Arriving):
        body.drop()
