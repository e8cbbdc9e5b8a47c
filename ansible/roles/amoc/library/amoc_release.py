#!/usr/bin/python
"""Ansible module: a release on a host: installed, in use, started, rolled back, removed. As the service user."""

DOCUMENTATION = r"""
module: amoc_release
short_description: Manage the versions of an amoc node
description: Puts a release beside those that are there, switches to one, starts and stops the node, removes it all.
options:
  state:
    description: >-
      C(installed): the release is there, complete. C(current): it is in use; a node that runs another one is stopped by
      its own command first. C(back): an earlier one is in use again. C(started): a node runs in the background.
      C(stopped): none does. C(absent): nothing of it is left.
    type: str
    required: true
    choices: [installed, current, back, started, stopped, absent]
  role: {description: Whose directory it is., type: str, required: true, choices: [master, slave]}
  user: {description: The service user., type: str, required: true}
  install_dir: {description: Where amoc is installed., type: path, required: true}
  release: {description: Id of the release., type: str, default: ""}
  archive: {description: The archive on the host, removed when it is unpacked., type: path}
  python: {description: Of which Python its environment is made., type: path, default: ""}
  keep: {description: How many earlier versions are kept., type: int, default: 2}
  watched:
    description: Further files that a running node is stopped for when they change.
    type: list
    elements: path
    default: []
  fileno: {description: Files that a node started here may have open; 0 is as many as Ansible., type: int, default: 0}
  purge: {description: Remove the node's results and log as well., type: bool, default: false}
author: [the amoc project]
"""

EXAMPLES = r"""
- name: Use the release
  amoc_release: {state: current, role: slave, user: amoc, install_dir: /home/amoc/amoc, release: 0.1.0-0123456789}
"""

RETURN = r"""
stopped: {description: Whether a node was stopped., returned: always, type: bool}
"""

import contextlib
import os

from ansible.module_utils.amoc_dir import InstallDir, write
from ansible.module_utils.amoc_user import Problem, as_user
from ansible.module_utils.basic import AnsibleModule


def main():
    """Have the state that is wanted."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": ["installed", "current", "back", "started", "stopped", "absent"],
            },
            "role": {"type": "str", "required": True, "choices": ["master", "slave"]},
            "user": {"type": "str", "required": True},
            "install_dir": {"type": "path", "required": True},
            "release": {"type": "str", "default": ""},
            "archive": {"type": "path"},
            "python": {"type": "path", "default": ""},
            "keep": {"type": "int", "default": 2},
            "watched": {"type": "list", "elements": "path", "default": []},
            "fileno": {"type": "int", "default": 0},
            "purge": {"type": "bool", "default": False},
        },
        required_if=[("state", "installed", ["archive"])],
        supports_check_mode=True,
    )
    wanted = module.params
    place = InstallDir(wanted["install_dir"], wanted["role"])
    try:
        if wanted["state"] == "installed" and not module.check_mode:
            place.claim(wanted["user"])
        state = STATES[wanted["state"]]
        changed, stopped = as_user(
            wanted["user"],
            lambda: state(place, wanted, module.check_mode),
            fileno=wanted["fileno"] if wanted["state"] == "started" else 0,
        )
    except Problem as problem:
        module.fail_json(msg=str(problem))
    except OSError as error:
        module.fail_json(msg="{}: {}".format(error.filename or wanted["install_dir"], error.strerror or error))
    module.exit_json(changed=changed, stopped=stopped)


def installed(place, wanted, check):
    """The release is there."""
    if check:
        return not place.complete(wanted["release"]), False
    try:
        with place.alone():  # a deploy that was broken off goes on here
            if place.complete(wanted["release"]):
                return False, False
            place.install(wanted["archive"], wanted["release"], wanted["python"])
    finally:
        with contextlib.suppress(FileNotFoundError):  # it was that deploy's, too
            os.unlink(wanted["archive"])
    return True, False


def current(place, wanted, check):
    """The release is in use."""
    fingerprint = place.fingerprint(wanted["release"], wanted["watched"])
    if place.current() == wanted["release"] and place.applied() == fingerprint:
        return False, False
    if check:
        return True, False
    stopped = place.stop() if place.current() else False
    place.activate(wanted["release"], wanted["keep"])
    write(place.at(".applied"), fingerprint + "\n", 0o644)
    return True, stopped


def back(place, wanted, check):
    """An earlier release is in use again."""
    if place.current() == wanted["release"]:
        return False, False
    if check:
        return True, False
    stopped = place.stop() if place.current() else False
    place.roll_back(wanted["release"], wanted["keep"])
    write(place.at(".applied"), place.fingerprint(wanted["release"], wanted["watched"]) + "\n", 0o644)
    return True, stopped


def started(place, wanted, check):
    """A node runs in the background."""
    return (not place.running() if check else place.start()), False


def stopped(place, wanted, check):
    """No node runs."""
    if check or not place.running():
        return bool(place.running()), False
    return place.stop(), True


def absent(place, wanted, check):
    """Nothing is left; without `purge` the node's results and log are."""
    if check:
        return place.whose() == "ours", False
    stopped = place.stop() if place.current() else False
    return place.remove(wanted["purge"]), stopped


STATES = {
    "installed": installed,
    "current": current,
    "back": back,
    "started": started,
    "stopped": stopped,
    "absent": absent,
}

if __name__ == "__main__":
    main()
