"""`python -m demo`: serve the demo site until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from demo.chance import DEFAULT_SEED
from demo.server import serving


def write_ports(path: Path, port: int, rough_port: int) -> None:
    """Write the ports and the process id as JSON, in one step: a reader sees all of it or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"port": port, "rough_port": rough_port, "pid": os.getpid()}) + "\n")
    draft.replace(path)


def stop_at_end_of(pipe: int, stop: asyncio.Event) -> None:
    """Set the event when the pipe's other end is closed; by a thread, as a pipe may be of any kind."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        try:
            while os.read(pipe, 4096):
                pass
        except OSError:
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="parent-pipe", daemon=True).start()


async def serve(ports_file: Path | None, parent_pipe: int | None, **options: Any) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent's pipe."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_pipe is not None:
        stop_at_end_of(parent_pipe, stop)
    async with serving(**options) as ports:
        if ports_file is not None:
            write_ports(ports_file, ports.port, ports.rough_port)
        await stop.wait()


def sentence(error: OSError, host: str, port: int, rough_port: int) -> str:
    """Return one line that names what could not be had, and the remedy."""
    if error.errno == errno.EADDRINUSE:
        return f"port in use on {host}: {port} or {rough_port}; stop what uses it, or give --port 0"
    if error.filename is not None:
        return f"cannot write {error.filename}: {error.strerror}; give another file"
    return f"cannot listen on {host}: {error.strerror}; give another --host or --port"


@click.command(epilog="Example: python -m demo --port 8000 --rough-port 8001 --latency 0")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the ordinary hosts; 0 takes a free one."
)
@click.option(
    "--rough-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the rough host; 0 takes a free one.",
)
@click.option(
    "--latency",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Times every latency; 0: none.",
)
@click.option(
    "--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Another seed is another site."
)
@click.option("--access-log", type=click.Path(path_type=Path), help="Append a JSON line per request.")
@click.option(
    "--ports-file", type=click.Path(path_type=Path), help="Written, as JSON, when the site listens."
)
@click.option("--parent-pipe", type=int, help="Stop when this file descriptor reaches its end.")
def main(
    host: str,
    port: int,
    rough_port: int,
    latency: float,
    seed: int,
    access_log: Path | None,
    ports_file: Path | None,
    parent_pipe: int | None,
) -> None:
    """Serve the demo site: alpha to delta and slow.demo.test on one port, rough.demo.test on another."""
    try:
        asyncio.run(
            serve(
                ports_file,
                parent_pipe,
                host=host,
                port=port,
                rough_port=rough_port,
                latency_scale=latency,
                access_log=access_log,
                seed=seed,
            )
        )
    except OSError as error:
        click.echo(f"demo: {sentence(error, host, port, rough_port)}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main(prog_name="python -m demo")
