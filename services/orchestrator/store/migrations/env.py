"""Alembic's entry: see services.runtime.migrate."""

from alembic import context

from services.runtime.migrate import run_env

run_env(context)
