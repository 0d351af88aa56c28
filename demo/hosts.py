"""The demo site's hosts, and how their names map to a server's address."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["ordinary", "rough"]

#: Where the demo crawl starts; every page of the site is reachable from here.
SEED_URL = "http://alpha.demo.test/"

#: Ports in the site's URLs. A server may listen elsewhere (`resolve_map`); the pages' bytes never say where.
ORDINARY_PORT = 80
ROUGH_PORT = 8080


class Host(NamedTuple):
    """One host of the site: the port in its URLs, and which of the two servers answers for it."""

    name: str
    port: int
    kind: Kind

    @property
    def origin(self) -> str:
        """Scheme, host and port as canonical URLs have it: no default port."""
        return f"http://{self.name}" if self.port == ORDINARY_PORT else f"http://{self.name}:{self.port}"


ALPHA = Host("alpha.demo.test", ORDINARY_PORT, "ordinary")
BETA = Host("beta.demo.test", ORDINARY_PORT, "ordinary")
GAMMA = Host("gamma.demo.test", ORDINARY_PORT, "ordinary")
DELTA = Host("delta.demo.test", ORDINARY_PORT, "ordinary")
SLOW = Host("slow.demo.test", ORDINARY_PORT, "ordinary")
ROUGH = Host("rough.demo.test", ROUGH_PORT, "rough")

HOSTS = (ALPHA, BETA, GAMMA, DELTA, SLOW, ROUGH)


def hosts() -> tuple[Host, ...]:
    """Return every host of the site."""
    return HOSTS


def resolve_map(port: int, rough_port: int, address: str = "127.0.0.1") -> list[str]:
    """Return `NAME:PORT=ADDRESS:PORT` for each host of a site that listens on these two ports."""
    ports: dict[Kind, int] = {"ordinary": port, "rough": rough_port}
    return [f"{host.name}:{host.port}={address}:{ports[host.kind]}" for host in HOSTS]
