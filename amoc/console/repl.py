# IPython annotates only parts of itself:
# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""The shell that people type at: IPython with amoc's names, a line per event above the prompt.

Runs in the console's process; everything it does to a test goes through its session to the node.
"""

import builtins
import difflib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.prompts import RichPromptDisplayHook
from traitlets import Type
from traitlets.config import Config

from amoc.console.completion import Names
from amoc.console.lines import clean, console_line
from amoc.console.names import Scenario, groups, is_free
from amoc.console.node_dir import NodeDir
from amoc.console.screen import Screen
from amoc.console.session import Session
from amoc.errors import AmocError

if TYPE_CHECKING:
    from amoc.operations import Operation

__all__ = ["Repl"]

# States of a node in which leaving its console costs somebody a test.
BUSY = ("starting", "running", "terminating")


class Repl:
    """The console's shell. `tell` shows an event; give it to the session, then `run` with that session."""

    def __init__(self, node_dir: NodeDir) -> None:
        self._node_dir = node_dir
        self._screen = Screen()
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def tell(self, event: Mapping[str, Any]) -> None:
        """Show an event as a line above the prompt; from any thread."""
        self._screen.show(console_line(event, colour=self._colour))

    def run(self, session: Session, table: Mapping[str, "Operation"], *, owner: bool) -> None:
        """Show the banner and the prompt until the operator leaves; does not end the session."""
        shell = _Shell.instance(config=_settings(self._node_dir), ipython_dir=str(self._node_dir.path / "ipython"))
        shell.screen = self._screen
        if owner and sys.stdin.isatty():
            shell.may_leave = lambda: _may_leave(shell, session)
        shell.set_custom_exc((AmocError, KeyboardInterrupt, NameError), self._show_error)
        shell.push(groups(table, session.call) | {"help": _help}, interactive=False)
        scenarios = _Scenarios(shell, session)
        scenarios.refresh()
        shell.events.register("pre_run_cell", scenarios.refresh)
        shell.Completer.custom_matchers.append(_matcher(Names(table, session.call)))
        print(_banner(session, scenarios.shown, sorted(f"amoc_{op.group}" for op in table.values())))
        shell.mainloop()

    def _show_error(
        self, shell: TerminalInteractiveShell, kind: Any, error: BaseException, trace: Any, tb_offset: Any = None
    ) -> None:
        """What an operator can do something about is one line; the rest keeps its traceback."""
        if isinstance(error, AmocError):
            text = str(error)
        elif isinstance(error, KeyboardInterrupt):
            text = "interrupted; what the node was asked already, it does"
        elif trace.tb_next is not None and trace.tb_next.tb_next is not None:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
            return
        else:  # a name that is misspelt in the line itself
            text = f"{error}{_did_you_mean(error, shell.user_ns)}"
        with self._screen.held():
            print(f"\x1b[31m{clean(text)}\x1b[0m" if self._colour else clean(text))


class _Replies(RichPromptDisplayHook):
    """Shows a reply in one piece: `Out[1]: ` and the reply itself are written one after the other."""

    def __call__(self, result: Any = None) -> None:
        with self.shell.screen.held() if self.shell else nullcontext():
            super().__call__(result)


class _Shell(TerminalInteractiveShell):
    """IPython that shares its terminal with a Screen and asks before it is left."""

    displayhook_class = Type(_Replies)
    screen: Screen
    may_leave: Callable[[], bool] = staticmethod(lambda: True)

    def prompt_for_code(self) -> str:
        """One input of the operator."""
        with self.screen.prompting(self.pt_app.app) if self.pt_app else nullcontext():
            text: str = super().prompt_for_code()
        return text

    def ask_exit(self) -> None:
        """Leave the shell, if nothing speaks against it (Ctrl+D, exit, quit)."""
        if self.may_leave():
            super().ask_exit()


