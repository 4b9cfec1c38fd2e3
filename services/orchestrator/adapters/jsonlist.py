"""A long JSON list, taken apart while it arrives: only the item that is still incomplete is kept."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

LARGEST_ITEM = 1024 * 1024
"""Characters."""

_GAP = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


class JsonList:
    """Fed with the bytes of a list of objects; ValueError as soon as they are none."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._rest = ""
        self._begun = self._over = False

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The items that this piece completes."""
        text, at = self._rest + self._decode(piece), 0
        while (at := self._next(text, at)) < len(text):
            try:
                item, at = _DECODER.raw_decode(text, at)
            except json.JSONDecodeError:
                if len(text) - at > LARGEST_ITEM:
                    raise ValueError("one item has more than a million characters, or is broken") from None
                break
            except RecursionError:
                raise ValueError("one item is nested too deeply") from None
            yield item
        self._rest = text[at:]

    def end(self) -> None:
        """Nothing comes after this."""
        if not self._over:
            raise ValueError("it ends too early")

    def _next(self, text: str, at: int) -> int:
        """Where the next item begins; at the end of the text when none has arrived."""
        at = _after_gap(text, at)
        if not self._begun and at < len(text):
            if text[at] != "[":
                raise ValueError("it does not begin with [")
            self._begun, at = True, _after_gap(text, at + 1)
        if self._over or at == len(text):
            return len(text)
        if text[at] == "]":
            self._over = True
            return len(text)
        if text[at] != "{":
            raise ValueError("an item is no object")
        return at


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at
