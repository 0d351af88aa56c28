"""The colours and marks of pools and phases: the same one everywhere, told apart without colour too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ink:
    """A colour on light and on dark paper; `name` is its CSS variable."""

    name: str
    light: str
    dark: str


@dataclass(frozen=True)
class Look:
    """How a pool is drawn: colour, matplotlib's marker, and the same mark as a character for legends in text."""

    ink: Ink
    marker: str
    mark: str


TEXT = Ink("text", "#1d2430", "#e6e9ee")
QUIET = Ink("quiet", "#5b6472", "#a3adba")
GRID = Ink("grid", "#d9dde3", "#39414d")
PAPER = Ink("paper", "#fffffe", "#161a21")
BAD = Ink("bad", "#b3261e", "#ff8a80")

#: Okabe and Ito's colours, which the common kinds of colour blindness keep apart, a shade darker on white for text.
POOLS = {
    "prefork": Look(Ink("prefork", "#0067a9", "#5ab4f0"), "o", "●"),
    "threads": Look(Ink("threads", "#b84a00", "#ff9248"), "s", "■"),
    "gevent": Look(Ink("gevent", "#00805c", "#35c99b"), "^", "▲"),
    "solo": Look(Ink("solo", "#6d6459", "#b8aea2"), "D", "◆"),
    "asyncio": Look(Ink("asyncio", "#a8407f", "#ea94c8"), "v", "▼"),
}
#: For a pool that is not in the table.
_OTHER = Look(Ink("other", "#806c00", "#d8c24a"), "P", "✚")

WAITING = Ink("waiting", "#e7eaee", "#262d37")
FETCHING = Ink("fetching", "#8dbbe0", "#3f7099")
PARSING = Ink("parsing", "#e08a00", "#ffb02e")
#: A parse that waits for its turn on the interpreter.
TURN = Ink("turn", "#fbe3bb", "#5a4826")
TURN_LINE = Ink("turn-line", "#d9a24d", "#9c7a3c")

#: A fetch that cannot go on because another slot of its worker parses.
HELD = Ink("held", "#d3e2f0", "#26384a")
HELD_LINE = Ink("held-line", "#9dbbd8", "#4d6f90")

INKS = (
    TEXT, QUIET, GRID, PAPER, BAD, WAITING, FETCHING, PARSING, TURN, TURN_LINE, HELD, HELD_LINE,
    *(each.ink for each in (*POOLS.values(), _OTHER)),
)  # fmt: skip


def look(pool: str) -> Look:
    """Return how a pool is drawn."""
    return POOLS.get(pool, _OTHER)


def looks() -> tuple[Look, ...]:
    """Return every way a pool may be drawn."""
    return (*POOLS.values(), _OTHER)
