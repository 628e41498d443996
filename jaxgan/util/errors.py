"""Errors that a user can cause, as opposed to errors in the program."""


class UserError(Exception):
    """Something the user asked for cannot be done.

    The message is one line that says what is wrong and what to do about it. The command line
    prints it and exits with status 2; a Python caller can catch it like any other exception.
    """


class FileError(UserError):
    """The file system refused something: mostly a full disk, a missing permission, a bad sector."""

    def __init__(self, reason: str, way_out: str = "fix that, then run again"):
        """Makes the message.

        Args:
            reason: a path, and what the system says of it.
            way_out: what to do.
        """
        super().__init__(f"{reason} ({way_out})")
        self.reason = reason


class CannotSave(UserError):
    """A checkpoint could not be written, and threads may still wait in vain for it to be done."""
