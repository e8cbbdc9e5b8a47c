"""At the end of a run, a line for each host that failed: what is wrong with it and what to do.

Ansible shows failures where they happen, among what other hosts do, and some of them say nothing that helps. Shown
by the runs of this project's playbooks because ansible.cfg enables it.
"""

import re
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: remedies
type: aggregate
short_description: what went wrong on which host, and what to do
description: A line for each host that failed or could not be reached, after the recap.
requirements: [to be enabled in ansible.cfg]
"""

# What is searched for in Ansible's words, and what we say after them.
REMEDIES = (
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "compare the host's key on the machine itself, then `ssh NAME` once; for a machine made anew "
        "`ssh-keygen -R NAME` first",
    ),
    (
        r"Permission denied \(|Authentication fail|Invalid/incorrect password|Incorrect password for",
        "ssh does not let you in: ARGS=--ask-pass for a password, ARGS='--private-key FILE' for a key, ansible_user in "
        "hosts for another user",
    ),
    (r"sshpass", "to give a password, install sshpass (on Debian: apt-get install sshpass)"),
    (
        r"[Mm]issing sudo password|sudo: a password is required|waiting for privilege escalation",
        "sudo wants a password: ARGS=--ask-become-pass",
    ),
    (
        r"not in the sudoers file|is not allowed to (?:run sudo|execute)",
        "this user may not sudo there: ansible_user in hosts names another",
    ),
    (
        r"Could not resolve hostname|Name or service not known",
        "there is no such host: correct its name in hosts, or add ansible_host=ADDRESS",
    ),
    (
        r"No route to host|Connection refused|Network is unreachable|Connection (?:closed|reset)|"
        r"Shared connection .* closed|[Tt]imed out|Broken pipe",
        "is it on, and its sshd? When it is back, run the same again; nothing need be undone",
    ),
    (
        r"python\S*: (?:(?:command )?not found|Permission denied|No such file)|"
        r"module interpreter .* was not found|interpreter .* not found",
        "there is no Python on it: run make prepare, which installs one",
    ),
    (r"No space left on device|\[Errno 28\]|Disk quota exceeded", "make room on its disk and run the same again"),
    (r"Read-only file system", "its disk cannot be written"),
)


class CallbackModule(CallbackBase):
    """Remembers each host's first failure, says them all at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "remedies"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failures = {}

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed."""
        if not ignore_errors:
            self._remember(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host could not be reached."""
        self._remember(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end of the run."""
        for host, said in sorted(self._failures.items()):
            self._display.display(f"{host}: {said}", color="red", stderr=True)

    def _remember(self, result: Any) -> None:
        found = getattr(result, "result", None) or result._result
        self._failures.setdefault(
            result.host.get_name() if hasattr(result, "host") else result._host.get_name(), explain(found)
        )


def explain(result: dict[str, Any]) -> str:
    """A failed result in one line: what Ansible says, and what to do about it if we know."""
    loop = [item for item in result.get("results", []) if isinstance(item, dict) and item.get("failed")]
    if loop:
        result = loop[0]
    texts = [str(result.get(key) or "") for key in ("msg", "stderr", "module_stderr", "exception", "stdout")]
    everything = "\n".join(texts)
    what = next((text for text in texts if text.strip()), "it failed")
    said = (texts[1] or texts[2]).strip()
    if said and re.match(r"(?:Task failed: )?(?:non-zero return code|Module failed|Module result deser)", what):
        what = said.splitlines()[-1]
    for pattern, remedy in REMEDIES:
        if re.search(pattern, everything):
            return f"{_one_line(what)}: {remedy}"
    return _one_line(what)


def _one_line(text: str) -> str:
    text = " ".join(text.split()).rstrip(". ")
    return re.sub(r"^(?:Task failed: )+", "", text)
