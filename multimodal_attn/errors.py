"""Mistakes that a user can mend. Each message is one line that names the input and says what to do."""


class UserError(Exception):
    """Shown as one line, without a traceback; command lines exit with its status."""

    status = 2


class MediaError(UserError):
    """A picture or a sound that cannot be used."""


class DataError(UserError):
    """A data set whose files, rows or columns are wrong."""


class CheckpointError(UserError):
    """A checkpoint folder that is missing, damaged or of another version."""


class ConfigError(UserError):
    """An option that does not exist or does not fit the others."""


class TrainingError(UserError):
    """A run that cannot go on: its numbers are no longer finite, or the disk is full."""


class TrainingStopped(UserError):
    """A run that was asked to stop, and has saved what it had; the status tells the signal, as shells write it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
