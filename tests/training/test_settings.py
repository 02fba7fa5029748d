"""Settings: read from text, checked, and those of a stopped run."""

from dataclasses import dataclass

import pytest

from frr.training.settings import Settings, continued, setting


@dataclass(frozen=True, kw_only=True)
class Oven(Settings):
    heat: float = setting(180.0, "degrees", above=0, most=300)
    loaves: int = setting(2, "how many", least=1)
    fan: bool = setting(False, "whether it runs")
    mode: str = setting("top", "which heater", choices=("top", "both"))
    seeds: tuple[str, ...] = setting(("rye",), "what is on it")
    minutes: int = setting(40, "at most", free=True)


def test_text_is_read_as_the_kind_of_the_default():
    oven = Oven.read({"heat": "2e2", "loaves": "3", "fan": "yes", "seeds": "rye, oat"})
    assert oven == Oven(heat=200.0, loaves=3, fan=True, seeds=("rye", "oat"))
    assert Oven.read(oven.as_json()) == oven
    assert Oven.read({"heat": 100}).heat == 100.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steam": 1}, "unknown setting 'steam'; known: heat, loaves"),
        ({"loaves": "some"}, "loaves='some' is not of type int"),
        ({"loaves": 2.5}, "loaves"),
        ({"fan": "perhaps"}, "fan='perhaps' is not of type bool"),
        ({"heat": 0}, "heat must be more than 0"),
        ({"heat": "nan"}, "heat must be"),
        ({"heat": 301}, "heat must be at most 300"),
        ({"loaves": 0}, "loaves must be at least 1, got '0'"),
        ({"mode": "bottom"}, "mode must be one of top, both"),
    ],
)
def test_bad_settings_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        Oven.read(given)


def test_a_stopped_run_keeps_what_results_depend_on():
    before = Oven(heat=200.0).as_json()
    assert continued(Oven, before, {}) == Oven(heat=200.0)
    assert continued(Oven, before, {"minutes": 50, "heat": "200"}) == Oven(heat=200.0, minutes=50)
    with pytest.raises(ValueError, match=r"loaves='3'.*started with \('2'\)"):
        continued(Oven, before, {"loaves": 3})


def test_help_has_each_setting_as_it_is_given():
    rows = {row.name: row for row in Oven.explain()}
    assert rows["fan"].default == "false" and rows["seeds"].default == "rye"
    assert rows["heat"].meaning == "degrees" and list(rows) == list(Oven.names())
    assert Oven.read({row.name: row.default for row in rows.values()}) == Oven()
