"""What Slack refuses of a message, by the limits of slack_sdk's models and sizes reported in slackapi/bolt-js#2509."""

import json
from typing import Any

TEXT, SECTION, HEADER, FIELDS, FIELD, ELEMENTS, BLOCKS, TOTAL = 40_000, 3000, 150, 10, 2000, 10, 50, 13_200


class Refused(Exception):
    """Answered as `{"ok": false, "error": word}`."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def check_message(args: dict[str, Any]) -> None:
    """Raises `Refused` for a message that Slack would not take."""
    text, blocks = args.get("text") or "", args.get("blocks") or []
    if not text and not blocks:
        raise Refused("no_text")
    if len(text) > TEXT:
        raise Refused("msg_too_long")
    _demand(isinstance(blocks, list) and len(blocks) <= BLOCKS)
    for block in blocks:
        _demand(isinstance(block, dict))
        _check_block(block)
    if len(json.dumps(blocks, ensure_ascii=False)) > TOTAL:
        raise Refused("msg_blocks_too_long")
    _check_metadata(args.get("metadata"))


def _demand(fine: bool, word: str = "invalid_blocks") -> None:
    if not fine:
        raise Refused(word)


def _check_block(block: dict[str, Any]) -> None:
    match block:
        case {"type": "header", "text": {"type": "plain_text"} as text}:
            _check_text(text, HEADER)
        case {"type": "section", **rest}:
            _check_section(rest)
        case {"type": "context", "elements": [_, *_] as elements} if len(elements) <= ELEMENTS:
            for element in elements:
                _check_text(element, SECTION)
        case {"type": "divider"}:
            pass
        case _:
            raise Refused("invalid_blocks")


def _check_section(section: dict[str, Any]) -> None:
    fields = section.get("fields", [])
    _demand(bool("text" in section or fields) and len(fields) <= FIELDS)
    if "text" in section:
        _check_text(section["text"], SECTION)
    for field in fields:
        _check_text(field, FIELD)


def _check_text(text: Any, limit: int) -> None:
    """Sizes in UTF-16 units, the strictest way to count."""
    match text:
        case {"type": "plain_text", "text": str(words), **rest}:
            _demand(rest.keys() <= {"emoji"})
        case {"type": "mrkdwn", "text": str(words), **rest}:
            _demand(rest.keys() <= {"verbatim"})
        case _:
            raise Refused("invalid_blocks")
    _demand(0 < len(words.encode("utf-16-le", "surrogatepass")) // 2 <= limit)


def _check_metadata(metadata: Any) -> None:
    match metadata:
        case None | {"event_type": str(), "event_payload": dict()}:
            return
    raise Refused("invalid_metadata_format")
