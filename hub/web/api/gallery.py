"""The gallery over REST: `/api/v1/gallery`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from hub.archive import gallery
from hub.archive.picture_index import PictureRecord, Query, Viewer
from hub.errors import InputError
from hub.hub import Hub
from hub.suggest import unknown
from hub.web import drawers
from hub.web.api.schemas.gallery import PairAnswer, PairsAnswer, PictureAnswer, PicturesAnswer
from hub.web.middleware import guard
from hub.web.routes import API, FOREVER, check_names, json_answer, routes_of, whole_number

DOWNLOAD_MOST = 2_000  # pictures in one ZIP file
PAGING = ("page", "per_page", "order")


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `demos.routes`, which answer everything under /api."""
    endpoints = GalleryRoutes(hub)
    table = {
        f"{API}/gallery": endpoints.search,
        f"{API}/gallery/facets": endpoints.facets,
        f"{API}/gallery/pairs": endpoints.pairs,
        f"{API}/gallery/download": endpoints.download,
        f"{API}/gallery/{{id}}": endpoints.one,
        f"{API}/gallery/{{id}}/image": endpoints.image,
        f"{API}/gallery/{{id}}/thumbnail": endpoints.thumbnail,
    }
    return routes_of({path: {"GET": endpoint} for path, endpoint in table.items()}, "gallery")


class GalleryRoutes:
    """The endpoints over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.pictures = hub, hub.pictures

    # --- searching --------------------------------------------------------------------------------

    async def search(self, request: Request) -> Response:
        query, page, size = self._read_query(request)
        order = request.query_params.get("order", "new")
        if order not in gallery.ORDER_NAMES:
            raise InputError(unknown("order", order[:40], list(gallery.ORDER_NAMES)), field="order")

        def find() -> tuple[list[PictureRecord], int]:
            index = self.pictures.index()
            return index.search(query, self._viewer(request), order=order, limit=size, offset=(page - 1) * size)

        entries, total = await to_thread.run_sync(find)
        pictures = [self._picture(entry, request) for entry in entries]
        return json_answer(PicturesAnswer(total=total, page=page, per_page=size, pictures=pictures))

    async def pairs(self, request: Request) -> Response:
        """What two grids have of the same subject, style and seed."""
        query, page, size = self._read_query(request, "a", "b")
        a, b = (request.query_params.get(side, "") for side in ("a", "b"))
        if not a or not b:
            raise InputError("Name the two runs to compare: a=RUN&b=RUN.", field="b" if a else "a")

        def find() -> tuple[list[tuple[PictureRecord, PictureRecord]], int]:
            index = self.pictures.index()
            return index.pairs(a, b, query, self._viewer(request), limit=size, offset=(page - 1) * size)

        records, total = await to_thread.run_sync(find)
        pairs = [PairAnswer(a=self._picture(one, request), b=self._picture(other, request)) for one, other in records]
        return json_answer(PairsAnswer(total=total, page=page, per_page=size, pairs=pairs))

    async def facets(self, request: Request) -> Response:
        def find() -> dict[str, list[dict[str, Any]]]:
            return self.pictures.index().facets(self._viewer(request))

        values = await to_thread.run_sync(find)
        for entries in values.values():
            for entry in entries:
                entry["latest"] = gallery.when(entry["latest"])
        return json_answer(values)

    async def download(self, request: Request) -> Response:
        """A ZIP file of pictures with prompts.csv, of `ids` or of all that a search finds; or the CSV alone."""
        query, _, _ = self._read_query(request, "ids", "format")
        kind = request.query_params.get("format", "zip")
        if kind not in ("zip", "csv"):
            raise InputError("format must be zip or csv, got {kind!r}.", kind=kind[:40], field="format")

        def find() -> tuple[list[PictureRecord], int]:
            index = self.pictures.index()
            return index.search(query, self._viewer(request), order="old", limit=DOWNLOAD_MOST)

        entries, total = await to_thread.run_sync(find)
        if total > DOWNLOAD_MOST:
            raise InputError(
                "One download has at most {download_most:,} pictures, this is {total:,}. Search for less.",
                download_most=DOWNLOAD_MOST,
                total=total,
            )
        disposition = f'attachment; filename="{"prompts" if kind == "csv" else "gallery"}.{kind}"'
        headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
        if kind == "csv":
            return Response(gallery.table(map(gallery.row, entries)), media_type="text/csv", headers=headers)
        pieces: Iterator[bytes] = gallery.archive(self.pictures, entries)
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    def _read_query(self, request: Request, *more: str) -> tuple[Query, int, int]:
        """What is looked for, which page of it, and how many on a page. Raises InputError."""
        parameters: Mapping[str, str] = request.query_params
        names = [*gallery.FILTERS, *PAGING, *more]
        check_names(parameters, names)
        page = whole_number(parameters.get("page", "1"), "page", gallery.PAGES_MOST)
        size = whole_number(parameters.get("per_page", str(gallery.PER_PAGE)), "per_page", gallery.PER_PAGE_MOST)
        ids = tuple(filter(None, parameters.get("ids", "").split(",")))[:DOWNLOAD_MOST]
        return gallery.query(parameters, ids), page, size

    def _viewer(self, request: Request) -> Viewer:
        who = guard.caller(request)
        return replace(self.pictures.viewer(self.hub.owners.of(who)), kept_from=self.hub.seen.kept_from(who))

    # --- one picture ------------------------------------------------------------------------------

    async def one(self, request: Request) -> Response:
        return json_answer(self._picture(await to_thread.run_sync(self._entry, request), request))

    async def image(self, request: Request) -> Response:
        def read() -> tuple[bytes, str]:
            return self.pictures.file(self._entry(request))

        data, kind = await to_thread.run_sync(read)
        return Response(data, media_type=kind, headers={"Cache-Control": FOREVER})

    async def thumbnail(self, request: Request) -> Response:
        def find() -> tuple[PictureRecord, bytes | None]:
            entry = self._entry(request)
            return entry, self.pictures.kept_thumbnail(entry)

        entry, small = await to_thread.run_sync(find)
        if small is None:
            small = await drawers.draw(guard.caller(request), self.pictures.thumbnail, entry)
        return Response(small, media_type="image/webp", headers={"Cache-Control": FOREVER})

    def _entry(self, request: Request) -> PictureRecord:
        return self.pictures.get(request.path_params["id"], self._viewer(request))

    def _picture(self, entry: PictureRecord, request: Request) -> PictureAnswer:
        """One picture, as REST and the page's script read it."""
        root, page = request.scope.get("root_path", ""), self.hub.visible.pages.get(entry.demo)
        here = f"{root}{API}/gallery/{entry.id}"
        return {
            "id": entry.id, "demo": entry.demo, "prompt": entry.prompt, "subject": entry.subject, "style": entry.style,
            "seed": entry.seed, "weights": entry.weights, "digest": entry.digest, "run": entry.run,
            "created_at": gallery.when(entry.created), "width": entry.width, "height": entry.height,
            "caption": entry.caption, "settings": dict(entry.parameters), "begins_from": list(entry.inputs),
            "title": page.title if page else entry.demo, "image": f"{here}/image", "thumbnail": f"{here}/thumbnail",
            "open": f"{root}/{gallery.address(entry.demo, entry.parameters, entry.weights)}"
            if page and page.declared
            else None,
        }  # fmt: skip
