#!/usr/bin/python
"""Ansible module: what there is on a host, for the deployment of an amoc node. Changes nothing."""

DOCUMENTATION = r"""
module: amoc_host
short_description: Look at a host on which amoc is or will be installed
description: Python, C library, install directory, version in use, running node, clock, host keys. Changes nothing.
options:
  role: {description: Whether it is about the master or a slave., type: str, required: true, choices: [master, slave]}
  user: {description: The service user., type: str, required: true}
  install_dir: {description: Where amoc is installed; C(~/) is the service user's home., type: str, required: true}
  pythons: {description: The Pythons that may serve, the best first., type: list, elements: str, required: true}
  installer: {description: Text of the release's install.py which says what a Python is., type: str, required: true}
author: [the amoc project]
"""

EXAMPLES = r"""
- name: Look at this host
  amoc_host: {role: slave, user: amoc, install_dir: ~/amoc, pythons: [python3], installer: "{{ lookup('file', path) }}"}
  register: amoc_host
"""

RETURN = r"""
target: {description: What a release must be built for., returned: always, type: str}
current: {description: The version in use., returned: always, type: str}
"""

import glob
import os
import shutil
import subprocess
import time

from ansible.module_utils.amoc_dir import BUSY, InstallDir
from ansible.module_utils.amoc_user import Problem, account, as_user, expand, group_of
from ansible.module_utils.basic import AnsibleModule


def main():
    """Look around."""
    started = time.time()
    module = AnsibleModule(
        argument_spec={
            "role": {"type": "str", "required": True, "choices": ["master", "slave"]},
            "user": {"type": "str", "required": True},
            "install_dir": {"type": "str", "required": True},
            "pythons": {"type": "list", "elements": "str", "required": True},
            "installer": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    try:
        entry = account(wanted["user"])
        path = expand(wanted["install_dir"], entry.pw_dir)
        place = InstallDir(path, wanted["role"])
        place.refuse_others()
        python, target = choose_python(wanted["pythons"], wanted["installer"])
        status = as_user(wanted["user"], place.status) if place.current() else {}
    except Problem as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(
        changed=False,
        role=wanted["role"],
        install_dir=path,
        home=entry.pw_dir,
        group=group_of(wanted["user"]),
        python=python,
        target=target,
        current=place.current(),
        versions=place.versions(),
        history=place.history(),
        running=place.running(),
        version=status.get("version", ""),
        state=status.get("state", "up" if place.running() else "down"),
        busy=status.get("state") in BUSY,
        systemd=os.path.isdir("/run/systemd/system"),
        unit=unit_state(wanted["role"]),
        free=free_bytes(path),
        free_inodes=free_inodes(path),
        sudo=bool(shutil.which("sudo")) and os.path.isdir("/etc/sudoers.d"),
        host_keys=host_keys(),
        known_hosts=known_hosts(path),
        started=started,
        ended=time.time(),
    )


def choose_python(candidates, installer):
    """The first Python that amoc can use, and the target that it is; empty texts if there is none."""
    for candidate in candidates:
        path = shutil.which(candidate)
        if path is None:
            continue
        done = subprocess.run(
            [path, "-", "--here"],
            input=installer.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0:
            return path, done.stdout.decode().strip()
    return "", ""


def unit_state(role):
    """What systemd says of the node's unit: active, inactive, failed …; empty without systemd or unit."""
    unit = f"amoc-{role}.service"
    if not os.path.exists("/etc/systemd/system/" + unit):
        return ""
    done = subprocess.run(
        ["systemctl", "is-active", unit], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return done.stdout.decode().strip()


def _existing(path):
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def free_bytes(path):
    """What an ordinary user may still write where `path` is or will be."""
    found = os.statvfs(_existing(path))
    return found.f_bavail * found.f_frsize


def free_inodes(path):
    """How many files may be made there; -1 where that has no limit."""
    found = os.statvfs(_existing(path))
    return found.f_favail if found.f_files else -1


def host_keys():
    """The public keys of this host's sshd, `type key` each, without the comment."""
    keys = []
    for path in sorted(glob.glob("/etc/ssh/ssh_host_*_key.pub")):
        with open(path, encoding="utf-8") as file:
            keys.append(" ".join(file.read().split()[:2]))
    return keys


def known_hosts(path):
    """What the master knows of its slaves' host keys."""
    try:
        with open(os.path.join(path, "ssh", "known_hosts"), encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
