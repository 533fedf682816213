from __future__ import annotations

from collections.abc import Callable

import msgspec
import tomli

from config.load import load
from config.reference import reference_page
from config.render import default_toml, dump_toml
from config.settings import Settings
from config.table import table

Write = Callable[[str, str], str]

EVERYTHING = """
imports = ["more.toml"]
root = "/r/x"
state = "/s/x"
disabled_plugins = ["t.a", "t.b"]
oom_score = -5
[log]
level = "trace"
[router]
mode = 0o600
max_message_bytes = 1000000
[supervisor]
period_s = 2.5
backoff_jitter = 0
[timeouts]
"shim.load" = "1m30s"
"of.nobody" = "0s"
[plugins."t.a"]
text = 'quote " and \\ and ü'
numbers = [1, 2.5, true]
[plugins."t.a".inner.most]
when = 1979-05-27T07:32:00Z
[plugins."t.empty"]
"""


def test_the_default_file_has_every_key_with_its_help_and_means_the_defaults(write: Write) -> None:
    text = default_toml()
    raw = tomli.loads(text)
    for row in table().values():
        section = raw[row.section] if row.section else raw
        assert row.name in section
        assert f"# {row.help}\n" in text
    result = load(write("c.toml", text), explicit=True, environ={})
    assert result.settings == load(None, environ={}).settings
    assert result.warnings == ()


def test_what_is_dumped_is_read_back_to_the_same_settings(write: Write, shm: str) -> None:
    write("more.toml", '[log]\nformat = "json"\n[plugins."t.a".inner]\nx = 1\n')
    first = load(write("c.toml", EVERYTHING), explicit=True, flags={"log.level": "warn"}, environ={})
    text = dump_toml(first)
    second = load(write("dumped.toml", text), explicit=True, environ={})
    assert second.settings == msgspec.structs.replace(first.settings, imports=())
    assert second.files == (f"{shm}/dumped.toml",)
    third = load(write("dumped.toml", dump_toml(second)), explicit=True, environ={})
    assert third.settings == second.settings


def test_a_dump_says_its_version_and_where_each_value_comes_from(write: Write, shm: str) -> None:
    write("more.toml", '[log]\nformat = "json"\n')
    result = load(write("c.toml", EVERYTHING), explicit=True, flags={"log.level": "warn"}, environ={})
    text = dump_toml(result)
    assert "\nversion = 1\n" in text
    assert f"#   {shm}/c.toml\n#   {shm}/more.toml\n" in text
    assert '# flag --log-level\nlevel = "warn"\n' in text
    assert f'# file {shm}/more.toml\nformat = "json"\n' in text
    assert '# derived from state\naddress = "/s/x/wharfie.sock"\n' in text
    assert '"shim.load" = "1m30s"\n' in text
    assert "mode = 0o600\n" in text
    assert "max_message_bytes = 1000000\n" in text
    assert '\n"task.state" = "2s"\n' in text


def test_the_reference_page_is_up_to_date() -> None:
    with open("docs/configuration.md", encoding="utf-8") as file:
        assert file.read() == reference_page(), "run: python -m config.reference > docs/configuration.md"


def test_the_reference_page_names_every_key_once_in_its_section() -> None:
    sections = reference_page().split("\n## ")
    for row in table().values():
        title = f"`[{row.section}]`\n" if row.section else "The top of the file\n"
        (section,) = [part for part in sections if part.startswith(title)]
        assert section.count(f"\n| `{row.name}` | ") == 1


def test_settings_are_made_without_arguments_for_those_that_need_none() -> None:
    assert Settings().timeouts["boot.worker"] == 10.0
