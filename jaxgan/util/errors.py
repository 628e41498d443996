"""Errors that a user can cause, as opposed to errors in the program."""


class UserError(Exception):
    """Something the user asked for cannot be done.

    The message is one line that says what is wrong and what to do about it. The command line
    prints it and exits with status 2; a Python caller can catch it like any other exception.
    """


class CannotSave(UserError):
    """A checkpoint could not be written, and threads may still wait in vain for it to be done."""
