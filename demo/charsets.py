"""Pages in other character encodings, each with one way of saying which."""

from __future__ import annotations

from typing import NamedTuple


class Encoded(NamedTuple):
    """One page: Python's codec for its bytes, what the header says, and the markup that declares it.

    The HTML standard's order decides: byte order mark, header, meta, in that order. So `title` is what a
    reader must see.
    """

    path: str
    codec: str
    content_type: str
    head: str
    lang: str
    title: str
    text: str
    how: str


_CHINESE = "游泳池每天早上六点开放。每条泳道都有自己的速度，慢的人不会挡住快的人。"
_JAPANESE = "プールは毎朝六時に開きます。遅い人は自分のレーンだけを使います。"
_RUSSIAN = "Бассейн открывается каждый день в шесть утра. Медленный пловец занимает только свою дорожку."
_POLISH = (
    "Basen otwiera się codziennie o szóstej rano. Kto pływa wolno, zajmuje tylko swój tor, żółty albo różowy."
)
_GREEK = "Η πισίνα ανοίγει κάθε πρωί στις έξι. Όποιος κολυμπά αργά κρατά μόνο τη δική του διαδρομή."

PAGES = (
    Encoded("/charset/gb18030", "gb18030", "text/html; charset=gb18030", "", "zh",
            "游泳池：四条泳道", _CHINESE, "GB18030, declared in the header"),
    Encoded("/charset/gbk-meta", "gbk", "text/html", '<meta charset="gbk">', "zh",
            "游泳池的清晨", _CHINESE, "GBK, declared in a meta element only"),
    Encoded("/charset/shift_jis", "shift_jis", "text/html; charset=Shift_JIS", "", "ja",
            "朝のプール", _JAPANESE, "Shift_JIS, declared in the header"),
    Encoded("/charset/windows-1251", "cp1251", "text/html; charset=windows-1251", "", "ru",
            "Бассейн у реки", _RUSSIAN, "windows-1251, declared in the header"),
    Encoded("/charset/utf-16-bom", "utf-16-le", "text/html", "", "el",
            "Η πισίνα το πρωί", _GREEK, "UTF-16, declared by its byte order mark only"),
    Encoded("/charset/meta-only", "iso8859_2", "text/html",
            '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">', "pl",
            "Żółta pływalnia", _POLISH, "ISO 8859-2, declared by http-equiv only"),
    Encoded("/charset/lie", "cp1251", "text/html; charset=windows-1251", '<meta charset="utf-8">', "ru",
            "Заголовок прав", _RUSSIAN, "windows-1251 by header, UTF-8 by meta: the header wins"),
)  # fmt: skip


def encode(markup: str, entry: Encoded) -> bytes:
    """Return the page's bytes, with a byte order mark where that is the declaration."""
    mark = "\ufeff" if entry.codec == "utf-16-le" else ""
    return (mark + markup).encode(entry.codec)
