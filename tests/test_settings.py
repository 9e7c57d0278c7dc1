"""Settings: flag beats environment beats default, and each value is checked in words."""

from __future__ import annotations

import argparse

import pytest

from hub.errors import InputError
from hub.settings import TABLE, Settings, add_flags, from_environment, from_flags


def parsed(*flags: str, environment: dict[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return from_flags(parser.parse_args(flags), environment or {})


def test_without_flags_and_environment_all_is_default() -> None:
    assert parsed() == Settings() == from_environment({})


def test_a_flag_beats_the_environment_which_beats_the_default() -> None:
    environment = {"HUB_PORT": "8000", "HUB_HOST": "0.0.0.0"}
    settings = parsed("--port", "9000", environment=environment)
    assert (settings.port, settings.host, settings.device) == (9000, "0.0.0.0", "auto")


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("Yes", True), ("off", False), ("", False)])
def test_switches_are_read_from_words(text: str, value: bool) -> None:
    assert from_environment({"HUB_SHARE": text}).share is value


def test_a_switch_can_be_turned_off_by_its_flag() -> None:
    assert parsed("--offline").offline
    assert not parsed("--no-offline", environment={"HUB_OFFLINE": "1"}).offline


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("HUB_SHARE", "perhaps", "HUB_SHARE must be true or false, got 'perhaps'"),
        ("HUB_PORT", "http", "HUB_PORT must be a whole number, got 'http'"),
        ("HUB_PORT", "1.5", "HUB_PORT must be a whole number, got '1.5'"),
        ("HUB_PORT", "-1", "HUB_PORT must be 0 or more, got '-1'"),
        ("HUB_PORT", "70000", "HUB_PORT must be at most 65535, got '70000'"),
        ("HUB_POOL_GB", "much", "HUB_POOL_GB must be a number, got 'much'"),
        ("HUB_POOL_GB", "nan", "HUB_POOL_GB must be 0 or more, got 'nan'"),
        ("HUB_POOL_GB", "inf", "HUB_POOL_GB must be 0 or more, got 'inf'"),
        ("HUB_DEADLINE_S", "0", "HUB_DEADLINE_S must be more than 0, got '0'"),
        ("HUB_MAX_BATCH", "0", "HUB_MAX_BATCH must be more than 0, got '0'"),
    ],
)
def test_a_value_that_is_refused_names_its_variable(variable: str, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        from_environment({variable: text})
    assert str(caught.value) == told


def test_a_flag_that_is_refused_is_named_as_it_was_typed() -> None:
    with pytest.raises(InputError, match="--keep-alive-s must be a number, got 'long'"):
        parsed("--keep-alive-s", "long")


def test_the_table_has_a_type_a_default_and_a_line_of_help_for_every_setting() -> None:
    for name, default, help in TABLE:
        assert isinstance(default, bool | int | float | str), name
        assert help.strip(), name
        assert "\n" not in help, name


def test_slugs_are_split_at_commas() -> None:
    assert Settings(demos=" a, b,,c ").only() == ("a", "b", "c")
    assert Settings().only() == ()
