"""The bundled website: deterministic by seed, latency and misbehaviour by path.

Owns the demo site's content (`site`), its two servers (`server` for ordinary pages on a maintained library,
`rough` for misbehaviour on raw sockets) and what a correct crawl of it records (`expected`). Imports no other
room, not even `crawl`: it is a website, and a website knows nothing of its crawlers.

`python -m demo --help` tells how to serve it.
"""

from __future__ import annotations

from demo.hosts import HOSTS, SEED_URL, Host, hosts, resolve_map

__all__ = ["HOSTS", "SEED_URL", "Host", "hosts", "resolve_map"]
