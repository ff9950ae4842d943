"""What the command line says about identity, audit and encryption, read into an API server's settings.

Owns reading the files, before anything listens: whatever is wrong with one is told with its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sampan.apiserver.audit import policy
from sampan.apiserver.audit.file import DEFAULT_MEGABYTES, Rotation
from sampan.apiserver.server import Settings
from sampan.lib.errors import ConfigError


@dataclass(frozen=True)
class AuditFlags:
    """`--audit-*`."""

    policy: Path | None = None
    log: str = ""
    megabytes: int = 0
    backups: int = 0
    days: int = 0


@dataclass(frozen=True)
class SecurityFlags:
    """All of them."""

    audit: AuditFlags = AuditFlags()
    encryption: Path | None = None


def content(path: Path, what: str) -> bytes:
    """A file's bytes.

    Raises:
        ConfigError: It can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the {what} {path} can't be read: {error.strerror or error}", hint="give a file that this user can read") from None


def secured(settings: Settings, flags: SecurityFlags) -> Settings:
    """The settings with what the flags say.

    Raises:
        ConfigError: A file is not what it should be, or flags contradict one another.
    """
    return _encrypted(_audited(settings, flags.audit), flags.encryption)


def _encrypted(settings: Settings, path: Path | None) -> Settings:
    if path is None:
        return settings
    from sampan.apiserver.encryption import config

    return replace(settings, encryption=config.load(content(path, "encryption configuration"), str(path)))


def _audited(settings: Settings, flags: AuditFlags) -> Settings:
    if flags.policy is None:
        if flags.log:  # upstream goes on and logs nothing
            raise ConfigError("--audit-log-path without --audit-policy-file would log nothing", hint="say with a policy file what is logged")
        return settings
    if min(flags.megabytes, flags.backups, flags.days) < 0:
        name, value = next((name, value) for name, value in (
            ("maxsize", flags.megabytes), ("maxbackup", flags.backups), ("maxage", flags.days)) if value < 0)
        raise ConfigError(f"--audit-log-{name} {value} can't be a negative number")
    read = policy.load(content(flags.policy, "audit policy"), str(flags.policy))
    if not flags.log:  # upstream: no back end, so nothing is written
        return settings
    return replace(settings, audit_policy=read, audit_log=flags.log,
                   audit_rotation=Rotation(flags.megabytes or DEFAULT_MEGABYTES, flags.backups, flags.days))
