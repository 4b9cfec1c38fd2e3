"""Python's collector, told to look rarely."""

import gc


def collect_rarely() -> None:
    """Batches make many objects and hardly a cycle: with Python's own thresholds a sixth of a storm is spent looking for some."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
