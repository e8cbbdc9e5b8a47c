"""The users of one worker: when each starts, how it lives, repeats and ends, and what its failures were.

Runs in every worker process. May import: scenario, throttle, coordinator, metrics, config.
"""

from amoc.scenario import Source
from amoc.users.arrival import Arrival, Leg
from amoc.users.crowd import LATENESS, Crowd, Tally
from amoc.users.errors import ErrorLog, Failure, one_line, traceback_text, well_formed
from amoc.users.session import Session, setup_data

__all__ = [
    "LATENESS",
    "Arrival",
    "Crowd",
    "ErrorLog",
    "Failure",
    "Leg",
    "Session",
    "Source",
    "Tally",
    "one_line",
    "setup_data",
    "traceback_text",
    "well_formed",
]
