"""What a scenario is, how it is found, checked and loaded.

`Store` finds and creates scenarios, `inspect` tries one in a child process (master and command line),
`load` executes one in the process that runs it (workers). May import: config.

Inside: `contract` (callbacks and their arguments), `loader`, `inspector` and `child` (the check), `source`
(what can be told from the text alone), `requirements` (PEP 723), `store`, `template`; helper modules: `imports` and
`bundle` (which go with a scenario), `folder` (their files), `modules` (importing them).
"""

from amoc.scenario.contract import Info, Scenario, SettingInfo, Source
from amoc.scenario.errors import ScenarioError
from amoc.scenario.inspector import inspect
from amoc.scenario.loader import load
from amoc.scenario.store import Store

__all__ = ["Info", "Scenario", "ScenarioError", "SettingInfo", "Source", "Store", "inspect", "load"]
