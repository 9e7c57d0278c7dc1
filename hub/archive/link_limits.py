"""How many links there may be: no one caller can use up what is there for all.

A person is a user or a browser; all browsers of one address together may have a few times as much, since people share
addresses and cookies can be made up. Where the hub is full, links that nobody owns make room, the oldest first.
"""

from __future__ import annotations

import sqlite3

from hub.errors import BusyError, UnavailableError
from hub.people.owners import Owner
from hub.texts import sentence

LINKS_MOST, LINKS_OF_ONE = 10_000, 200  # live links of the hub, and of one person
LINKS_A_MINUTE = 30  # of one person
BYTES_SHARE = 4  # one person's links take at most 1/4 of what all may take
OF_ADDRESS = 3  # all browsers of one address together may have so many times as much
OWNERLESS_DAYS = 30.0  # how long a link lives that nobody can be told to own
MEND = sentence("Take one back first, or let links expire.")


def make_room(db: sqlite3.Connection, who: Owner, size: int, limit_bytes: int, now: float) -> list[str]:
    """Ids of links that have to end for a new one of `size` bytes. Raises BusyError, UnavailableError."""
    if limit_bytes <= 0:
        raise UnavailableError("Links are switched off on this hub (links_disk_mb = 0).")
    _check_pace(db, who, now)
    if not who.is_machine:
        _check_share(db, "owner", who.id, size, limit_bytes, 1)
        _check_share(db, "place", who.place, size, limit_bytes, OF_ADDRESS)
    count, total = db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM link WHERE ended IS NULL").fetchone()
    ended = list[str]()
    oldest = db.execute("SELECT id, bytes FROM link WHERE ended IS NULL AND NOT owned ORDER BY created, id")
    while count >= LINKS_MOST or total + size > limit_bytes:
        row = oldest.fetchone() if size <= limit_bytes else None
        if row is None:
            raise _full(count, total, size, limit_bytes)
        ended.append(row[0])
        count, total = count - 1, total - row[1]
    return ended


def _check_pace(db: sqlite3.Connection, who: Owner, now: float) -> None:
    for column, value, times in (("owner", who.id, 1), ("place", who.place, OF_ADDRESS)):
        query = f"SELECT count(*) FROM link WHERE {column} = ? AND created > ?"
        newest = db.execute(query, (value, now - 60)).fetchone()[0] if value else 0
        if newest >= LINKS_A_MINUTE * times:
            raise BusyError(
                "{whose} made {count} links in the last minute, the most there may be. Wait a moment.",
                whose=_whose(times), count=newest, retry_after_s=60,
            )  # fmt: skip


def _check_share(db: sqlite3.Connection, column: str, value: str, size: int, limit_bytes: int, times: int) -> None:
    if not value:
        return
    query = f"SELECT count(*), coalesce(sum(bytes), 0) FROM link WHERE ended IS NULL AND {column} = ?"
    count, total = db.execute(query, (value,)).fetchone()
    if count >= LINKS_OF_ONE * times:
        raise BusyError(
            "{whose} have {count} links, the most there may be. {mend}",
            whose=_whose(times), count=count, mend=MEND, retry_after_s=3600,
        )  # fmt: skip
    most = min(limit_bytes, limit_bytes * times // BYTES_SHARE)
    if total + size > most:
        raise BusyError(
            "Links of {whose} take {used} MB and this one needs {more} MB more; at most {most} MB are kept for one "
            "of many (--links-disk-mb). {mend}",
            whose=sentence("your address") if times > 1 else sentence("yours"), used=f"{total / 1e6:.0f}",
            more=f"{size / 1e6:.1f}", most=f"{most / 1e6:.0f}", mend=MEND, retry_after_s=3600,
        )  # fmt: skip


def _whose(times: int) -> str:
    return sentence("All browsers at your address together") if times > 1 else sentence("You")


def _full(count: int, total: int, size: int, limit_bytes: int) -> BusyError:
    if count >= LINKS_MOST:
        return BusyError(
            "This hub has {count} links, the most it keeps. {mend}", count=count, mend=MEND, retry_after_s=3600
        )
    return BusyError(
        "Links take {used} MB and this one needs {more} MB more; at most {most} MB are kept (--links-disk-mb). {mend}",
        used=f"{total / 1e6:.0f}", more=f"{size / 1e6:.1f}", most=f"{limit_bytes / 1e6:.0f}", mend=MEND,
        retry_after_s=3600,
    )  # fmt: skip
