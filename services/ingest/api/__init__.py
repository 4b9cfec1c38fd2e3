"""The webhooks over HTTP: plain ASGI, since a framework's request object costs more than all our own work on it."""
