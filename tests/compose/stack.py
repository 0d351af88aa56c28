"""The real stack under a project name of its own, driven by the same commands that a person types."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[2]
#: Longest time one docker command may take, in seconds; building the image without a cache is the slowest.
COMMAND_S = 420


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(condition: Callable[[], Any], what: str, within_s: float, every_s: float = 0.3) -> Any:
    """Return the condition's first true value; AssertionError naming `what` when there is none in time."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {within_s:.0f} s: {what}"
        time.sleep(every_s)
    return value


@dataclass
class Stack:
    """One compose project. Settings are what a user would have in the environment."""

    project: str
    flower_port: int
    settings: dict[str, str] = field(default_factory=dict)
    files: Sequence[str] = ("docker-compose.yml",)

    def compose(
        self, *arguments: str, check: bool = True, timeout: float = COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run one `docker compose` command from the checkout, with nothing of this shell's settings."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CRAWL_", "FLOWER_"))
        }
        environment = {**kept, "FLOWER_PORT": str(self.flower_port), **self.settings}
        files = [word for name in self.files for word in ("-f", name)]
        done = subprocess.run(
            ["docker", "compose", "-p", self.project, *files, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            pytest_shows = (
                f"docker compose {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
            raise AssertionError(pytest_shows)
        return done

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Return what `docker inspect` knows about the project's containers, or about one service's."""
        ids = self.compose("ps", "-a", "-q", *([service] if service else [])).stdout.split()
        if not ids:
            return []
        found = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True)
        return json.loads(found.stdout)

    def up(self, *options: str) -> None:
        """`docker compose up`, in the background: returns when the producer was started."""
        self.compose("up", "-d", "--remove-orphans", *options)

    def producer_ends(self, within_s: float) -> tuple[int, str]:
        """Wait for the producer; return its exit code and what it printed."""

        def ended() -> dict[str, Any] | None:
            state = self.containers("producer")[0]["State"]
            return state if state["Status"] == "exited" else None

        try:
            state = wait_for(ended, "the producer ends", within_s, every_s=1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        return state["ExitCode"], self.logs("producer")

    def logs(self, *services: str) -> str:
        """Return the end of the logs of some services, or of all."""
        return self.compose("logs", "--no-color", "--no-log-prefix", "--tail", "400", *services).stdout

    def poolcrawl(self, *arguments: str) -> str:
        """Run one verb the way the README says, and return its stdout."""
        return self.compose("run", "--rm", "--no-deps", "-T", "producer", *arguments).stdout

    def audit(self) -> dict[str, Any]:
        """Return the audit of the newest crawl."""
        return json.loads(self.poolcrawl("audit", "--json").splitlines()[-1])

    def flower_password(self) -> str:
        return self.compose("exec", "-T", "flower", "cat", "/secrets/flower-password").stdout.strip()

    def down(self) -> None:
        """Remove everything of this project, volumes too."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)
