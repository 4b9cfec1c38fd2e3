"""Run by Alembic for each migration."""

from alembic import context

from services.runtime.migrate import run_env

run_env(context)
