#!/usr/bin/python
"""Ansible module: a directory of small private files, in one step however many they are."""

DOCUMENTATION = r"""
module: amoc_files
short_description: Fill a directory with small private files
description: The directory (0700) holds exactly these files (0600), all of the user; others in it are removed.
options:
  directory: {description: Its path; the directory above is there., type: path, required: true}
  user: {description: Whose files they are., type: str, required: true}
  files: {description: Contents by file name., type: dict, required: true}
author: [the amoc project]
"""

EXAMPLES = r"""
- name: Give the node its keys
  amoc_files: {directory: /home/amoc/amoc/keys, user: amoc, files: {slave.key_secret: "...", master.key: "..."}}
"""

RETURN = r"""
written: {description: Names of the files that were written., returned: always, type: list, elements: str}
removed: {description: Names of the files that were removed., returned: always, type: list, elements: str}
"""

import os
import stat

from ansible.module_utils.amoc_dir import write
from ansible.module_utils.amoc_user import Problem, as_user
from ansible.module_utils.basic import AnsibleModule


def main():
    """Write what differs, remove what is not wanted."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "files": {"type": "dict", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    directory, files = module.params["directory"], module.params["files"]
    if strange := [name for name in files if os.path.basename(name) != name or name.startswith(".")]:
        module.fail_json(msg=f"{strange[0]} cannot be the name of a file")
    try:
        changed, written, removed = as_user(module.params["user"], lambda: fill(directory, files, module.check_mode))
    except Problem as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=changed, written=written, removed=removed)


def fill(directory, files, check):
    """Have the directory hold these files and no others: whether anything changed, what was written and removed."""
    there = os.listdir(directory) if os.path.isdir(directory) else []
    removed = sorted(name for name in there if name not in files)
    written = sorted(name for name, text in files.items() if not _is(os.path.join(directory, name), text))
    loose = not os.path.isdir(directory) or stat.S_IMODE(os.stat(directory).st_mode) != 0o700
    if not check:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chmod(directory, 0o700)
        for name in written:
            write(os.path.join(directory, name), files[name], 0o600)
        for name in removed:
            os.unlink(os.path.join(directory, name))
    return bool(written or removed or loose), written, removed


def _is(path, text):
    """Whether a file has this content and nobody else's eyes on it."""
    try:
        with open(path, encoding="utf-8") as file:
            return stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600 and file.read() == text
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main()
