"""Logs: structlog for us, and the same shape for the libraries that use the standard library's logging."""

import logging
import sys
from typing import Any, Literal

import structlog

Format = Literal["auto", "console", "json", "logfmt"]


def set_up(level: str, form: Format) -> None:
    """Log to standard error. `auto` is for people on a terminal and logfmt elsewhere."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiokafka", "uvicorn.access", "aiosqlite", "alembic", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel("ERROR")


def _renderer(form: Format) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer()
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.LogfmtRenderer(key_order=["ts", "level", "event"], bool_as_flag=False)
