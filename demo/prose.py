"""Words for the demo site: names of swimming pools that do not exist, and paragraphs about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo.chance import Dice

_PLACES = (
    "Alder", "Bramley", "Cotter", "Dunmore", "Elmstead", "Farrow", "Glenholt", "Harrow", "Ivel", "Juniper",
    "Kestrel", "Larkfield", "Marlow", "Northey", "Orchard", "Penrose", "Quarry", "Rushmere", "Saltram", "Tarn",
    "Underhill", "Verbena", "Wexcombe", "Yarrow",
)  # fmt: skip
_KINDS = ("Lido", "Baths", "Plunge", "Basin", "Sea Pool", "Swimming Hall", "Pond", "Springs")

_SENTENCES = {
    "en": (
        "{place} {kind} opened in {year} with {few} lanes and a bench for the lifeguard.",
        "The water comes from a spring under {place} and is {degrees} degrees warm from May to September.",
        "On a busy morning {many} people share {few} lanes; nobody waits long, since each has its own pace.",
        "Whoever swims slowly holds up only the lane they are in; that is why there are {few} of them.",
        "The keeper counts the swimmers in and out; both numbers have agreed every evening since {year}.",
        "In {year} the council of {place} voted for a second pool, and {many} people came to its first day.",
        "A brass plate by the {thing} says that the deep end is exactly {few} metres deep.",
        "The {thing} was moved twice, lost once, and found again behind the {other} in {year}.",
        "Regular visitors bring a {thing}; the rules ask them to take it home again.",
        "Between the {thing} and the {other} there is room for {many} towels, more if they are folded.",
        "Tickets are sold at the {thing} until half an hour before the gate closes.",
        "The clock over the {thing} runs {few} minutes ahead so that the last swimmers leave in time.",
        "Children learn here to float before they learn to swim, and to wait before they learn to dive.",
        "When the pump stops, the {other} stays still for {few} minutes, and one can see the tiles of {year}.",
        "The path from {place} leads past {few} gates and one {thing}, and takes about {many} minutes.",
        "No record of the first season exists, but the second one fills {many} pages.",
    ),
    "de": (
        "Das Freibad von {place} wurde {year} eröffnet und hat {few} Bahnen für geübte Schwimmer.",
        "Das Wasser ist im Sommer {degrees} Grad warm und kommt aus einer Quelle über der Straße.",
        "An schönen Tagen kommen {many} Gäste, und für jeden findet sich ein Platz auf der Wiese.",
        "Die Bademeisterin zählt morgens und abends; seit {year} stimmen beide Zahlen überein.",
        "Wer langsam schwimmt, hält nur die eigene Bahn auf, deshalb gibt es {few} davon.",
        "Der Weg von {place} führt über {few} Brücken und dauert höchstens {many} Minuten.",
    ),
    "fr": (
        "La piscine de {place} a ouvert ses portes en {year} avec {few} couloirs et un maître-nageur.",
        "L'eau vient d'une source voisine et garde {degrees} degrés de mai à septembre.",
        "Les jours de fête, {many} personnes se partagent {few} couloirs sans jamais se gêner.",
        "Depuis {year}, la gardienne compte les entrées et les sorties : les deux nombres sont égaux.",
        "Celui qui nage lentement ne retarde que son propre couloir, voilà pourquoi il y en a {few}.",
        "Le chemin de {place} passe par {few} portes et demande environ {many} minutes de marche.",
    ),
}  # fmt: skip
_THINGS = (
    "ladder",
    "springboard",
    "gate",
    "lantern",
    "bell",
    "towel rail",
    "ticket window",
    "clock",
    "buoy",
    "valve",
)


def pool_name(dice: Dice) -> str:
    """Return the name of a pool, such as `Marlow Sea Pool`."""
    return f"{dice.choose(_PLACES)} {dice.choose(_KINDS)}"


def sentence(dice: Dice, lang: str = "en") -> str:
    """Return one sentence in English, German or French."""
    return dice.choose(_SENTENCES[lang]).format(
        place=dice.choose(_PLACES),
        kind=dice.choose(_KINDS).lower(),
        year=dice.between(1871, 1989),
        few=dice.between(2, 9),
        many=dice.between(12, 480),
        degrees=dice.between(16, 28),
        thing=dice.choose(_THINGS),
        other=dice.choose(_THINGS),
    )


def paragraphs(dice: Dice, count: int, lang: str = "en") -> list[str]:
    """Return paragraphs of three to seven sentences, about 400 bytes each."""
    return [" ".join(sentence(dice, lang) for _ in range(dice.between(3, 7))) for _ in range(count)]
