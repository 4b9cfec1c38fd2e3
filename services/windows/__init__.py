"""Times that come once or again and again, by the clock on a wall: read, and asked whether a moment lies within.

An occurrence begins when the zone's clocks show its time, on each of its dates, through summer and winter; it then lasts for so
much elapsed time. Nothing here imports anything of ours.
"""

from services.windows.errors import WindowError
from services.windows.window import Window
from services.windows.zones import moment_of, zone_of

__all__ = ["Window", "WindowError", "moment_of", "zone_of"]
