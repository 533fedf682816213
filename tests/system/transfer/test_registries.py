"""From `wharfie login` to a running image through a registry with TLS, an authority of its own and a token server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.support.archives import busybox_tree
from tests.support.certificates import Authority
from tests.support.commandline import Shell
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.remoteimages import publish
from tests.support.tokenserver import TokenServer
from tests.system.transfer.conftest import started


def test_an_image_goes_through_a_guarded_registry_with_credentials_that_docker_would_have() -> None:
    with tempfile.TemporaryDirectory(prefix="registries-", dir="/dev/shm") as name:
        directory = Path(name)
        with Registry(directory / "storage") as bare:
            publish(bare, "app", "1", busybox_tree(), {"hello": b"from far away"})
        authority = Authority(directory / "authority")
        pair = authority.issue("server")
        users, granted = {USER: PASSWORD}, {USER: "refresh-me"}
        with (
            TokenServer(directory / "tokens", users=users, refresh_tokens=granted) as tokens,
            Registry(directory / "storage", token=tokens.auth, tls=pair) as registry,
            started(f'[transfer]\nhosts_dir = "{directory}/hosts"\n') as rig,
        ):
            hosts = directory / "hosts" / registry.host
            hosts.mkdir(parents=True)
            (hosts / "hosts.toml").write_text(f'server = "{registry.url}"\nca = "{authority.certificate}"\n')
            shell = Shell(str(rig.daemon.address), "ci")
            environment = {"DOCKER_CONFIG": str(directory / "docker"), "REGISTRY_AUTH_FILE": ""}
            ref = f"{registry.host}/app:1"

            refused = shell.run("pull", ref, env=environment)
            assert refused.code == 1
            assert f"wharfie login {registry.host}" in refused.err

            arguments = (
                "login",
                registry.host,
                "-u",
                USER,
                "--password-stdin",
                "--hosts-dir",
                str(directory / "hosts"),
            )
            done = shell.run(*arguments, stdin=PASSWORD.encode(), env=environment)
            assert done.code == 0, done
            auths = json.loads((directory / "docker" / "config.json").read_text())["auths"]
            assert auths[registry.host]["identitytoken"] == "refresh-me"

            pulled = shell.run("pull", "-q", ref, env=environment)
            assert (pulled.code, pulled.out) == (0, f"{ref}\n"), pulled
            assert rig.client.run(ref, ["cat", "/hello"]).stdout == b"from far away"
            copied = shell.run("push", ref, f"{registry.host}/copy:2", env=environment)
            assert copied.code == 0, copied
            again = shell.run("pull", "-q", f"{registry.host}/copy:2", env=environment)
            assert again.code == 0, again
            rig.clear()
