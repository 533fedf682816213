"""Modules that are loaded when they are used. In processes of their own: this one has them all."""

from __future__ import annotations

import subprocess
import sys


def output_of(program: str) -> str:
    lines = f"import sys\nfrom cli.postpone import postpone, reveal\npostpone()\n{program}"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_alone_loads_nothing() -> None:
    assert output_of("import json, inspect, random\nprint('json.decoder' in sys.modules, 'ast' in sys.modules)") == (
        "False False\n"
    )


def test_the_first_use_loads_the_module_for_everybody() -> None:
    assert output_of("import json\nprint(json.dumps([1]))\nimport json as again\nprint(again.loads('[2]'))") == (
        "[1]\n[2]\n"
    )


def test_names_and_submodules_can_be_imported_from_it() -> None:
    assert output_of("from json import dumps\nimport json.decoder\nprint(dumps({}), json.decoder.__name__)") == (
        "{} json.decoder\n"
    )
    assert output_of("import json.decoder\nprint(json.decoder.JSONDecodeError.__name__)") == "JSONDecodeError\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert output_of("import json\nprint(hasattr(json, 'nothing'), hasattr(json, 'dumps'))") == "False True\n"


def test_what_was_hidden_comes_back() -> None:
    program = (
        "try:\n    import typing_extensions\nexcept ImportError:\n    print('hidden')\n"
        "reveal()\nreveal()\nprint('typing_extensions' in sys.modules)"
    )
    assert output_of(program) == "hidden\nFalse\n"


def test_a_start_of_the_command_line_loads_none_of_them() -> None:
    program = (
        "from cli.main import invoke\n"
        "invoke(['-a', '/nonexistent/socket', '--timeout', '1ms', 'ps'])\n"
        "print(sorted({'ast', 'dis', 'tokenize', 'json.decoder', 'bisect', 'typing_extensions'} & set(sys.modules)))"
    )
    assert output_of(program) == "[]\n"
