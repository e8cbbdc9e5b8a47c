"""Every operation an operator has, declared once: name, parameters, documentation, handler.

Runs in the node process, whichever its role: `local.*` on a local node, `dist.*` on a master, the others on both. The
console's functions, the command line and, later, the REST routes and the manual are derived from `TABLE`; none of
them has a list of its own.
May import: cluster, launch, report, scenario.
"""

from amoc.operations import config, dist, local, node, scenarios  # noqa: F401 - importing declares
from amoc.operations.context import Context, Events, Role
from amoc.operations.operation import TABLE, Operation, Parameter, call

__all__ = ["TABLE", "Context", "Events", "Operation", "Parameter", "Role", "call"]
