"""Replies as people see them."""

from typing import Any

from amoc.console.render import Shown, changed, config, done, nodes, scenario, status, to_text, users

STATUS: dict[str, Any] = {
    "node": "local",
    "version": "0.1.0",
    "pid": 4711,
    "uptime": 3725.2,
    "state": "running",
    "run": {
        "id": "20261124-031500-chat",
        "scenario": "chat",
        "elapsed": 61.5,
        "settings": {"rounds": 3},
        "reason": None,
    },
    "users": {"wanted": 50, "running": 49, "starts": 60, "failed": 1, "waiting": 0},
    "nodes": {
        "local": {
            "workers": [
                {"index": 0, "pid": 12, "users": 49, "cpu": 12.4, "rss": 33 << 20, "lag_ms": 1.26, "late_ms": 0.1}
            ]
        }
    },
    "metrics": {
        "sent": {"type": "counter", "value": 1200},
        "level": {"type": "gauge", "value": 2.5},
        "ttd": {"type": "histogram", "count": 9, "mean": 1500.0, "median": 1400.0, "95": 2000.0, "99": 2e4, "max": 3e5},
    },
    "rates": {"sent": 19.96},
    "errors": [{"type": "ValueError", "where": "start", "count": 1, "text": "ValueError: \x1b[2Jno", "first_user": 7}],
    "events": [{"time": 0, "event": "run", "level": "INFO", "text": f"event {number}"} for number in range(9)],
}


def shown(parts: Any) -> list[str]:
    return to_text(parts, width=120, colour=False).split("\n")


def test_a_status_is_drawn_whole() -> None:
    lines = shown(status(STATUS))
    assert lines[:3] == [
        "node local  amoc 0.1.0  pid 4711  up 1:02:05  running",
        "run  chat  20261124-031500-chat  0:01:01  rounds=3",
        "users  50 wanted  49 running  60 starts  1 failed",
    ]
    table = [line.split() for line in lines]
    assert ["local[0]", "12", "49", "12", "33", "1.3", "0.1"] in table
    assert ["sent", "1200", "20.0"] in table
    assert ["level", "2.5"] in table
    assert ["ttd", "9", "1.5", "1.4", "2.0", "20.0", "300.0"] in table
    assert "  1 x ValueError: \\x1b[2Jno (in start, first user 7)" in lines
    assert [line.split()[-1] for line in lines if " event " in line] == ["4", "5", "6", "7", "8"]


def test_an_idle_node_is_two_lines() -> None:
    idle = {"node": "local", "version": "0.1.0", "pid": 1, "uptime": 1, "state": "idle", "run": None, "users": {}}
    assert shown(status(idle)) == [
        "node local  amoc 0.1.0  pid 1  up 0:00:01  idle",
        "users  0 wanted  0 running  0 starts",
    ]


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[" not in to_text(status(STATUS), colour=False)
    assert "\x1b[" in to_text(status(STATUS), colour=True)


def test_users_that_are_in_trouble_are_named() -> None:
    assert shown(users({"wanted": 3, "stuck": 2, "restarted": 1})) == [
        "users  3 wanted  0 running  0 starts  2 stuck  1 restarted"
    ]


def test_what_nodes_did() -> None:
    reply = {"a": {"users": [[1, 91, 10], [100, 100, 1]]}, "b": {"added": 2, "users": [[2, 3, 1]]}, "c": {"users": []}}
    assert shown(done(reply)) == ["a: users 1 to 91 by 10, 100", "b: added 2, users 2 to 3", "c: users none"]
    reply = {"a": {"answer_ms": 1.26}, "b": {"error": "no answer\x1b within 3 s"}, "c": {"settings": {"rounds": 3}}}
    assert shown(done(reply)) == ["a: answered within 1.3 ms", "b: error no answer\\x1b within 3 s", "c: rounds = 3"]


NODE = {
    "node": "slave1",
    "address": "10.0.0.1",
    "state": "up",
    "run": "running",
    "users": 1200,
    "starts_per_s": 19.97,
    "cpu": 151.6,
    "lag_ms": 3.14,
    "memory": 300 << 20,
    "last_beat": 0.4,
    "version": "0.1.0",
    "offset_ms": -12.34,
    "error": None,
}


def test_nodes_are_a_table() -> None:
    lost = NODE | {"node": "slave2", "state": "lost", "last_beat": 61.0, "error": "a worker\x1b died", "offset_ms": 0.0}
    assert shown(nodes([NODE, lost])) == [
        "                              starts CPU   loop memory   last         offset",
        "node   address  state   users  per s   % lag ms    MiB beat s version     ms",
        "slave1 10.0.0.1 running  1200   20.0 152    3.1    300    0.4 0.1.0    -12.3",
        "slave2 10.0.0.1 lost     1200   20.0 152    3.1    300   61.0 0.1.0     +0.0",
        "slave2: a worker\\x1b died",
    ]
    narrow = to_text(nodes([NODE | {"node": "slave1.example.org"}]), width=80, colour=False).splitlines()
    assert narrow[2].endswith("running  1200   20.0 152    3.1    300    0.4 0.1.0    -12.3"), "figures stay whole"
    assert shown(nodes([])) == ["no slave has registered yet"]


def test_settings_with_their_source() -> None:
    entry = {"value": 10, "source": "env", "type": "int", "doc": "how often", "shadowed": True, "error": ""}
    unset = {"value": None, "source": "unset", "type": "str", "doc": "where", "shadowed": False, "error": ""}
    wrong = {"value": "x", "source": "env", "type": "int", "doc": "", "shadowed": False, "error": "expected a number"}
    lines = shown(config({"rounds": entry, "place": unset, "odd": wrong}))
    assert " ".join(lines[1].split()) == "rounds 10 env (hides a value set at run time) int how often"
    assert lines[2].split() == ["place", "unset", "str", "where"]
    assert "expected a number" in lines[3]


def test_changed_settings() -> None:
    lines = shown(changed({"rate": 10.0, "text": "[red]:smile:\x1b"}))
    assert lines == ["rate = 10.0", "text = '[red]:smile:\\x1b'"]


def test_a_scenario_with_its_settings() -> None:
    info = {
        "name": "chat",
        "path": "scenarios/chat.py",
        "doc": "Users talk.\n\n    indented",
        "settings": [{"name": "rounds", "default": 3, "type": "int", "doc": "how often"}],
    }
    lines = shown(scenario(info, "amoc run {} --users 10"))
    assert lines[:4] == ["chat  scenarios/chat.py", "Users talk.", "", "    indented"]
    assert lines[6].split() == ["rounds", "3", "int", "how", "often"]
    assert lines[-1] == "amoc run chat --users 10"


def test_a_reply_without_a_drawing_is_left_alone() -> None:
    assert Shown.of("node.ping", "pong") == "pong"
    plain = {"a": 1}
    assert Shown.of("unheard.of", plain) is plain
    assert isinstance(Shown.of("local.users", plain), Shown)
    rows: Any = Shown.of("dist.nodes", [NODE])
    assert isinstance(rows, list)
    assert rows == [NODE]
    assert "slave1" in str(rows)
