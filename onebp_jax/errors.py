"""The exceptions that a user is meant to read, and the exit status of each."""

NEEDS_PYARROW = "Parquet needs pyarrow: python -m pip install -e '.[serving]'"


class UserError(ValueError):
    """Bad input: a flag, a config field, a data file or a folder.

    The message is one line that says what was given, what was expected and what to do.
    The launch programs print it on standard error and exit with status 2, without a traceback; the `choices`, a line for
    each thing that could have been given, they print on standard output.
    """

    def __init__(self, message: str, choices: tuple[str, ...] = ()):
        super().__init__(message)
        self.choices = choices


class RunFailed(RuntimeError):
    """A run that cannot go on (a loss that is not finite, lost data); one line, exit status 1."""


class Interrupted(Exception):
    """A signal stopped the run after its state was saved; `number` is the signal, exit status `128 + number`."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number
