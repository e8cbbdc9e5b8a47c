"""The controlling machine's part of the module amoc_host: how far the host's clock is off.

As NTP does it (RFC 5905, section 8), with the four times of one exchange; the error is at most half of its length.
"""

import time

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Run the module between two looks at the clock."""

    def run(self, tmp=None, task_vars=None):
        """The module's result with `clock_offset` (seconds, positive if the host is ahead) and `clock_error`."""
        super().run(tmp, task_vars)
        sent = time.time()
        result = self._execute_module(task_vars=task_vars)
        received = time.time()
        if "started" in result:
            there, back = result["started"] - sent, result["ended"] - received
            result["clock_offset"] = round((there + back) / 2, 3)
            result["clock_error"] = round((there - back) / 2, 3)
        return result
