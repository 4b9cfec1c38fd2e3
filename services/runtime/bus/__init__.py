"""The message bus: one contract (`port`), two implementations (`kafka`, `sqlite`), one reading loop (`consume`)."""
