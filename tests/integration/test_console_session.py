"""A person at the console: everything through a real pseudo-terminal."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from amoc.operations import TABLE
from tests.support.session import session_of, shape
from tests.support.terminal import AMOC, Workplace, gone, until

ROOT = Path(__file__).parents[2]
LOGINS = "amoc_local.status()['metrics'].get('amoc.counters.connections', {'value': 0})['value']"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.close()


def test_a_test_from_start_to_stop(place: Workplace) -> None:
    shell = place.shell("console")
    banner = shell.text
    assert re.search(r"amoc \d+\.\d+\.\d+: node in \.amoc, pid \d+", banner)
    assert "amoc_config, amoc_dist, amoc_local, amoc_node, amoc_scenarios" in banner
    assert "Scenarios: broken, chat" in banner
    assert "local: users 1 to 10" in shell.run("amoc_local.do(chat, 1, 10, interarrival=5)")
    assert "local: added 5, users 11 to 15" in shell.run("amoc_local.add(5)")
    assert re.search(r"users  15 wanted", shell.run("amoc_local.users()"))
    assert "local: removed 3" in shell.run("amoc_local.remove(3, force=True)")
    status = shell.run_until("amoc_local.status()", r"users  12 wanted .* 3 removed")
    assert re.search(r"node local  amoc .* running\n", status)
    assert re.search(r"run  chat  \d{8}-\d{6}-chat", status)
    assert re.search(r"local\[0\] +\d+", status)
    assert "local: state finished" in shell.run("amoc_local.stop()")
    assert "local: users 1 to 2" in shell.run("amoc_local.do('chat', 1, 2)"), "another test starts after a stop"
    shell.ctrl_d()
    shell.expect(r"leave and end the test\? \[y/N\]")
    shell.type("y\r")
    assert shell.ended() == 0


def test_the_session_of_the_readme(place: Workplace) -> None:
    session = session_of(ROOT / "README.md")
    assert len(session) >= 5
    server = place.popen("server", "--port", "0")
    assert server.stdout is not None
    address = server.stdout.readline().split(" on ")[1].split(",")[0]
    place.environment["AMOC_XMPP_SERVERS"] = address
    shell = place.shell("console", "--set", f"scenarios_dir={ROOT / 'scenarios'}")
    for line, reply in session:
        shown = shell.run(line)
        assert re.search(r"Out\[\d+\]:\s*" + shape(reply) if reply else "", shown), (line, shown)
        # A person reads before typing on; meanwhile the users log in.
        if ".do(" in line or ".add(" in line:
            logins = 10 if ".do(" in line else 15
            shell.run_until(LOGINS, rf": {logins}$")
    shell.ctrl_d()
    assert shell.ended() == 0
    server.terminate()
    assert "ended after 15 logins" in server.communicate(timeout=60)[0]


def test_replies_are_plain_data(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("state = amoc_local.status()")
    assert shell.run("state['state'], state['users']['running'], type(state['users'])") == "Out[2]: ('idle', 0, dict)"
    assert shell.run("sorted(amoc_scenarios.list())") == "Out[3]: ['broken', 'chat']"
    assert shell.run("amoc_node.ping()") == "Out[4]: 'pong'"


def test_settings_are_read_and_set(place: Workplace) -> None:
    shell = place.shell("console")
    assert shell.run('amoc_config.get("interarrival")') == "Out[1]: 50.0"
    shell.run('amoc_config.set("interarrival", 10)')
    assert shell.run('amoc_config.get("interarrival")') == "Out[3]: 10.0"
    assert re.search(r"\ninterarrival +10.0 +runtime +float", shell.run("amoc_config.all()"))
    shell.run('amoc_config.unset("interarrival")')
    assert shell.run('amoc_config.get("interarrival")') == "Out[6]: 50.0"
    assert shell.run("import math; amoc_config.set('repeat_num', math.inf)").endswith("repeat_num = 'infinity'")


MISTAKES = [
    ("amoc_local.do('chad', 1, 10)", "unknown scenario 'chad'; did you mean 'chat'?"),
    ("amoc_local.do(chad, 1, 10)", "name 'chad' is not defined; did you mean 'chat'?"),
    ("amoc_local.do(chat, 10, 1)", "users 10 to 1: the first must be at least 1 and the last not below the first"),
    ("amoc_local.do(chat, 0, 1)", "users 0 to 1: the first must be at least 1 and the last not below the first"),
    ("amoc_local.do(chat, 1)", "local.do(scenario: str, first: int, last: int, **settings: Any)"),
    ("amoc_local.do(chat, 1, 'ten')", "local.do: last must be a whole number, not 'ten'"),
    ("amoc_local.do(chat, 1, 10, ronds=3)", "unknown setting 'ronds'; did you mean 'rounds'?"),
    ("amoc_local.do(chat, 1, 10, rounds='x')", "rounds"),
    ("amoc_local.do(chat, 1, 10, rounds=object())", "local.do: an argument cannot be sent to the node"),
    ("amoc_local.add(5)", "no test is running to add users to"),
    ("amoc_local.remove(5)", "no test is running to remove users from"),
    ("amoc_local.stop()", "no test is running"),
    ('amoc_config.set("interarival", 5)', "unknown setting 'interarival'; did you mean 'interarrival'?"),
    ('amoc_config.set("interarrival", "soon")', "interarrival"),
    ("amoc_local.start()", "amoc_local has no 'start'; it has: add, do, remove, status, stop, users"),
]


def test_a_mistake_is_one_line_and_changes_nothing(place: Workplace) -> None:
    shell = place.shell("console")
    for line, reply in MISTAKES:
        shown = shell.run(line)
        assert reply in shown
        assert "\n" not in shown.strip()
        assert "Traceback" not in shown
        assert shell.run("amoc_local.status()['state']").endswith("'idle'")


def test_counts_below_one_are_refused_while_a_test_runs(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(chat, 1, 2, pause=60)")
    assert "add(0): the number of users must be at least 1" in shell.run("amoc_local.add(0)")
    assert "remove(-3): the number of users must be at least 1" in shell.run("amoc_local.remove(-3)")
    assert "chat is running already: stop it first, or add users to it" in shell.run("amoc_local.do(chat, 1, 10)")
    assert shell.run("amoc_local.users()['wanted']") == "Out[5]: 2"


def test_names_are_completed(place: Workplace) -> None:
    shell = place.shell("console")
    # A completed word may be drawn anew as a whole or only its rest: what is looked for is the word.
    for typed, completed in [
        ("amoc_lo\t", "amoc_local"),
        ("amoc_local.sta\t", "status"),
        ("bro\t", "broken"),
        ('amoc_config.get("interar\t', "interarrival"),
        ("amoc_local.do(chat, 1, 9, rou\t", "rounds="),
        ("amoc_local.remove(1, for\t", "force="),
    ]:
        shell.type(typed)
        shell.expect(re.escape(completed))
        shell.type("\x15")  # Ctrl+U: away with the line


def test_help_shows_the_operation(place: Workplace) -> None:
    shell = place.shell("console")
    for line in ("amoc_local.remove?", "help(amoc_local.remove)"):
        shown = shell.run(line)
        assert "remove(count: int, force: bool = False)" in shown
        assert TABLE["local.remove"].doc.splitlines()[0] in shown
    for line in ("chat?", "help(chat)", "chat"):
        shown = shell.run(line)
        assert "Users that write a line to the log now and then." in shown
        assert re.search(r"rounds +1000 +int +lines per user", shown)
    assert "amoc_local.add(count: int)" in shell.run("amoc_local")
    assert "get(name: str, default: Any = <none>)" in shell.run("amoc_config")


def test_a_new_scenario_is_a_name_at_once(place: Workplace) -> None:
    shell = place.shell("console")
    place.scenario("fresh", "async def start(user_id):\n    pass\n")
    place.scenario("print", "async def start(user_id):\n    pass\n")
    assert "local: users 1" in shell.run("amoc_local.do(fresh, 1, 1)")
    assert shell.run("print(1 + 1)") == "2", "a scenario does not hide what Python has"


def test_log_lines_leave_the_typed_text_alone(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(chat, 1, 3)")
    shell.type("result = 40 ")
    for number in (3, 4, 5):
        shell.expect(rf"\n\d\d:\d\d:\d\d chat\[\d\] user \d says hello {number}\n")
        shell.expect(r"In \[2\]: result = 40")
    shell.run("+ 2")
    assert shell.run("result").endswith("Out[3]: 42")


def test_log_lines_come_while_python_works(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(chat, 1, 1)")
    shown = shell.run("while 'hello 5' not in str(amoc_local.status()['metrics'].get('hellos', 5)): break")
    assert "Traceback" not in shown
    shell.type("import threading; threading.Event().wait()\r")
    shell.expect("user 1 says hello 5")
    shell.ctrl_c()
    shell.expect("interrupted")
    shell.prompt()


def test_an_operation_that_takes_long_can_be_left_alone(place: Workplace) -> None:
    place.scenario("slow", "import time\n\ndef init():\n    time.sleep(5)\n\nasync def start(user_id):\n    pass\n")
    shell = place.shell("console")
    shell.type("amoc_local.do(slow, 1, 2)\r")
    shell.expect("slow starts on local")
    shell.ctrl_c()
    shell.expect("interrupted; what the node was asked already, it does")
    shell.prompt()
    assert "slow is being started already" in shell.run("amoc_local.do(slow, 1, 2)")
    shell.run_until("amoc_local.users()", "2 starts")


def test_errors_of_users_are_shown(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(broken, 1, 5)")
    shell.expect("all users have ended: 0 finished, 5 failed")
    shell.run_until("amoc_local.status()", r"5 x RuntimeError: no luck today \(in start, first user \d\)")


def test_leaving_asks_only_when_a_test_would_end(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(chat, 1, 2)")
    workers = place.node().children()
    family = [place.node(), *workers]
    assert workers
    shell.type("exit\r")
    shell.expect(r"leave and end the test\? \[y/N\]")
    shell.type("\r")
    shell.prompt()
    shell.ctrl_d()
    shell.expect(r"leave and end the test\? \[y/N\]")
    shell.type("n\r")
    assert "wanted" in shell.run("amoc_local.users()")
    shell.run("amoc_local.stop()")
    shell.ctrl_d()
    assert shell.ended() == 0
    until(lambda: gone(family), "the node and its workers to end")


def test_history_is_kept_in_the_node_dir(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("answer = 41 + 1")
    shell.ctrl_d()
    assert shell.ended() == 0
    again = place.shell("console")
    again.type("\x1b[A")
    again.expect(r"answer = 41 \+ 1")


def test_a_console_without_a_terminal_takes_a_script(place: Workplace) -> None:
    done = subprocess.run(
        [*AMOC, "console"],
        input="amoc_local.do(chat, 1, 2)\nprint('state', amoc_local.status()['state'])\namoc_local.stop()\n",
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "state running" in done.stdout
    assert "local: state finished" in done.stdout
