"""How much people may say: no one caller can use up what is there for all.

A person is a user or a browser; all browsers of one address together may have a few times as much, since people share
addresses and cookies can be made up. Where the hub is full, the oldest of the address that said most makes room, never
what users said who signed in.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from hub.errors import BusyError, UnavailableError
from hub.people.owners import Owner
from hub.texts import sentence

MOST, OF_ONE, OF_LINK = 50_000, 5_000, 1_000  # corrections of the hub, of one person, of one link
A_MINUTE = 30  # of one person
BYTES_SHARE = 4  # what one person said takes at most 1/4 of what all may take
OF_ADDRESS = 3  # all browsers of one address together may have so many times as much


@dataclass(frozen=True, slots=True)
class Room:
    """Room for one more in the tables, within a transaction."""

    db: sqlite3.Connection
    limit_bytes: int
    now: float

    def make(self, who: Owner, size: int, link: str) -> None:
        """Drops what has to go for `size` bytes more. Raises BusyError, UnavailableError."""
        if self.limit_bytes <= 0:
            raise UnavailableError("Corrections are switched off on this hub (corrections_disk_mb = 0).")
        for column, value, times in (("owner", who.id, 1), ("place", who.place, OF_ADDRESS)):
            if value:
                self._check_pace(column, value, times)
                self._check_share(column, value, size, times)
        if link:
            self._make_for_link(link)
        while not self._has_room(size):
            if size > self.limit_bytes or not self._drop("place <> ''", ()):
                raise BusyError(
                    "This hub has as many corrections as it keeps (--corrections-disk-mb). Some have to be exported "
                    "and deleted first.",
                    retry_after_s=3600,
                )

    def _check_pace(self, column: str, value: str, times: int) -> None:
        newest = self._one(f"SELECT count(*) FROM correction WHERE {column} = ? AND created > ?", value, self.now - 60)
        if newest >= A_MINUTE * times:
            raise BusyError(
                "{whose} sent {count} corrections in the last minute, the most there may be. Wait a moment.",
                whose=_whose(times), count=newest, retry_after_s=60,
            )  # fmt: skip

    def _check_share(self, column: str, value: str, size: int, times: int) -> None:
        sql = f"SELECT count(*), coalesce(sum(bytes), 0) FROM correction WHERE {column} = ?"
        count, total = self.db.execute(sql, (value,)).fetchone()
        most = min(self.limit_bytes, self.limit_bytes * times // BYTES_SHARE)
        if count >= OF_ONE * times or total + size > most:
            raise BusyError(
                "{whose} have {count} corrections here, {used} MB with their pictures, the most that one of many may "
                "have. Delete some first, or send this one without its picture.",
                whose=_whose(times), count=count, used=f"{total / 1e6:.1f}", retry_after_s=3600,
            )  # fmt: skip

    def _make_for_link(self, link: str) -> None:
        if self._one("SELECT count(*) FROM correction WHERE link = ?", link) < OF_LINK:
            return
        if not self._drop("link = ? AND owner <> ''", (link,)):
            raise BusyError(
                "This link has {count} pieces of feedback, the most it keeps.", count=OF_LINK, retry_after_s=3600
            )

    def _has_room(self, size: int) -> bool:
        count, total = self.db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM correction").fetchone()
        return bool(count < MOST and total + size <= self.limit_bytes)

    def _drop(self, where: str, values: tuple[str, ...]) -> bool:
        """Drops the oldest of who has most among these; says whether there was one."""
        who = "coalesce(nullif(place, ''), owner)"
        most = f"SELECT {who} FROM correction WHERE {where} GROUP BY 1 ORDER BY sum(bytes) DESC LIMIT 1"
        oldest = f"SELECT id FROM correction WHERE {where} AND {who} = ({most}) ORDER BY created, id LIMIT 1"
        return bool(self.db.execute(f"DELETE FROM correction WHERE id = ({oldest})", (*values, *values)).rowcount)

    def _one(self, sql: str, *values: object) -> int:
        return int(self.db.execute(sql, values).fetchone()[0])


def _whose(times: int) -> str:
    return sentence("All browsers at your address together") if times > 1 else sentence("You")
