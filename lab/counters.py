"""What clients sent to Redis, apart from what scripts called.

`total_commands_processed`, `commandstats`, the slow log and CLIENT LIST's `tot-cmds` all count the calls inside
scripts too (seen on Valkey 9.1). MONITOR tells them apart but formats every command, script calls included, which
would load the very server that is measured. Valkey's command log of large requests is exact and nearly free: it judges
the bytes that arrived over the network, of which a call inside a script has none. With a threshold of one byte and
room for one entry, the id of its newest entry counts client commands, also those of clients that have gone. Commands
flagged as unfit for the log (EXEC, AUTH) are added from commandstats. Redis itself has no such log, so there the
figure is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis import ResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

#: Commands that the command log leaves out by their flag, and that scripts cannot call.
UNLOGGED = ("cmdstat_exec", "cmdstat_auth")
#: Commands that one `read` sends itself and that are inside the next difference.
OWN_COMMANDS = 2


@dataclass(frozen=True)
class Counters:
    """One reading, cumulative since the server started; `sent` is None where the server cannot tell."""

    sent: int | None
    processed: int
    memory_bytes: int
    peak_bytes: int
    #: Bytes received and sent over the network.
    net_bytes: int = 0


@dataclass(frozen=True)
class Traffic:
    """What lies between two readings, the readings' own commands taken out."""

    sent: int | None
    in_scripts: int | None
    #: Bytes, among them one reading of about 8 kB.
    net_bytes: int = 0


def watch(redis: Redis) -> None:
    """Switch the counting on. Only for a server of our own: it changes the server's configuration."""
    try:
        redis.config_set("commandlog-large-request-max-len", 1)
        redis.config_set("commandlog-request-larger-than", 1)
    except ResponseError:
        return


def read(redis: Redis) -> Counters:
    """Read the counters, in OWN_COMMANDS commands."""
    info = redis.info("all")
    return Counters(
        sent=_logged(redis, info),
        processed=int(info["total_commands_processed"]),
        memory_bytes=int(info["used_memory"]),
        peak_bytes=int(info["used_memory_peak"]),
        net_bytes=int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"]),
    )


def between(before: Counters, after: Counters) -> Traffic:
    """The commands of the span between two readings."""
    net_bytes = after.net_bytes - before.net_bytes
    if before.sent is None or after.sent is None:
        return Traffic(None, None, net_bytes)
    sent = after.sent - before.sent - OWN_COMMANDS
    return Traffic(sent, after.processed - before.processed - OWN_COMMANDS - sent, net_bytes)


def _logged(redis: Redis, info: Mapping[str, Any]) -> int | None:
    try:
        entries = redis.execute_command("COMMANDLOG", "GET", "1", "large-request")
    except ResponseError:
        return None
    unlogged = sum(int(info[name]["calls"]) for name in UNLOGGED if name in info)
    return int(entries[0][0]) + 1 + unlogged if entries else None
