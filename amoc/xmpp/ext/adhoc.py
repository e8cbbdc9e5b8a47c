"""Ad-hoc commands, XEP-0050 1.3: what a server or another client lets users do, step by step, by forms.

    for command in await adhoc.commands(client, "localhost"):
        print(command.node, command.name)

    stage = await adhoc.execute(client, "localhost", command.node)
    while stage.status == "executing":
        print(stage.form)
        stage = await adhoc.proceed(client, stage, {"name": "crow"})      # or adhoc.cancel(client, stage)
    print(stage.notes, stage.form)                     # a table: stage.form.columns, stage.form.rows

What is refused in terms of this extension (section 4.4) raises CommandError, an IqError whose `detail` is bad-action,
bad-sessionid, session-expired, …
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import IqError
from amoc.xmpp.ext import disco, forms
from amoc.xmpp.ext.forms import Form, Value
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, names_user

__all__ = [
    "NS",
    "Action",
    "CommandError",
    "Note",
    "Stage",
    "Status",
    "cancel",
    "commands",
    "execute",
    "parse",
    "proceed",
]

NS = "http://jabber.org/protocol/commands"

Status = Literal["executing", "completed", "canceled"]
Action = Literal["execute", "next", "prev", "complete", "cancel"]
_ACTIONS = ("prev", "next", "complete")


class CommandError(IqError):
    """A refusal in the extension's own terms: `detail`."""

    def __init__(self, error: IqError, detail: str) -> None:
        super().__init__(error.stanza, error.asked)
        self.detail = detail

    def what(self) -> str:  # noqa: D102 - inherited
        return f"{super().what()}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Note:
    """A remark to the user; `type` is info, warn or error."""

    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a command has come. While it is "executing", `form` asks, and one of `actions` answers.

    `default` is the action that `proceed` takes unless told otherwise. `element` is the answer as it came.
    """

    to: str | None
    node: str
    session_id: str
    status: Status
    form: Form | None
    notes: tuple[Note, ...]
    actions: tuple[str, ...]
    default: str
    element: Element


@names_user
async def commands(session: Session, to: str, *, timeout: float | None = None) -> tuple[disco.Item, ...]:
    """The commands that `to` offers to this user: `node` is for `execute`, `name` for people.

    Raises IqError, IqTimeout, BadAnswer.
    """
    return await disco.items(session, to, NS, timeout=timeout)


@names_user
async def execute(session: Session, to: str | None, node: str, *, timeout: float | None = None) -> Stage:
    """Start a command. Raises IqError (forbidden, item-not-found, …), CommandError, IqTimeout, BadAnswer."""
    return await _ask(session, to, Element(f"{{{NS}}}command", {"node": node, "action": "execute"}), timeout)


@names_user
async def proceed(
    session: Session,
    stage: Stage,
    values: Mapping[str, Value] | None = None,
    action: Action | None = None,
    *,
    timeout: float | None = None,
) -> Stage:
    """Answer the form of this stage, and take the default action, or another one of `stage.actions`.

    Raises ValueError when the command is over, IqError, CommandError, IqTimeout, BadAnswer.
    """
    if stage.status != "executing":
        raise ValueError(f"the command {stage.node} is {stage.status}: there is nothing to answer")
    command = Element(
        f"{{{NS}}}command", {"node": stage.node, "sessionid": stage.session_id, "action": action or stage.default}
    )
    if values is not None:
        command.add(forms.submit(values, stage.form.form_type if stage.form is not None else ""))
    return await _ask(session, stage.to, command, timeout)


@names_user
async def cancel(session: Session, stage: Stage, *, timeout: float | None = None) -> Stage:
    """End a command before it is completed. Raises as `proceed`."""
    return await proceed(session, stage, action="cancel", timeout=timeout)


def parse(answer: Element, to: str | None = None) -> Stage:
    """The stage that an iq tells of. Raises BadAnswer."""
    command = child_of(answer, "command", NS)
    status = command.get("status", "")
    if status not in ("executing", "completed", "canceled"):
        raise BadAnswer(answer, f"a command whose status is {status!r}")
    offered = command.find("actions", NS)
    actions = tuple(name for name in _ACTIONS if offered is not None and offered.find(name) is not None)
    default = offered.get("execute", "") if offered is not None else ""
    return Stage(
        to=to,
        node=command.get("node", ""),
        session_id=command.get("sessionid", ""),
        status=status,  # type: ignore[arg-type]  # checked above
        form=forms.find(command),
        notes=tuple(Note(note.get("type", "info"), note.text) for note in command.find_all("note")),
        actions=actions,
        default=default or ("execute" if offered is None else "next" if "next" in actions else "complete"),
        element=command,
    )


async def _ask(session: Session, to: str | None, command: Element, timeout: float | None) -> Stage:
    try:
        return parse(await session.iq("set", to, command, timeout=timeout), to)
    except IqError as error:
        detail = next((child for child in error.stanza.find("error") or () if child.ns == NS), None)
        if detail is None:
            raise
        raise CommandError(error, detail.name) from None