class _Scenarios:
    """Keeps the names of all scenarios in the shell's namespace."""

    def __init__(self, shell: TerminalInteractiveShell, session: Session) -> None:
        self._shell = shell
        self._session = session
        self.shown: list[str] = []

    def refresh(self, *_: Any) -> None:
        """Add new scenarios, forget removed ones; leave everything else that the operator named alone."""
        if not self._session.alive:
            return
        try:
            known = self._session.call("scenarios.list")
        except AmocError:
            return
        names = self._shell.user_ns
        for gone in [name for name, value in names.items() if isinstance(value, Scenario) and name not in known]:
            del names[gone]
        free = [name for name in known if isinstance(names.get(name), Scenario) or is_free(name, names)]
        call, group = self._session.call, _group(self._session)
        new = {name: Scenario(name, call, group) for name in free if name not in names}
        self._shell.push(new, interactive=False)
        self.shown = free


def _settings(node_dir: NodeDir) -> Config:
    config = Config()
    config.HistoryManager.hist_file = str(node_dir.path / "history")
    config.TerminalInteractiveShell.confirm_exit = False  # `_Shell.ask_exit` asks when there is a reason
    config.TerminalInteractiveShell.term_title_format = "amoc {cwd}"
    if os.environ.get("NO_COLOR"):
        config.TerminalInteractiveShell.colors = "nocolor"
    return config


def _may_leave(shell: _Shell, session: Session) -> bool:
    """Ask, if a test would end. A node that cannot be asked has no test to lose."""
    if not session.alive:
        return True
    try:
        state = session.call("node.status")["state"]
    except AmocError:
        return True
    if state not in BUSY:
        return True
    with shell.screen.held():
        try:
            return input("leave and end the test? [y/N] ").strip().lower() in ("y", "yes")
        except KeyboardInterrupt:
            return False
        except EOFError:
            print()
            return not sys.stdin.isatty()  # the terminal is gone: nobody will ever answer


def _matcher(names: Names) -> Any:
    @context_matcher(identifier="amoc names")
    def match(context: CompletionContext) -> SimpleMatcherResult:
        found = names.matches(context.text_until_cursor)
        # At a setting's place nothing else is meant: Python's names would only be in the way.
        return {"completions": [SimpleCompletion(text=name, type="param") for name in found], "suppress": bool(found)}

    return match


def _did_you_mean(error: BaseException, names: Mapping[str, Any]) -> str:
    wrong = getattr(error, "name", None)
    close = difflib.get_close_matches(wrong, [name for name in names if not name.startswith("_")], 1) if wrong else []
    return f"; did you mean {close[0]!r}?" if close else ""


def _help(*subjects: Any) -> None:
    """Show the documentation of anything; of a scenario, what it does and what can be set."""
    if len(subjects) == 1 and isinstance(subjects[0], Scenario):
        print(subjects[0].getdoc())
    else:
        builtins.help(*subjects)


def _group(session: Session) -> str:
    """What tests are run with at this node."""
    return "amoc_dist" if session.connected().hello.role == "master" else "amoc_local"


def _banner(session: Session, scenarios: list[str], names: list[str]) -> str:
    hello, group = session.connected().hello, _group(session)
    role = {"local": "node", "master": "master", "slave": f"slave {hello.node}"}.get(hello.role, hello.role)
    lines = [
        f"amoc {hello.version}: {role} in {session.node_dir.path}, pid {hello.pid}",
        f"Objects:   {', '.join(dict.fromkeys(names))} (help: {group}.do?)",
        f"Scenarios: {', '.join(scenarios) or 'none yet; amoc scenarios new NAME makes one'}",
    ]
    if hello.role == "slave":
        lines[1:] = ["Tests are run from its master; here: amoc_node.status()    Leave: Ctrl+D"]
    elif scenarios:
        lines.append(f"Start one: {group}.do({scenarios[0]}, 1, 10)    Leave: Ctrl+D")
    return "\n".join(lines)
