"""What to do about an error: one line of advice, chosen by its code and details, never by its text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wharfie.errors import WharfieError

_BY_REASON = {
    "no_daemon": "'wharfied' as root starts one, 'wharfied service install' has systemd do it at every boot",
    "socket_denied": "the socket belongs to root and its group: use sudo, or join the group of its configuration",
    "executable_not_found": "the program is not in the image or not in its PATH; 'wharfie inspect IMAGE' shows both",
    "not_executable": "the file is there but cannot be run: look at its mode, its interpreter and its architecture",
    # Their sentences say what to do; the advice for their codes would mislead.
    **dict.fromkeys(
        ("registry_unauthorized", "registry_denied", "registry_scheme", "hosts_file", "credential_file"), ""
    ),
    "registry_not_found": "look at the spelling; some registries say so of what you may not see: 'wharfie login'",
    "registry_unreachable": "is the host right, is it up, does a proxy stand before it? 'docs/images.md', Registries",
    "registry_rate_limit": "wait a while; who is logged in may do more: 'wharfie login'",
    "credential_helper": "~/.docker/config.json names the helper; 'docker-credential-NAME list' shows if it works",
    "ambiguous": "give more of the id, or all of it",
}

_BY_KIND = {
    "image": "'wharfie images' lists what is here, 'wharfie import FILE' brings an archive in",
    "container": "'wharfie ps -a' lists the containers of this namespace",
    "used": "'wharfie rm' removes the container; with -f the image's name goes and the container stays",
    "running": "'wharfie stop' stops it first, 'wharfie rm -f' does both",
}

_BY_CODE = {
    "permission_denied": "use sudo, or ask for the right in the daemon's configuration",
    "resource_exhausted": "a limit or a disk is full: 'df' tells which; 'wharfie rm' and 'wharfie rmi' make room",
    "data_loss": "the bytes are damaged: fetch or export the archive again",
    "unavailable": "a part of the daemon is away: 'wharfie actor ls' shows which; trying again is safe",
    "deadline_exceeded": "give it longer with --timeout, or look at 'wharfie actor ls' for what is busy",
    "unimplemented": "this daemon cannot do that; 'wharfie version' shows how old it is",
    "internal": "this is a bug: please report it with the daemon's log",
    "aborted": "somebody else changed it at the same moment: try again",
}


def hint_for(error: WharfieError) -> str:
    """One line of advice; empty when the error says it all."""
    reason = str(error.details.get("reason", ""))
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if error.details.get("poisoned"):
        return "the request crashed a worker twice: 'wharfie actor inspect NAME' shows the crash; please report it"
    kind = str(error.details.get("kind", ""))
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    return _BY_CODE.get(str(error.code), "")
