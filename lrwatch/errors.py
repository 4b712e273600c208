"""The exceptions that lrwatch raises on purpose.

The tree::

    LrwatchError              a message for a person: what, where, and what would be right
    ├── UsageError            wrong words on the command line                  (exit status 2)
    ├── ConfigError           a configuration that cannot be used              (exit status 2)
    ├── NotPossible           what was asked for could not be done             (exit status 1)
    └── ProtocolError         a document that is no control file or acknowledgement; `reason` names the rule

Anything else that escapes is a defect of lrwatch.
"""


class LrwatchError(Exception):
    """An error whose text is meant for the person in front of the terminal."""

    exit_status = 1


class UsageError(LrwatchError):
    """The command line asks for something that does not make sense."""

    exit_status = 2


class ConfigError(LrwatchError):
    """A configuration names an unknown key, or a value outside its range."""

    exit_status = 2


class NotPossible(LrwatchError):  # noqa: N818 - reads as a sentence where it is raised
    """The request is well-formed, but the world does not allow it (no such run, nothing readable)."""


class ProtocolError(LrwatchError):
    """A control file or an acknowledgement that must not be believed.

    Parameters
    ----------
    reason
        One short word that counters and acknowledgements carry: ``schema``, ``json``, ``number``, ``size``,
        ``symlink``, ``owner``, ``file``, ``training``, ``order`` or ``field``.
    message
        The same for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
