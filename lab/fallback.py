"""The site's server where nginx is missing: `python -m lab.fallback ROOT PORT`.

Bodies are held in memory, so an answer costs one dictionary look-up and aiohttp's own work.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web


def bodies(root: Path) -> dict[str, tuple[bytes, str]]:
    """Every file of the site by URL path, with its content type."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            name = "/" + path.relative_to(root).as_posix()
            kind = "text/html" if path.suffix == ".html" else "text/plain"
            found["/" if name == "/index.html" else name] = (path.read_bytes(), kind)
    return found


def application(root: Path) -> web.Application:
    """An application that answers each file of the site, and 404 for everything else."""
    pages = bodies(root)

    async def answer(request: web.Request) -> web.Response:
        page = pages.get(request.path)
        if page is None:
            raise web.HTTPNotFound
        return web.Response(body=page[0], content_type=page[1], charset="utf-8")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return app


def main() -> None:
    """Serve until a signal ends the process."""
    root, port = Path(sys.argv[1]), int(sys.argv[2])
    web.run_app(application(root), host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
